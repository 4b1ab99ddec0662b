"""How many labels are wrong now, and the cheapest way to a goal: labels, doubtful images, then a random audit.

Suspicion s is the share of wrong labels expected among images like this one: calibrated 1 − confidence where a model
gave the label, a small constant where a person or an import did. Random answers correct its scale: with x wrong where S
were suspected it is (x + 4) / (S + 4), as if four had been suspected and found before.

The plan looks at the D most suspicious images, freezes the labels, and audits at random until at most m of them are
wrong, every wrong one that is found put right. D is the one with the fewest looks in all. Where it is known how the
model goes on learning, further answers to learn from come before that, so many as make the fewest in all: see
`engine.quality.learning`.

Sources: the audit is that of `engine.quality.betting`; the scale is the mean of a gamma distribution that the answers
update as Poisson counts, Gamma(x + 4, 1 / (S + 4)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.audit_length import Money, at_start, audit_answers, looks_to_goal, under_way
from engine.quality.betting import ALPHA, ConfidenceSequence, allowed
from engine.quality.learning import Learning

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

PRIOR = 4.0
"""Wrong labels suspected and found before the first answer."""
DRAWS, QUANTILES, WIDENED = 80, (0.1, 0.5, 0.9), 1.15
"""Simulated audits behind a plan, the quantiles that are its interval and middle, and by what each end is moved out."""
MORE_LOOKS = 5
"""More doubtful images are looked at by this part of those looked at first; see `audit_length.too_many`."""
HOPEFUL = 0.9
"""An audit is planned, where it can be, after so many looks that what is expected to be wrong is below this part of the
goal."""
FEWEST, LARGER = 20, 1.35
"""Answers to learn from are tried from so many on, each number so many times the one before."""
MOST_FOUND = 300
"""Where it cannot, since people err more often than the goal allows, an audit finds and puts right the rest: so many
wrong labels at most, for its simulation takes a step for each."""


@dataclass(frozen=True, slots=True)
class WrongNow:
    """Labels that are expected to be wrong now: in all, clipped into their interval, and by source, as they are."""

    wrong: float
    by_source: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """The way to a goal: answers that the model learns from, images to look at first, looks of the audit after them,
    and the interval of all together.

    The audit is the median of simulated ones, looks at more doubtful images in it included; the interval holds in 80 of
    100 projects at least.
    """

    first: int
    audit: int
    low: int
    high: int
    label: int = 0

    @property
    def looks(self) -> int:
        """Answers in all, more or fewer of them equally likely."""
        return self.label + self.first + self.audit


def scale(wrong: int, suspected: float) -> float:
    """Return by what suspicion is to be multiplied: (x + 4) / (S + 4).

    Args:
        wrong: x, random answers that found a wrong label.
        suspected: S, the sum of the suspicions of all of these images, each from before its answer.

    Raises:
        ConfigError: one of them is below 0.
    """
    if wrong < 0 or not suspected >= 0.0:
        raise ConfigError("Answers and suspicion cannot be negative", value=f"{wrong}, {suspected}")
    return (wrong + PRIOR) / (suspected + PRIOR)


def wrong_now(
    suspicion: Floats,
    looked: Mask,
    source: NDArray[np.object_],
    scaled: float,
    people: float = 0.0,
    interval: tuple[float, float] = (0.0, math.inf),
) -> WrongNow:
    """Return how many labels are wrong now: scale · suspicion of those not looked at, and people's error of the others.

    Args:
        suspicion: (N,) 0..1.
        looked: (N,) whether a person looked at the image and answered.
        source: (N,) names.
        scaled: see `scale`.
        people: share of wrong labels among those that people gave, 0..1.
        interval: labels wrong now at least and at most, by the audit.

    Raises:
        ConfigError: the columns differ in length, or a suspicion is outside 0..1.
    """
    _check(suspicion, looked)
    if source.shape != suspicion.shape:
        raise ConfigError("Suspicions and sources differ in number", value=f"{suspicion.shape} and {source.shape}")
    wrong = np.where(looked, people, np.minimum(scaled * suspicion, 1.0))
    names, codes = np.unique(source.astype(str), return_inverse=True)
    sums = np.bincount(codes, wrong, len(names)) if len(names) else np.zeros(0)
    low, high = interval
    by_source = {str(name): float(part) for name, part in zip(names, sums, strict=True)}
    return WrongNow(float(min(max(wrong.sum(), low), high)), by_source)


def best_plan(
    suspicion: Floats,
    looked: Mask,
    rate: float,
    answers: tuple[int, float] = (0, 0.0),
    people: float | None = None,
    needed: float = 1 / ALPHA,
    audit: ConfidenceSequence | None = None,
    seed: int = 0,
    learning: Learning | None = None,
) -> Plan | None:
    """Return the plan with the fewest answers to "at most `rate` of the labels wrong", or None where there is none.

    Args:
        suspicion: (N,) 0..1.
        looked: (N,) whether a person looked at the image and answered; these are not looked at first again.
        rate: the goal, 0..1.
        answers: x and S of the random answers so far; see `scale`.
        people: share of wrong labels among those that people gave; None where their answers are taken as the truth, so
            that only labels not looked at are audited.
        needed: what E must reach; of no meaning with an audit, which has its own threshold.
        audit: the audit that is under way, if one is. Doubtful images are then looked at within it, without a new
            freeze, and its answers count.
        seed: of the simulated audits.
        learning: how the model that suspicions are of goes on learning; None where nothing says so, or it learns no
            more: then labels and suspicions stay as they are but for what is looked at. Of no meaning with an audit.

    Returns:
        None where nothing brings the share wrong clearly below the goal and more than 300 wrong labels would have to be
        found by the audit.

    Raises:
        ConfigError: something is outside its range, or the columns differ in length.
    """
    _check(suspicion, looked)
    at_most, scaled = allowed(rate, len(suspicion)), scale(*answers)
    if audit is not None and audit.reached(at_most):
        return Plan(0, 0, 0, 0)
    everything = np.sort(suspicion[~looked])[::-1]
    ways: list[tuple[int, int, _Ahead]] = []  # answers in all, those to learn from, and what follows them
    for label in _answers_to_learn(len(everything)) if learning is not None and audit is None else [0]:
        doubt, factor = everything, 1.0
        if learning is not None and label:
            doubt, factor = everything[_unlabeled(everything, label, learning, len(suspicion))], learning.left(label)
        ahead = _Ahead(doubt, factor, len(suspicion) - len(doubt), at_most, scaled, people, needed, audit)
        first = ahead.cheapest()
        if first is not None:
            ways.append((label + ahead.cost(first), label, ahead))
    if not ways:
        return None
    _, label, ahead = min(ways, key=lambda way: way[:2])
    first = ahead.cheapest()
    assert first is not None

    rng = np.random.default_rng(seed)
    scales = rng.gamma(answers[0] + PRIOR, 1.0 / (answers[1] + PRIOR), DRAWS)
    factors = np.ones(DRAWS)
    if learning is not None and label:
        factors = np.array([learning.left(label, exponent) for exponent in learning.drawn(DRAWS, rng).tolist()])
    costs = [label + first + ahead.simulated(first, one, rng) for one in (scales * factors).tolist()]
    low, middle, high = np.quantile(costs, QUANTILES)
    most = label + first + int(ahead.populations[first])
    between = math.floor(low / WIDENED), min(most, math.ceil(high * WIDENED))
    return Plan(first, round(middle) - label - first, *between, label)


class _Ahead:
    """Looks at doubtful images and an audit, from some moment on.

    Args:
        doubt: (n,) suspicion of the labels that nobody has looked at, descending. factor: by which it is multiplied.
        looked: labels that people gave.
        at_most, scaled: wrong labels that may be left, and the scale of suspicion.
        people, needed, audit: see `best_plan`.
    """

    def __init__(
        self,
        doubt: Floats,
        factor: float,
        looked: int,
        at_most: int,
        scaled: float,
        people: float | None,
        needed: float,
        audit: ConfidenceSequence | None,
    ) -> None:
        self._doubt, self._at_most, self._people, self._audit = doubt, at_most, people, audit
        firsts = np.arange(len(doubt) + 1)
        rest = np.concatenate([[0.0], np.cumsum(doubt[::-1])])[::-1]  # suspicion left after so many looks
        self._known: NDArray[np.int64]  # labels that people gave and that are in the audit, after so many looks
        if audit is not None:
            self._needed, self._known = audit.threshold, np.full(len(firsts), max(0, audit.unseen - len(doubt)))
        else:
            self._needed, self._known = needed, 0 * firsts if people is None else looked + firsts
        self._money = at_start if audit is None else under_way(audit, at_most)
        self.populations = len(doubt) - firsts + self._known
        self._wrong = scaled * factor * rest + (people or 0.0) * self._known
        self._found = 0 * firsts if audit is None else np.rint(scaled * (rest[0] - rest)).astype(np.int64)

    def cheapest(self) -> int | None:
        """Return after how many looks the audit is best begun; None where no number of them leads to the goal."""
        hopeful = np.flatnonzero(self._wrong <= HOPEFUL * self._at_most)
        if not len(hopeful):
            if self._wrong.min() > self._at_most + MOST_FOUND:
                return None
            hopeful = np.array([int(self._wrong.argmin())])
        return _cheapest(self.cost, int(hopeful[0]), min(int(hopeful[-1]), self.cost(int(hopeful[0]))))

    def cost(self, first: int) -> int:
        """Return the expected looks in all, so many of them before the audit."""
        share = float(min(1.0, self._wrong[first] / max(1, self.populations[first])))
        money = partial(_later, self._money, int(self._found[first]))
        return first + audit_answers(share, self._at_most, int(self.populations[first]), self._needed, money)

    def simulated(self, first: int, scaled: float, rng: np.random.Generator) -> int:
        """Return the looks of one audit after so many first ones, where `scaled` times what is suspected is wrong."""
        wrongly = rng.random(len(self._doubt)) < scaled * self._doubt
        by_people = rng.random(int(self._known[first])) < (self._people or 0.0)
        already = 0 if self._audit is None else int(wrongly[:first].sum())
        return looks_to_goal(
            wrongly[first:], by_people, max(1, first // MORE_LOOKS), self._at_most, self._needed, rng,
            partial(_later, self._money, already),
        )  # fmt: skip


def _answers_to_learn(images: int) -> list[int]:
    """Return the numbers of further answers that are tried, 0 first."""
    found, larger = [0], float(FEWEST)
    while larger < images:
        found.append(10 * round(larger / 10))
        larger *= LARGER
    return found


def _unlabeled(doubt: Floats, label: int, learning: Learning, images: int) -> Ints:
    """Return which of the images (n,), the most doubtful first, have no label yet after so many answers: of the answers
    that measure, those to images without a label are spread evenly over them."""
    measuring = round(learning.measuring * label)
    left = np.arange(min(label - measuring, len(doubt)), len(doubt))
    taken = min(round(measuring * len(doubt) / images), len(left))
    gone = np.floor((np.arange(taken) + 0.5) * len(left) / max(1, taken)).astype(np.int64)
    return np.delete(left, gone)


def _later(money: Money, already: int, more: int) -> Floats | float:
    return money(already + more)


def _cheapest(cost: Callable[[int], int], low: int, high: int) -> int:
    """Return where the cost is least, by ever finer grids: it falls, then rises, but for its whole numbers."""
    costs: dict[int, int] = {}
    while True:
        grid = sorted({round(low + (high - low) * k / 12) for k in range(13)})
        for place in grid:
            costs.setdefault(place, cost(place))
        best = min(grid, key=lambda place: (costs[place], place))
        at = grid.index(best)
        if grid[-1] - grid[0] <= 12:
            return min(costs, key=lambda place: (costs[place], place))
        low, high = grid[max(0, at - 1)], grid[min(len(grid) - 1, at + 1)]


def _check(suspicion: Floats, looked: Mask) -> None:
    if suspicion.shape != looked.shape or suspicion.ndim != 1:
        raise ConfigError("Suspicions and looks differ in number", value=f"{suspicion.shape} and {looked.shape}")
    if not np.all((suspicion >= 0.0) & (suspicion <= 1.0)):
        raise ConfigError("A suspicion is outside 0 to 1", way_out="Train the round again.")
