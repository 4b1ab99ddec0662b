"""Small made-up worlds in which the shares, intervals and estimates of the pages are put to the test.

Each returns its lines. What is stated is computed by the product's own functions; the controls are the rules that were
used before, or a page could use by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit, logit  # type: ignore[import-untyped]
from scipy.stats import beta, binom, t  # type: ignore[import-untyped]

from engine.benchmarks.honest_lines import Control, Line, percent_of, worst
from engine.benchmarks.simulated_audits import Audits, Runs, constant
from engine.benchmarks.simulated_audits import Pool as Drawn
from engine.quality import scale as written_as
from engine.quality.measured_set import ENOUGH_EVIDENCE, undecided_share, wanted
from engine.quality.pace import paces
from engine.quality.people import PeopleError
from engine.quality.plan import PRIOR
from engine.quality.plan import scale as scaled_by
from engine.quality.reliability import reliability
from engine.quality.sample import share
from engine.quality.scale import TENS
from engine.quality.standing import missed_by
from engine.quality.stopping import Pool, decisions_left, intervals, wrong_between
from engine.records.quality import Scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Spot = tuple[float, float]
"""A figure and its standard error."""

ANSWERS, PER_FIT = 510, 30
CLASSES, WIDTH, IMAGES, FRESH, APART = 5, 24, 2000, 4000, 0.32
SHARES = (0.08, 0.17, 0.25, 0.25, 0.25)
RIDGE, SHARPNESS, FOLDS = 3.0, 6.0, 5
FEW = 110
"""Answers at which the accuracy is tried on few labels."""
MOST_BIAS = 1.0
CHECKED = (20, 50, 100)
"""Answers to the measured set at which the undecided are estimated."""


# The measured set beside a model that learns from the doubtful first.


@dataclass
class _Learner:
    """A ridge regression to the classes, fitted anew after every 30 answers to a pool of 2,000 vectors.

    skip: whether draws that have a label are passed over. keep: whether random answers are kept apart and never learned
    from.
    """

    rng: np.random.Generator
    skip: bool = False
    keep: bool = True

    def __post_init__(self) -> None:
        rng = self.rng
        middles = APART * rng.normal(size=(CLASSES, WIDTH))
        self.x, self.y = self._drawn(IMAGES, middles)
        self.fresh, self.fresh_y = self._drawn(FRESH, middles)
        self.one_hot = np.eye(CLASSES)[self.y]
        self.order = rng.permutation(IMAGES)
        self.decided, self.apart = np.zeros(IMAGES, np.bool_), np.zeros(IMAGES, np.bool_)
        self.scored: list[bool] = []  # of each answer, whether the model before it was right
        self.asked: list[int] = []
        self.at: dict[int, tuple[Floats, Mask, Floats, Mask]] = {}

    def _drawn(self, count: int, middles: Floats) -> tuple[Floats, Ints]:
        """Return vectors (count, D + 1) around the middles of their classes (K, D), and the classes."""
        y = self.rng.choice(CLASSES, count, p=SHARES)
        x = middles[y] + 0.5 * self.rng.normal(size=(count, WIDTH))
        return np.concatenate([2.0 * x, np.ones((count, 1))], 1), y

    def scores(self, rows: Ints, of: Floats | None = None) -> Floats:
        """Return the scores (n, K) of vectors, all by default, by a model of the labels of these rows."""
        x = self.x[rows]
        weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(WIDTH + 1), x.T @ self.one_hot[rows])
        return (self.x if of is None else of) @ weights

    def play(self, answers: int = ANSWERS) -> None:
        """Give so many answers."""
        first = self.rng.permutation(IMAGES)[: 2 * CLASSES]
        self.decided[first] = True
        place, scores, queue = 0, self.scores(first), []
        for answer in range(1, answers + 1):
            if answer % PER_FIT == 1:
                scores = self.scores(self.learned())
                top = np.sort(scores, 1)
                queue = np.argsort(np.where(self.decided, np.inf, top[:, -1] - top[:, -2]), kind="stable").tolist()
                queue.reverse()
            if wanted(answer) > int(self.apart.sum()):
                while self.skip and self.decided[self.order[place]]:
                    place += 1
                row, place = int(self.order[place]), place + 1
                self.apart[row] = True
            else:
                row = queue.pop()
                while self.decided[row]:
                    row = queue.pop()
            self.scored.append(bool(scores[row].argmax() == self.y[row]))
            self.asked.append(row)
            self.decided[row] = True
            if self.apart.sum() in CHECKED and int(self.apart.sum()) not in self.at:
                self._check()

    def learned(self) -> Ints:
        """Return the rows that the model learns from."""
        return np.flatnonzero(self.decided & ~self.apart if self.keep else self.decided)

    def _check(self) -> None:
        """Keep confidence and rightness of the measured and of the undecided."""
        scores = self.scores(self.learned())
        sure = np.exp(SHARPNESS * (scores - scores.max(1, keepdims=True)))
        confidence, right = sure.max(1) / sure.sum(1), scores.argmax(1) == self.y
        undecided = ~self.decided
        self.at[int(self.apart.sum())] = (
            confidence[self.apart], right[self.apart], confidence[undecided], right[undecided]
        )  # fmt: skip

    def truth(self, rows: Ints) -> float:
        """Return the share right of a model of these rows on images like those of the pool, of which it has seen none.

        Not the mean over the pool without each row in turn: where the labels are mixed, a model without a row says its
        class too seldom.
        """
        return float((self.scores(rows, self.fresh).argmax(1) == self.fresh_y).mean())

    def right_of(self, train: Ints, test: Ints) -> int:
        """Return how many of the test rows a model of the others has right."""
        return int((self.scores(train, self.x[test]).argmax(1) == self.y[test]).sum())

    def cross_validated(self, rows: Ints) -> int:
        """Return how many of the rows models of the other folds, and of all other answers, have right."""
        fold, others = self.rng.permutation(len(rows)) % FOLDS, np.setdiff1d(np.flatnonzero(self.decided), rows)
        return sum(
            self.right_of(np.concatenate([others, rows[fold != k]]), rows[fold == k]) for k in range(FOLDS)
        )  # fmt: skip


def measured(runs: int, rng: np.random.Generator) -> list[Line]:
    """Accuracy, class shares and the undecided by the measured set, after 510 answers with the doubtful first."""
    found: dict[str, list[tuple[bool, float, float]]] = {}
    shares: dict[str, list[tuple[bool, float, float]]] = {}
    undecided: dict[int, list[tuple[bool, float, float]]] = {}
    plain: list[bool] = []
    for seed in rng.integers(0, 2**62, runs).tolist():
        one = _Learner(np.random.default_rng(seed))
        one.play()
        train, measured_rows = one.learned(), np.flatnonzero(one.apart)
        truth = one.truth(train)
        right = one.at[max(CHECKED)][1]
        _put(found, "apart", one.right_of(train, measured_rows), len(measured_rows), truth)
        every = np.flatnonzero(one.decided)
        held = one.rng.permutation(every)[: len(every) // 5]
        rest = np.setdiff1d(every, held)
        _put(found, "fifth", one.right_of(rest, held), len(held), one.truth(rest))
        of_all = one.truth(every)
        _put(found, "folds", one.cross_validated(every), len(every), of_all)
        _put(found, "scored before", sum(one.scored), ANSWERS, of_all)
        rare = float((one.y == 0).mean())
        _put(shares, "measured", int((one.y[measured_rows] == 0).sum()), len(measured_rows), rare)
        _put(shares, "labels", int((one.y[every] == 0).sum()), len(every), rare)
        for n, (confidence, right, others, others_right) in one.at.items():
            estimate, true = undecided_share(confidence, right, others), float(others_right.mean())
            held_in = estimate.low <= true <= estimate.high
            undecided.setdefault(n, []).append((held_in, estimate.value - true, estimate.high - estimate.low))
        plain.append(_holds(int(right.sum()), len(right), float(others_right.mean())))
        for key, answers in (("random folds", ANSWERS), ("few folds", FEW)):
            learning = _Learner(np.random.default_rng(seed), keep=False)
            learning.play(answers)
            rows = np.flatnonzero(learning.apart)
            _put(found, key, learning.cross_validated(rows), len(rows), learning.truth(learning.learned()))
        begun = _Learner(np.random.default_rng(seed))
        begun.play(FEW)
        rows = np.flatnonzero(begun.apart)
        _put(found, "few apart", begun.right_of(begun.learned(), rows), len(rows), begun.truth(begun.learned()))
        other = _Learner(np.random.default_rng(seed), skip=True)
        other.play()
        rows = np.flatnonzero(other.apart)
        _put(found, "skipping", other.right_of(other.learned(), rows), len(rows), other.truth(other.learned()))
    names = {
        "fifth": "a fifth of all labels", "folds": "cross-validation on all labels",
        "random folds": "cross-validation on random answers alone",
        "scored before": "each answer scored by the model before it",
        "skipping": "measured, labeled draws skipped",
    }  # fmt: skip
    controls = tuple(Control(f"{name} (bias {_bias(found[key])})", *_held(found[key])) for key, name in names.items())
    by_n = {f"{n}": _held(one) for n, one in undecided.items()}
    return [
        Line("accuracy of a round", "interval on the measured set", 95, False, *_held(found["apart"]),
             f"± {_half(found['apart'])} points at {wanted(ANSWERS)}, bias {_bias(found['apart'])}", controls),
        Line("accuracy of a round", f"mean error, points either way, {FEW} answers", MOST_BIAS, True,
             *_off(found["few apart"]), f"{wanted(FEW)} measure",
             (Control("cross-validation on random answers alone", *_off(found["few folds"])),)),
        Line("share of a rare class", "interval on the measured set", 95, False, *_held(shares["measured"]),
             f"± {_half(shares['measured'])} points at {wanted(ANSWERS)}",
             (Control("all labels", *_held(shares["labels"])),)),
        Line("share right of the undecided", f"interval by bands, {', '.join(by_n)} answers", 95, False,
             *worst(by_n, most=False), f"± {_half(undecided[max(CHECKED)])} points at {max(CHECKED)}",
             (Control("the measured set's own interval", *percent_of(plain)),)),
    ]  # fmt: skip


def _put(into: dict[str, list[tuple[bool, float, float]]], key: str, right: int, n: int, truth: float) -> None:
    """Keep whether the exact interval of right of n holds, its error and its width."""
    stated = share(right, n, "")
    into.setdefault(key, []).append((stated.low <= truth <= stated.high, right / n - truth, stated.high - stated.low))


def _holds(right: int, n: int, truth: float) -> bool:
    stated = share(right, n, "")
    return stated.low <= truth <= stated.high


def _held(of: Sequence[tuple[bool, float, float]]) -> Spot:
    return percent_of([held for held, _, _ in of])


def _bias(of: Sequence[tuple[bool, float, float]]) -> str:
    return f"{100 * np.mean([error for _, error, _ in of]):+.1f}".replace("-", "−")


def _off(of: Sequence[tuple[bool, float, float]]) -> Spot:
    """Return the mean error in points, either way, and its standard error."""
    mean, error = _mean([error for _, error, _ in of])
    return abs(mean), error


def _half(of: Sequence[tuple[bool, float, float]]) -> str:
    return f"{50 * np.mean([width for _, _, width in of]):.0f}"


# Scenes of several images that are right or wrong together.

SCENES, FRAMES, RIGHT = (5, 10, 20, 30, 60), 6, 0.7


def scenes(runs: int, rng: np.random.Generator) -> list[Line]:
    """Accuracy on new scenes by one image a scene; each image of 6 is right with the scene's own chance."""
    by_scenes, by_images, by_means = {}, {}, {}
    for count in SCENES:
        chance = rng.beta(0.2 * RIGHT, 0.2 * (1 - RIGHT), (runs, count))
        right = rng.binomial(FRAMES, chance)
        one_each = rng.random((runs, count)) < right / FRAMES
        by_scenes[f"{count}"] = percent_of(_covers(one_each.sum(1), count, RIGHT))
        by_images[f"{count}"] = percent_of(_covers(right.sum(1), FRAMES * count, RIGHT))
        share_of = right / FRAMES
        off = np.abs(share_of.mean(1) - RIGHT)
        by_means[f"{count}"] = percent_of(off <= t.ppf(0.975, count - 1) * share_of.std(1, ddof=1) / np.sqrt(count))
    half = 50 * float(np.mean(np.subtract(*reversed(_exact(np.array([round(RIGHT * 30)]), 30)))))
    return [
        Line("accuracy on new scenes", f"one image a scene, {SCENES[0]} to {SCENES[-1]} scenes", 95, False,
             *worst(by_scenes, most=False), f"± {half:.0f} points at 30 scenes",
             (Control("every image counted", *worst(by_images, most=True)),
              Control(f"t interval of the scenes' means, {SCENES[0]} scenes", *by_means[f"{SCENES[0]}"]))),
    ]  # fmt: skip


