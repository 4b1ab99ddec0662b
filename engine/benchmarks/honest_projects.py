"""Whole projects of seven kinds as lines of `starling bench honesty`: certificates, forecasts, what is said on the way.

A person who slips in 2 % labels photos, or digits, by live labels; after some answers the plan is made and followed to
its end: the doubtful first, a freeze, a random audit with second looks. The truth judges what was said. Projects of a
kind take turns over the sets of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.algorithms.transductive import one_thread
from engine.benchmarks.goal_projects import Certified, GoalProject, Pool, more_looks
from engine.benchmarks.honest_lines import Control, Line, percent_of, worst
from engine.live.graph import Ints
from engine.live.model import ImageSet
from engine.quality.betting import allowed
from engine.quality.measured_set import undecided_share
from engine.quality.plan import Plan, scale, wrong_now
from engine.quality.scale import SHARE

Features = NDArray[np.float32]
Spot = tuple[float, float]

EACH, TYPICAL = 5, 8
"""Labels a class at the start; of typical images, where the labels are no random choice."""
MOST_IMAGES = 900
FRAMES, MOVED, REPEATED = 6, 0.1, 0.3
IMPORTED, IMPORT_WRONG = 0.3, 0.03
MOST_FREQUENT, RAREST = 400, 100
BLURRED = 0.6
SLIPS, PEOPLE = 0.02, 0.02
WITHIN = 0.25


@dataclass(frozen=True)
class Sets:
    """Images and their classes by the name of their set: features (N, D), classes (N,) 0..K-1, λ of the model."""

    by_name: Mapping[str, tuple[Features, Ints, float]]


def _pool(x: Features, y: Ints, votes: float, first: Ints, groups: Ints | None = None) -> Pool:
    none = np.zeros(0, np.int64)
    with one_thread():
        images = ImageSet.of(x, 0)
    return Pool(images, y, np.arange(len(y)) if groups is None else groups, first, none, none, votes)


def _some_of_each(y: Ints, each: int, rng: np.random.Generator) -> Ints:
    """Return rows with `each` of each class, or all where there are fewer."""
    order = rng.permutation(len(y))
    return np.sort(np.concatenate([order[y[order] == k][:each] for k in np.unique(y)]))


def balanced(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """All images, 5 labels a class."""
    return _pool(x, y, votes, _some_of_each(y, EACH, rng))


def imbalanced(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """The rarest class has a hundredth of the images of the most frequent one, the others lie between.

    Where a class has too few images, they are repeated with noise.
    """
    classes = int(y.max()) + 1
    sizes = np.rint(MOST_FREQUENT * RAREST ** (-np.arange(classes) / max(classes - 1, 1))).astype(np.int64)
    rows = np.concatenate([np.resize(rng.permutation(np.flatnonzero(y == k)), sizes[k]) for k in range(classes)])
    again = np.ones(len(rows), np.bool_)
    again[np.unique(rows, return_index=True)[1]] = False
    many = _moved(x[rows], again, REPEATED, x, rng)
    return _pool(many, y[rows], votes, _some_of_each(y[rows], EACH, rng))


def frames(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """Scenes of six near-equal frames."""
    scenes = np.sort(rng.permutation(len(y))[: max(len(y) // FRAMES, 1)])
    scenes = np.union1d(scenes, _some_of_each(y, 1, rng))
    rows = np.repeat(scenes, FRAMES)
    moved = _moved(x[rows], np.ones(len(rows), np.bool_), MOVED, x, rng)
    return _pool(moved, y[rows], votes, _some_of_each(y[rows], EACH, rng), np.repeat(np.arange(len(scenes)), FRAMES))


def _moved(rows: Features, which: NDArray[np.bool_], by: float, x: Features, rng: np.random.Generator) -> Features:
    """Return rows (n, D), those of `which` (n,) with noise of so many deviations of x, none negative where x is not."""
    noise = np.float32(by) * x.std(0) * rng.standard_normal(rows.shape, np.float32)
    moved = rows + which[:, None] * noise
    return np.asarray(np.maximum(moved, 0) if (x >= 0).all() else moved, np.float32)


def noisy_import(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """Of the images 30 % come with a label, 3 % of which are wrong, and nobody has looked at them."""
    pool = _pool(x, y, votes, np.zeros(0, np.int64))
    rows = np.union1d(_some_of_each(y, 2, rng), rng.permutation(len(y))[: round(IMPORTED * len(y))])
    labels, classes = y[rows].copy(), int(y.max()) + 1
    flipped = rng.permutation(len(rows))[: round(IMPORT_WRONG * len(rows))]
    labels[flipped] = (labels[flipped] + rng.integers(1, classes, len(flipped))) % classes
    return Pool(pool.images, y, pool.groups, pool.first, rows, labels, votes)


def missing_class(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """No label of the first class at the start."""
    first = _some_of_each(y, EACH, rng)
    return _pool(x, y, votes, first[y[first] > 0])


def shifted(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """The labels at the start are of typical images, as many of each class; half of the classes lose most images."""
    order = rng.permutation(len(y))
    keep = np.concatenate([
        order[y[order] == k][: None if k % 2 else max(2 * TYPICAL, int((y == k).sum()) // 3)] for k in np.unique(y)
    ])  # fmt: skip
    x, y = x[keep], y[keep]
    first = []
    for k in np.unique(y):
        rows = np.flatnonzero(y == k)
        away = ((x[rows] - x[rows].mean(0)) ** 2).sum(1)
        first.append(rows[np.argsort(away)[:TYPICAL]])
    return _pool(x, y, votes, np.sort(np.concatenate(first)))


def blurred(x: Features, y: Ints, votes: float, rng: np.random.Generator) -> Pool:
    """Noise on the features: a hard set, of which much is wrong."""
    return _pool(x + np.float32(BLURRED) * x.std() * rng.standard_normal(x.shape, np.float32), y, votes,
                 _some_of_each(y, EACH, rng))  # fmt: skip


KINDS: dict[str, Callable[[Features, Ints, float, np.random.Generator], Pool]] = {
    "balanced": balanced,
    "1:100 imbalanced": imbalanced,
    "frames of scenes": frames,
    "3 % wrong in the import": noisy_import,
    "a class missing": missing_class,
    "shifted pool": shifted,
    "hard": blurred,
}
"""The kinds by name."""


@dataclass
class Told:
    """What was said in the projects of a kind and whether it held.

    false: of each certificate, whether more were wrong. by_itself: whether more were wrong when the estimate alone said
    that the goal is reached. contained, near: of each forecast that came to its end. ceiling: as near, of a
    forecast that knows which labels are wrong. undecided, all_right: of each
    interval. estimate: error of the share wrong, in points. looks: images looked at to a certificate.
    """

    false: list[bool] = field(default_factory=list)
    by_itself: list[bool] = field(default_factory=list)
    contained: list[bool] = field(default_factory=list)
    near: list[bool] = field(default_factory=list)
    ceiling: list[bool] = field(default_factory=list)
    undecided: list[bool] = field(default_factory=list)
    all_right: list[bool] = field(default_factory=list)
    estimate: list[float] = field(default_factory=list)
    guess: list[float] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    unplanned: int = 0


def play(kind: str, sets: Sets, runs: int, answers: int, per_fit: int, rate: float, seed: int) -> Told:
    """Play projects of a kind.

    Args:
        kind: a key of `KINDS`.
        sets: they take turns.
        runs: projects.
        answers: before the plan is made. per_fit: between two fits.
        rate: the goal, 0..1.
        seed: of everything.
    """
    told = Told()
    rng = np.random.default_rng([seed, len(kind)])
    pools = [KINDS[kind](*at_most_images(x, y, rng), votes, rng) for x, y, votes in sets.by_name.values()]
    for run in range(runs):
        project = GoalProject(pools[run % len(pools)], seed + run, slips=SLIPS)
        project.learn(answers, per_fit)
        _on_the_way(project, told)
        told.by_itself.append(_by_itself(project, rate))
        plan = project.plan(rate, whole=True, seed=run)
        if plan is None:
            told.unplanned += 1
            continue
        project.look_first(plan.first)
        knowing = project.knowing_looks(plan.first, rate, whole=True, seed=run)
        ended = project.certify(rate, whole=True, more=more_looks(plan.first))
        told.ceiling.append(_near(plan.first + ended.looks, knowing))
        _at_the_end(plan, ended, allowed(rate, len(project.label)), told)
    return told


def at_most_images(x: Features, y: Ints, rng: np.random.Generator) -> tuple[Features, Ints]:
    """Return some images and their classes, drawn at random, where there are more than a project has."""
    rows = np.sort(rng.permutation(len(y))[:MOST_IMAGES])
    return x[rows], y[rows]


def _on_the_way(project: GoalProject, told: Told) -> None:
    """Compare what is said of the undecided, of all labels and of the share wrong with the truth."""
    confidence, right = project.measured()
    undecided, truth = project.label < 0, project.pool.truth
    if len(right) >= SHARE and undecided.any():
        said = undecided_share(confidence, right, project.confidence[undecided], project.slips())
        true = float((project.predicted == truth)[undecided].mean())
        told.undecided.append(said.low <= true <= said.high)
        weight = float(undecided.mean())
        low, high = (1.0 - (1.0 - one) * weight for one in (said.low, said.high))
        told.all_right.append(low <= 1.0 - project.wrong() / len(truth) <= high)
    suspicion, looked = project.suspicion(), project.looked
    source = np.where(looked, "human", "pseudo").astype(object)
    true = 100 * project.wrong() / len(truth)
    for scaled, into in ((scale(*project.random_answers()), told.estimate), (scale(0, 0.0), told.guess)):
        into.append(100 * wrong_now(suspicion, looked, source, scaled, PEOPLE).wrong / len(truth) - true)


def _by_itself(project: GoalProject, rate: float) -> bool:
    """Return whether more than allowed are wrong when the estimate alone says that the goal is reached.

    The most suspicious are looked at until what is expected of the others and of people is no more than allowed.
    """
    free = np.flatnonzero(~project.looked)
    suspicion = scale(*project.random_answers()) * project.suspicion()[free]
    order = np.argsort(suspicion)
    by_people = PEOPLE * (len(project.label) - 1.0 - np.arange(len(free)))
    left = order[np.cumsum(suspicion[order]) + by_people <= rate * len(project.label)]
    wrong = project.exported() != project.pool.truth
    looked_now = SLIPS * (len(free) - len(left))
    return bool(wrong[free[left]].sum() + wrong[project.looked].sum() + looked_now > allowed(rate, len(wrong)))


def _at_the_end(plan: Plan, ended: Certified, at_most: int, told: Told) -> None:
    looks = plan.first + ended.looks
    told.contained.append(plan.low <= looks <= plan.high)
    told.near.append(_near(looks, plan.looks))
    if ended.reached:
        told.false.append(ended.wrong > at_most)
        told.looks.append(looks)


def _near(looks: int, forecast: int) -> bool:
    return abs(looks - forecast) <= WITHIN * forecast


def lines(told: Mapping[str, Told], rate: float) -> list[Line]:
    """Return the lines of all kinds of project: the certificate of each, then what is said on the way, the worst."""
    shown, number = [], f"certificate of {100 * rate:g} %"
    for kind, one in told.items():
        unplanned = f", no plan in {one.unplanned}" if one.unplanned else ""
        median = f"{np.median(one.looks):.0f} looks" if one.looks else "none reached"
        shown.append(Line(number, kind, 5, True, *percent_of(one.false), median + unplanned))
    shown.append(
        Line(number, "all kinds", 5, True, *_all(told, "false"), "",
             (Control("the estimate says so", *_all(told, "by_itself")),)),
    )  # fmt: skip
    for number, claim, nominal, what in STATED:
        found = {kind: percent_of(getattr(one, what)) for kind, one in told.items() if getattr(one, what)}
        if found:
            kind = min(found, key=lambda one: found[one][0])
            high = worst(found, most=True)[0]
            shown.append(Line(number, f"{claim}, the worst kind", nominal, False, *found[kind],
                              f"{found[kind][0]:.0f} ({kind}) to {high:.0f} %"))  # fmt: skip
            shown.append(Line(number, f"{claim}, all kinds", nominal, False, *_all(told, what)))
    roots, guesses = (_root([error for one in told.values() for error in getattr(one, what)])
                      for what in ("estimate", "guess"))  # fmt: skip
    each = "/".join(f"{_root(one.estimate)[0]:.1f}" for one in told.values())
    shown.append(
        Line("share wrong now", "closer than unchecked, points, in projects", round(guesses[0], 1), True, *roots, each)
    )
    return shown


STATED = (
    ("looks to the goal", "forecast interval", 80, "contained"),
    ("looks to the goal", "within ± 25 % of the forecast", 70, "near"),
    ("looks to the goal, wrong labels known", "within ± 25 % of the forecast", 70, "ceiling"),
    ("share right of the undecided", "interval", 95, "undecided"),
    ("share right of all labels", "interval, people slip in 2 %", 95, "all_right"),
)
"""What is said in projects: number, claim, least percent that is promised, and where it is kept."""


def _all(told: Mapping[str, Told], what: str) -> Spot:
    return percent_of([held for one in told.values() for held in getattr(one, what)])


def _root(errors: Sequence[float]) -> Spot:
    squares = np.square(errors)
    root = float(np.sqrt(squares.mean()))
    return root, float(squares.std() / np.sqrt(len(squares)) / max(2 * root, 1e-9))
