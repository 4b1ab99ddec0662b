"""Worlds for the shares that single pages show: the test split, classes one by one, how sure a round is of the rest.

As in `engine.benchmarks.honest_worlds`, each returns its lines, and what is stated is computed by the product's own
functions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]

from engine.benchmarks.honest_lines import Control, Line, percent_of, worst
from engine.quality import people
from engine.quality.measured_set import undecided_share
from engine.quality.reliability import gap
from engine.quality.sample import share
from engine.quality.scale import SHARE
from engine.quality.suspicion import GIVEN

Floats = NDArray[np.float64]
Held = dict[str, list[bool]]

WORLDS = ((0.0, 0.0), (-0.8, 0.0), (0.5, -0.5), (0.0, 0.4), (-0.5, -0.4))
"""a and b of the true share right, logit p' = a + e^b logit p: as the model says; too sure; and so on."""
UNDECIDED, THRESHOLD, SIZES = 3000, 0.9, (20, 100, 300)


SLIPPING, SLIP_ANSWERS, OTHER_CLASSES, ASKED_AGAIN = (0.0, GIVEN, 2 * GIVEN), 300, 4, 100


def _keep(into: Held, key: str, low: float, high: float, truth: float) -> None:
    into.setdefault(key, []).append(low <= truth <= high)


def _half(widths: list[float]) -> str:
    return f"± {50 * float(np.mean(widths)):.0f} points"


SPLIT_SCENES, FRAMES, RIGHT_THERE, RIGHT_IN_ALL = 60, 6, 0.8, 0.7


def given_split(runs: int, rng: np.random.Generator) -> list[Line]:
    """A test split of 60 scenes of 6 frames, of which a round has 80 % right; of all images it has 70 % right."""
    held: Held = {}
    widths = []
    for _ in range(runs):
        chance = rng.beta(0.2 * RIGHT_THERE, 0.2 * (1 - RIGHT_THERE), SPLIT_SCENES)
        right = rng.random((SPLIT_SCENES, FRAMES)) < chance[:, None]
        one_each, every = share(int(right[:, 0].sum()), len(right), ""), share(int(right.sum()), right.size, "")
        _keep(held, "one a scene", one_each.low, one_each.high, RIGHT_THERE)
        _keep(held, "every image", every.low, every.high, RIGHT_THERE)
        _keep(held, "of all images", one_each.low, one_each.high, RIGHT_IN_ALL)
        widths.append(one_each.high - one_each.low)
    return [
        Line("right of the test split", f"interval, one image a scene, {SPLIT_SCENES} scenes like its own", 95, False,
             *percent_of(held["one a scene"]), _half(widths),
             (Control("every image counted", *percent_of(held["every image"])),
              Control("taken for the accuracy on all images", *percent_of(held["of all images"])))),
    ]  # fmt: skip


CLASS_RIGHT = (0.95, 0.85, 0.75, 0.6)
PREDICTED = (0.4, 0.3, 0.2, 0.1)
CLASS_ANSWERS, IMAGES = 200, 4000


def classes_right(runs: int, rng: np.random.Generator) -> list[Line]:
    """Predictions of four classes, right in 60 to 95 %; 200 random answers and as many to the least sure images."""
    held: Held = {}
    doubtful: Held = {}
    widths = []
    for _ in range(runs):
        predicted = rng.choice(len(PREDICTED), IMAGES, p=PREDICTED)
        right = rng.random(IMAGES) < np.array(CLASS_RIGHT)[predicted]
        doubt = np.argsort(right + rng.normal(size=IMAGES))[:CLASS_ANSWERS]
        drawn = rng.permutation(IMAGES)[:CLASS_ANSWERS]
        for name in range(len(PREDICTED)):
            truth = float(right[predicted == name].mean())
            for rows, into in ((drawn, held), (doubt, doubtful)):
                mine = rows[predicted[rows] == name]
                if len(mine) < SHARE:
                    continue
                told = share(int(right[mine].sum()), len(mine), "")
                _keep(into, f"{name}", told.low, told.high, truth)
                if into is held:
                    widths.append(told.high - told.low)
    return [
        Line("measured right of a class", f"interval from {SHARE} answers on, of {CLASS_ANSWERS} in all", 95, False,
             *worst({key: percent_of(one) for key, one in held.items()}, most=False), _half(widths),
             (Control("answers to the least sure images",
                      *worst({key: percent_of(one) for key, one in doubtful.items()}, most=True)),)),
    ]  # fmt: skip