def _exact(right: Ints, n: int) -> tuple[Floats, Floats]:
    """Return Clopper and Pearson's limits (R,) of right of n."""
    low = np.where(right == 0, 0.0, beta.ppf(0.025, np.maximum(right, 1), n - right + 1))
    high = np.where(right == n, 1.0, beta.ppf(0.975, right + 1, np.maximum(n - right, 1)))
    return low, high


def _covers(right: Ints, n: int, truth: float) -> Mask:
    low, high = _exact(right, n)
    return np.asarray((low <= truth) & (truth <= high))


# Which of two rounds is better.

PAIRS, MOST_PAIRS, DISCORD = 600, 3000, 0.2


def verdicts(runs: int, rng: np.random.Generator) -> list[Line]:
    """Two rounds on the same images, watched after each: as good as each other, or one better by some points."""
    wins, losses = _discordant(runs, PAIRS, 0.0, rng)
    said = percent_of(_ever(_evidence(wins, losses) >= ENOUGH_EVIDENCE))
    p_value = np.minimum(1.0, 2 * binom.cdf(np.minimum(wins, losses), wins + losses, 0.5))
    looked = np.arange(PAIRS) % (PAIRS // 5) == PAIRS // 5 - 1
    controls = (
        Control("McNemar at each image", *percent_of(_ever(p_value[:, 19:] < 0.05))),
        Control("McNemar at five looks", *percent_of(_ever(p_value[:, looked] < 0.05))),
    )
    medians = []
    for points in (5, 3):
        up, down = _discordant(max(20, runs // 8), MOST_PAIRS, points / 100, rng)
        reached = (_evidence(up, down) >= ENOUGH_EVIDENCE) & (up > down)
        medians.append(int(np.median(np.where(reached.any(1), reached.argmax(1) + 1, MOST_PAIRS))))
    wins, losses = _discordant(runs, PAIRS, -0.03, rng)
    better = _ever((_evidence(wins, losses) >= ENOUGH_EVIDENCE) & (wins > losses))
    new, old = (rng.binomial(100, share, runs) for share in (0.77, 0.8))
    return [
        Line("a round is better or worse", "e-value, where they are alike", 5, True, *said,
             f"{medians[0]} images for 5 points, {medians[1]} for 3", controls),
        Line("a round is better", "e-value, where it is worse by 3 points", 5, True, *percent_of(better), "",
             (Control("accuracy went up, 100 images each", *percent_of(new > old)),)),
        Line("the feedback helped", "McNemar, one look at 200", 5, True, *percent_of(p_value[:, 199] < 0.05), "",
             (Control("McNemar at each image", *percent_of(_ever(p_value[:, 19:200] < 0.05))),)),
    ]  # fmt: skip


def _discordant(runs: int, images: int, gain: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return images (R, n) that only the one and only the other round has right, after each image."""
    u = rng.random((runs, images))
    wins = u < (DISCORD + gain) / 2
    losses = ~wins & (u < DISCORD)
    return wins.cumsum(1), losses.cumsum(1)


def _ever(said: Mask) -> Mask:
    """Return for each run (R,) of images (R, n) whether it was said after any of them."""
    return np.asarray(said.any(1))


def _evidence(wins: Ints, losses: Ints) -> Floats:
    """Return `engine.quality.measured_set.evidence` of many pairs at once."""
    log = (wins + losses) * np.log(2) + betaln(2 + wins, 2 + losses) - betaln(2, 2)
    return np.asarray(np.exp(np.minimum(log, 700.0)))


# How sure a prediction is.

WORLDS = ((0.0, 0.0), (-0.8, 0.0), (0.5, -0.5), (0.0, 0.4), (-0.5, -0.4))
"""True a and b: as the model says; too sure; too modest where unsure; too modest; far too sure."""
UNDECIDED, ACCEPTED, GOAL, NEXT = 3000, 0.5, 0.95, 100
WITHIN = 0.25


@dataclass
class _Sureness:
    """What recalibrated and plain confidences said of the undecided, by number of measured answers and world."""

    def __post_init__(self) -> None:
        self.error: dict[tuple[int, int], list[float]] = {}
        self.plain: dict[int, list[float]] = {}
        self.binned: dict[int, list[float]] = {}
        self.words: dict[tuple[int, str], list[float]] = {}
        self.gap: dict[tuple[int, int], list[tuple[bool, float]]] = {}
        self.close: dict[tuple[int, str], list[bool]] = {}
        self.held: dict[tuple[int, str], list[bool]] = {}
        self.plain_held: dict[tuple[int, str], list[bool]] = {}


def sureness(runs: int, rng: np.random.Generator) -> list[Line]:
    """Recalibrated confidences of the undecided, of which the doubtful ones are answered, after 20 to 300 answers."""
    found = _Sureness()
    for _ in range(max(20, runs // 4)):
        for place, (a, b) in enumerate(WORLDS):
            others = _confidences(UNDECIDED, rng)
            true = _true_share(others, a, b)
            found.plain.setdefault(place, []).append(float(np.abs(others - true).mean()))
            for n in written_as.SIZES:
                _one_scale(found, place, n, others, true, (a, b), rng)
    lines = []
    for n, most, what in ((100, 5.0, "tens of percent"), (300, 3.0, "percent")):
        by_world = {f"{w}": _mean(found.error[n, w]) for w in range(len(WORLDS))}
        plain = {f"{w}": _mean(one) for w, one in found.plain.items()}
        binned = Control(f"calibration error of a perfect model by {n} answers", *_mean(found.binned[n]))
        lines.append(
            Line(f"confidence in {what}", f"true error on the undecided, points, {n} answers", most, True,
                 *worst(by_world, most=True), _before(found),
                 (Control("as the model says", *worst(plain, most=True)), *((binned,) if n == 300 else ()))),
        )  # fmt: skip
    sure = {f"{w}": _mean(one) for (w, word), one in found.words.items() if word == "sure"}
    plain_sure = {f"{w}": _mean(one) for (w, word), one in found.words.items() if word == "plain"}
    lines.append(
        Line("“sure”", "right of 100 such, 50 answers", 90, False, *worst(sure, most=False), "",
             (Control("confidence ≥ .9 as the model says", *worst(plain_sure, most=False)),)),
    )  # fmt: skip
    for n in (100, 300):
        gaps = {f"{w}": percent_of([held for held, _ in found.gap[n, w]]) for w in range(len(WORLDS))}
        half = 50 * float(np.mean([one for w in range(len(WORLDS)) for _, one in found.gap[n, w]]))
        lines.append(Line("mean confidence − share right", f"interval, {n} answers", 95, False,
                          *worst(gaps, most=False), f"± {half:.0f} points"))  # fmt: skip
    numbers = {
        "corrections": f"corrections in the next {NEXT}", "accepted": "wrong among the accepted",
        "left": "wrong among the undecided", "decisions": f"decisions left to {100 * GOAL:g} %",
    }  # fmt: skip
    for key, number in numbers.items():
        held = {f"{w}": percent_of(one) for (w, what), one in found.held.items() if what == key}
        near = {f"{w}": percent_of(one) for (w, what), one in found.close.items() if what == key}
        plain = {f"{w}": percent_of(one) for (w, what), one in found.plain_held.items() if what == key}
        width = f"{worst(near, most=False)[0]:.0f} % within ± 25 % of the middle"
        lines.append(
            Line(number, "interval, 100 answers", 95, False, *worst(held, most=False), width,
                 (Control("as the model says, chance alone", *worst(plain, most=False)),)),
        )  # fmt: skip
    return lines


def _one_scale(
    found: _Sureness, place: int, n: int, others: Floats, true: Floats, world: Spot, rng: np.random.Generator
) -> None:
    """Measure n random images, write the undecided by them, and keep what was said."""
    confidence = 0.4 + 0.6 * rng.beta(2, 1, n)
    right = rng.random(n) < _true_share(confidence, *world)
    a, b = written_as.fit(confidence, right)
    said = expit(a + np.exp(b) * logit(np.clip(others, 1e-4, 1 - 1e-4)))
    found.error.setdefault((n, place), []).append(float(np.abs(said - true).mean()))
    if place == 0:
        found.binned.setdefault(n, []).append(reliability(confidence, right).ece)
    exact, mean, truth = share(int(right.sum()), n, ""), float(confidence.mean()), _mean_gap(world)
    found.gap.setdefault((n, place), []).append(
        (mean - exact.high <= truth <= mean - exact.low, exact.high - exact.low)
    )
    if n == 50:
        for word, values in (("sure", said), ("plain", others)):
            if (values >= 0.9).any():
                found.words.setdefault((place, word), []).append(float(true[values >= 0.9].mean()))
    if n == TENS:
        _what_is_left(found, place, written_as.of_answers(confidence, right), np.sort(others), world, rng)


def _what_is_left(
    found: _Sureness, place: int, written: Scale, others: Floats, world: Spot, rng: np.random.Generator
) -> None:
    """Keep whether what is told of the undecided, the least sure first, holds what a person would count."""
    true = _true_share(others, *world)
    wrong = rng.random(len(others)) >= true
    half = int(len(others) * ACCEPTED)
    pool = Pool(others, np.zeros(0), 0, 0.0, len(others), GOAL, NEXT)
    as_told = replace(written, a=0.0, b=0.0, unsure=(0.0, 0.0, 0.0, 0.0, 0.0))
    counted = {
        "corrections": int(wrong[:NEXT].sum()), "left": int(wrong.sum()), "accepted": int(wrong[half:].sum()),
        "decisions": decisions_left(true, len(true), GOAL) or 0,
    }  # fmt: skip
    for one, into in ((written, found.held), (as_told, found.plain_held)):
        corrections, left, decisions = intervals(one, pool)
        accepted = wrong_between(one, others[half:])
        said = {"corrections": corrections, "left": left, "accepted": accepted, "decisions": decisions}
        for key, interval in said.items():
            into.setdefault((place, key), []).append(interval.low <= counted[key] <= interval.high)
            if into is found.held:
                middle = (interval.low + interval.high) / 2
                found.close.setdefault((place, key), []).append(abs(middle - counted[key]) <= WITHIN * counted[key])


def _confidences(n: int, rng: np.random.Generator) -> Floats:
    """Return confidences of undecided images: surer than all, since the doubtful ones were asked."""
    return np.asarray(0.4 + 0.6 * rng.beta(3, 1, n))


def _true_share(confidence: Floats, a: float, b: float) -> Floats:
    return np.asarray(expit(a + np.exp(b) * logit(np.clip(confidence, 1e-4, 1 - 1e-4))))


@cache
def _mean_gap(world: Spot) -> float:
    """Return the true mean of confidence − share right over all images."""
    at = 0.4 + 0.6 * beta.ppf((np.arange(2000) + 0.5) / 2000, 2, 1)
    return float((at - _true_share(at, *world)).mean())


def _mean(values: Sequence[float]) -> Spot:
    return 100 * float(np.mean(values)), 100 * float(np.std(values) / np.sqrt(len(values)))


def _before(found: _Sureness) -> str:
    """Say the worst mean error with fewer answers."""
    parts = []
    for n in (20, 50):
        parts.append(f"{max(_mean(found.error[n, w])[0] for w in range(len(WORLDS))):.1f} at {n}")
    return ", ".join(parts)


# How many labels are wrong, and how often people err.

TRUE_SCALES, SUSPECTS, RANDOM = (0.6, 1.0, 1.8), 4000, 50
MOST_OFF = 2.0


def shares_wrong(runs: int, rng: np.random.Generator) -> list[Line]:
    """The estimated share wrong after 50 random answers, where .6, 1 or 1.8 times as many are wrong as suspected."""
    error: dict[str, list[float]] = {}
    plain: dict[str, list[float]] = {}
    differ, alike = _BySource(), _BySource()
    for _ in range(runs):
        suspicion = np.minimum(rng.beta(0.15, 5, SUSPECTS), 0.55)
        drawn = rng.permutation(SUSPECTS)[:RANDOM]
        rest = np.ones(SUSPECTS, np.bool_)
        rest[drawn] = False
        source = np.arange(SUSPECTS) % 2
        for truth in TRUE_SCALES:
            wrong = rng.random(SUSPECTS) < truth * suspicion
            scaled = scaled_by(int(wrong[drawn].sum()), float(suspicion[drawn].sum()))
            true = float(wrong[rest].mean())
            error.setdefault(f"{truth:g}", []).append(scaled * float(suspicion[rest].mean()) - true)
            plain.setdefault(f"{truth:g}", []).append(float(wrong[drawn].mean()) - true)
            if truth == 1.0:
                alike.add(suspicion, wrong, source, drawn, rest)
        wrong = rng.random(SUSPECTS) < np.array([0.6, 1.8])[source] * suspicion
        differ.add(suspicion, wrong, source, drawn, rest)
    claim = f"root mean square error, points, {RANDOM} random answers"
    each = "/".join(f"{_root(one)[0]:.2f}" for one in error.values())
    by_source = {rule: [_worst_root(of.error[rule]) for of in (differ, alike)] for rule in differ.error}
    (shrunk, _), (shrunk_alike, _), (common_alike, _) = *by_source["shrunk"], by_source["common"][1]
    return [
        Line("share wrong now", claim, MOST_OFF, True, *_worst_root(error), f"{each} at .6/1/1.8 × suspected",
             (Control("wrong of the answers alone", *_worst_root(plain)),)),
        Line("share wrong now, by source", f"{claim}, sources at .6 and 1.8 ×", MOST_OFF, True, *by_source["common"][0],
             f"an own scale for each, shrunk to the common one: {shrunk:.2f}, where they are alike {shrunk_alike:.2f} "
             f"in place of {common_alike:.2f}",
             (Control("wrong of its own answers alone", *by_source["own"][0]),)),
    ]  # fmt: skip


class _BySource:
    """Errors of the share wrong in each of two sources, by rule and source: one scale for both, an own one for each
    that is shrunk to it (the common one being the mean of its gamma prior), and the source's own answers alone."""

    def __init__(self) -> None:
        self.error: dict[str, dict[str, list[float]]] = {rule: {} for rule in ("common", "shrunk", "own")}

    def add(self, suspicion: Floats, wrong: Mask, source: Ints, drawn: Ints, rest: Mask) -> None:
        """Estimate the rest (N,) of each source by the answers to the images drawn (n,)."""
        common = scaled_by(int(wrong[drawn].sum()), float(suspicion[drawn].sum()))
        for one in (0, 1):
            mine, own = rest & (source == one), drawn[source[drawn] == one]
            true, suspected = float(wrong[mine].mean()), float(suspicion[mine].mean())
            shrunk = (float(wrong[own].sum()) + PRIOR * common) / (float(suspicion[own].sum()) + PRIOR)
            told = {"common": common * suspected, "shrunk": shrunk * suspected, "own": float(wrong[own].mean())}
            for rule, share_wrong in told.items():
                self.error[rule].setdefault(f"{one}", []).append(share_wrong - true)


def _root(errors: Sequence[float]) -> Spot:
    squares = np.square(errors)
    root = float(np.sqrt(squares.mean()))
    return 100 * root, 100 * float(squares.std() / np.sqrt(len(squares)) / max(2 * root, 1e-9))


def _worst_root(of: Mapping[str, Sequence[float]]) -> Spot:
    return worst({key: _root(errors) for key, errors in of.items()}, most=True)


HUMANS, HUMANS_WRONG, SLIPS, ASKED = 1000, 20, 0.02, 200


def people_errors(runs: int, rng: np.random.Generator) -> list[Line]:
    """How often people err, by human labels asked again: of 1,000 labels 20 are wrong, and people slip in 2 %."""
    world = Runs(runs, ASKED, rng)
    audits = Audits(HUMANS, constant(world, 2.0 * HUMANS_WRONG))
    left = np.full(runs, float(HUMANS_WRONG))
    halved = np.zeros(runs)
    for n in range(ASKED):
        wrong = world.chance(left / (HUMANS - n))
        left -= wrong
        slips, alike = world.chance(np.full(runs, SLIPS)), world.chance(np.full(runs, 0.25))
        y = np.where(wrong, ~(slips & alike), slips).astype(np.float64)
        audits.bet(y)
        halved += y / 2
    share_of = 100 * halved / ASKED
    true = 100 * HUMANS_WRONG / HUMANS
    root = float(np.sqrt(np.mean((share_of - true) ** 2)))
    twice = float(np.sqrt(np.mean((2 * share_of - true) ** 2)))
    spread = root / np.sqrt(2 * runs)
    return [
        Line("error of people, at most", f"watched over {ASKED} answers", 5, True, *percent_of(audits.failed()),
             f"{100 * audits.bound() / 2:.1f} % where {true:g} % are wrong"),
        Line("error of people", f"root mean square error, points, {ASKED} answers", 1.0, True, root, spread, "",
             (Control("disagreements not halved", twice, twice / np.sqrt(2 * runs)),)),
    ]  # fmt: skip


OF_PEOPLE, OF_MODEL, MODEL_WRONG = 2_000, 8_000, 200
CHECKED_EACH = 50
ERRING = (0.02, 0.1)


def people_passing(runs: int, rng: np.random.Generator) -> list[Line]:
    """Labels left wrong at most, with q from the labels of people that the audit asks again, looked up now and then.

    People err in 2 or in 10 % at each look anew: a right label is put wrong where both looks err, a wrong one
    passes where one of them errs in the label's own way, as half of the errors do. What becomes of a bound without q
    is in the row of labels shown.
    """
    return [_passing(erring, runs, rng) for erring in ERRING]


def _passing(erring: float, runs: int, rng: np.random.Generator) -> Line:
    world, every = Runs(runs, ANSWERS, rng), np.ones(runs)
    wrong = np.array([round(erring * OF_PEOPLE), MODEL_WRONG])
    pool, labels = Drawn(runs, np.array([OF_PEOPLE, OF_MODEL]), wrong), OF_PEOPLE + OF_MODEL
    audits = Audits(labels, constant(world, float(wrong.sum())), replayed=runs)
    humans = Audits(OF_PEOPLE, constant(world, 2.0 * wrong[0]), replayed=runs)
    asked, put_wrong = np.zeros(runs), np.zeros(runs)
    failed, bound = np.zeros(runs, np.bool_), np.zeros(runs)
    for n in range(1, ANSWERS + 1):
        stratum, truly = pool.draw(world)
        first, second, alike = (world.chance(chance * every) for chance in (erring, erring, 0.5))
        passed = (truly == 1.0) & (first | second) & alike
        y = np.where(truly == 1.0, ~passed, first & second).astype(np.float64)
        differs = np.where(truly == 1.0, ~(first & alike), first).astype(np.float64)
        audits.bet(y)
        humans.bet(differs, on=stratum == 0)
        asked += stratum == 0
        put_wrong += passed | ((y == 1.0) & (second | (truly == 0.0)))
        if n % CHECKED_EACH == 0:
            left, found = pool.wrong.sum(1) + put_wrong, audits.found
            limits = zip((humans.uppers() / OF_PEOPLE / 2).tolist(), asked.tolist(), strict=True)
            q = np.array([missed_by(PeopleError(0.0, upper, int(n_asked))) for upper, n_asked in limits])
            bound = np.floor(audits.uppers() / (1.0 - q) + 1e-9) - found
            failed |= left > bound
    width = f"{100 * bound.mean() / labels:.1f} % where {100 * left.mean() / labels:.1f} % are"
    claim = f"people err in {100 * erring:g} %, q by their labels asked again"
    return Line("left wrong at most", claim, 5, True, *percent_of(failed), width)


# How long the next decisions take.

TIMED, MEDIAN_SECONDS, SPREAD_OF_SECONDS = 100, 2.5, 0.6


def minutes(runs: int, rng: np.random.Generator) -> list[Line]:
    """Minutes for the next 100 decisions at the pace of 100 timed ones, whose times have a long tail."""
    near, near_mean = [], []
    for _ in range(runs):
        times = MEDIAN_SECONDS * np.exp(SPREAD_OF_SECONDS * rng.standard_normal(TIMED + NEXT))
        seen = times[:TIMED]
        names, none = np.full(TIMED, "one", object), np.full(TIMED, None, object)
        (pace,) = paces(names, seen, np.full(TIMED, "label", object), none, np.full(TIMED, "2026-01-01", object))
        true = float(times[TIMED:].sum())
        near.append(abs(NEXT * (pace.seconds or 0.0) - true) <= WITHIN * true)
        near_mean.append(abs(NEXT * float(seen.mean()) - true) <= WITHIN * true)
    width = f"{percent_of(near_mean)[0]:.0f} % by the mean in place of the median"
    return [Line("minutes for the next 100", "within ± 25 %, 100 timed", 70, False, *percent_of(near), width)]


WORLDS_OF_ESTIMATES: dict[str, Callable[[int, np.random.Generator], list[Line]]] = {
    "measured set": measured,
    "new scenes": scenes,
    "verdicts": verdicts,
    "sureness": sureness,
    "share wrong": shares_wrong,
    "people's error": people_errors,
    "minutes": minutes,
    "people's error in the bound": people_passing,
}
"""The worlds by name; each takes the number of runs and random numbers."""