def too_sure(runs: int, rng: np.random.Generator) -> list[Line]:
    """Mean confidence less share right of the undecided, and of those above a threshold, after 20, 100, 300 answers."""
    undecided, mixed, above, whole_for_above = ({} for _ in range(4))  # type: tuple[Held, Held, Held, Held]
    widths: dict[int, list[float]] = {}
    widths_above: list[float] = []
    for n in SIZES:
        for place, world in enumerate(WORLDS):
            key = f"{n} {place}"
            for _ in range(max(20, runs // 4)):
                confidence, others = _confidences(n, 2, rng), _confidences(UNDECIDED, 3, rng)
                right = rng.random(n) < _true_share(confidence, world)
                right_too = rng.random(UNDECIDED) < _true_share(others, world)
                truth, mean = float(others.mean() - right_too.mean()), float(others.mean())
                told, whole = undecided_share(confidence, right, others), gap(confidence, right)
                _keep(undecided, key, mean - told.high, mean - told.low, truth)
                _keep(mixed, key, mean - whole.high, mean - whole.low, truth)
                widths.setdefault(n, []).append(told.high - told.low)
                taken, accepted = confidence >= THRESHOLD, others >= THRESHOLD
                if taken.sum() < SHARE:
                    continue
                low, high = gap(confidence[taken], right[taken]).interval
                of_accepted = float(others[accepted].mean() - right_too[accepted].mean())
                _keep(above, key, low, high, of_accepted)
                _keep(whole_for_above, key, *whole.interval, of_accepted)
                widths_above.append(high - low)
    sizes = ", ".join(f"{n}" for n in SIZES)
    return [
        Line("mean confidence − share right, undecided", f"interval by bands, {sizes} answers", 95, False,
             *_worst(undecided), f"{_half(widths[SIZES[-2]])} at {SIZES[-2]}",
             (Control("the share right of all in its place", *_worst(mixed)),)),
        Line("mean confidence − share right, above a threshold", f"interval, from {SHARE} answers above {THRESHOLD:g}",
             95, False, *_worst(above), _half(widths_above),
             (Control("that of all answers in its place", *_worst(whole_for_above)),)),
    ]  # fmt: skip


def slips(runs: int, rng: np.random.Generator) -> list[Line]:
    """The share right of the undecided by answers of which some are slips, before and after people were asked again.

    Before, they are supposed to slip in 2 %, and it is promised where there are as many or none; told besides where
    there are twice as many. After, it is promised there too.
    """
    before: dict[float, Held] = {slipping: {} for slipping in SLIPPING}
    asked: dict[float, Held] = {slipping: {} for slipping in SLIPPING}
    supposed: dict[float, Held] = {slipping: {} for slipping in SLIPPING}
    plain: dict[float, Held] = {slipping: {} for slipping in SLIPPING}
    widths: dict[str, list[float]] = {"before": [], "asked": []}
    for slipping in SLIPPING:
        for place, world in enumerate(WORLDS):
            for _ in range(max(20, runs // 4)):
                confidence, others = _confidences(SLIP_ANSWERS, 2, rng), _confidences(UNDECIDED, 3, rng)
                right = rng.random(SLIP_ANSWERS) < _true_share(confidence, world)
                slipped, alike = rng.random(SLIP_ANSWERS) < slipping, rng.random(SLIP_ANSWERS) < 1 / OTHER_CLASSES
                said = np.where(slipped, ~right & alike, right)
                truth = float((rng.random(UNDECIDED) < _true_share(others, world)).mean())
                differed = _differences(slipping, rng)
                rules = (
                    (before, people.slips()), (asked, people.slips(ASKED_AGAIN, differed)),
                    (supposed, people.Slips(GIVEN, GIVEN)), (plain, people.NO_SLIPS),
                )  # fmt: skip
                told = [undecided_share(confidence, said, others, rule) for _, rule in rules]
                for (into, _), one in zip(rules, told, strict=True):
                    _keep(into[slipping], f"{place}", one.low, one.high, truth)
                widths["before"].append(told[0].high - told[0].low)
                widths["asked"].append(told[1].high - told[1].low)
    most = f"{100 * SLIPPING[-1]:g} %"
    not_taken_out = Control(f"slips not taken out, where they slip in {most}", *_worst(plain[SLIPPING[-1]]))
    number, of = "share right of the undecided", f"of {SLIP_ANSWERS} answers"
    return [
        Line(number, f"people slip in none or {100 * GIVEN:g} % {of}, none asked again", 95, False,
             *_worst_of([before[slipping] for slipping in SLIPPING[:-1]]),
             f"{_half(widths['before'])}; {_worst(before[SLIPPING[-1]])[0]:.1f} % where they slip in {most}",
             (not_taken_out,)),
        Line(number, f"people slip in none, {100 * GIVEN:g} or {most} {of}, {ASKED_AGAIN} of theirs asked again", 95,
             False, *_worst_of([*asked.values()]), _half(widths["asked"]),
             (Control(f"{100 * GIVEN:g} % supposed, where they slip in {most}", *_worst(supposed[SLIPPING[-1]])),
              not_taken_out)),
    ]  # fmt: skip


def _differences(slipping: float, rng: np.random.Generator) -> int:
    """Return how many of the labels asked again get another answer: one of two looks slips, or both, not alike."""
    looks = rng.random((2, ASKED_AGAIN)) < slipping
    alike = rng.random(ASKED_AGAIN) < 1 / OTHER_CLASSES
    return int((looks.any(0) & ~(looks.all(0) & alike)).sum())


def _worst_of(held: list[Held]) -> tuple[float, float]:
    return min((_worst(one) for one in held), key=lambda one: one[0])


def _worst(held: Held) -> tuple[float, float]:
    return worst({key: percent_of(one) for key, one in held.items()}, most=False)


def _confidences(n: int, shape: float, rng: np.random.Generator) -> Floats:
    """Return confidences (n,): of all images with shape 2, surer ones, since the doubtful were asked, with 3."""
    return np.asarray(0.4 + 0.6 * rng.beta(shape, 1, n))


def _true_share(confidence: Floats, world: tuple[float, float]) -> Floats:
    a, b = world
    return np.asarray(expit(a + np.exp(b) * logit(np.clip(confidence, 1e-4, 1 - 1e-4))))


WORLDS_OF_PAGES: dict[str, Callable[[int, np.random.Generator], list[Line]]] = {
    "test split": given_split,
    "classes right": classes_right,
    "too sure": too_sure,
    "slips": slips,
}
