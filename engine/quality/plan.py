"""How many labels are wrong now, and the cheapest way to a goal: doubtful images first, then a random audit.

Suspicion s is the share of wrong labels expected among images like this one: calibrated 1 − confidence where a model
gave the label, a small constant where a person or an import did. Random answers correct its scale: with x wrong where S
were suspected it is (x + 4) / (S + 4), as if four had been suspected and found before.

The plan looks at the D most suspicious images, freezes the labels, and audits at random until at most m of them are
wrong, every wrong one that is found put right. D is the one with the fewest looks in all.

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
    """The way to a goal: images to look at first, looks of the audit after them, and the interval of both together.

    The audit is the median of simulated ones, looks at more doubtful images in it included; the interval holds in 80 of
    100 projects at least.
    """

    first: int
    audit: int
    low: int
    high: int

    @property
    def looks(self) -> int:
        """Looks in all, more or fewer of them equally likely."""
        return self.first + self.audit


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
) -> Plan | None:
    """Return the plan with the fewest looks to "at most `rate` of the labels wrong", or None where there is none.

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

    Returns:
        None where no looking at doubtful images brings the share wrong clearly below the goal and more than 300
        wrong labels would have to be found by the audit.

    Raises:
        ConfigError: something is outside its range, or the columns differ in length.
    """
    _check(suspicion, looked)
    at_most, scaled = allowed(rate, len(suspicion)), scale(*answers)
    doubt = np.sort(suspicion[~looked])[::-1]
    firsts = np.arange(len(doubt) + 1)
    rest = np.concatenate([[0.0], np.cumsum(doubt[::-1])])[::-1]  # suspicion left after so many looks
    known: NDArray[np.int64]  # labels that people gave and that are in the audit, after so many looks
    if audit is not None:
        needed, known = audit.threshold, np.full(len(firsts), max(0, audit.unseen - len(doubt)))
    else:
        known = 0 * firsts if people is None else len(looked) - len(doubt) + firsts
    if audit is not None and audit.reached(at_most):
        return Plan(0, 0, 0, 0)
    money = at_start if audit is None else under_way(audit, at_most)
    populations = len(doubt) - firsts + known
    wrong = scaled * rest + (people or 0.0) * known
    found = 0 * firsts if audit is None else np.rint(scaled * (rest[0] - rest)).astype(np.int64)

    def cost(first: int) -> int:
        share = float(min(1.0, wrong[first] / max(1, populations[first])))
        already = int(found[first])
        return first + audit_answers(share, at_most, int(populations[first]), needed, partial(_later, money, already))

    hopeful = np.flatnonzero(wrong <= HOPEFUL * at_most)
    if not len(hopeful):
        if wrong.min() > at_most + MOST_FOUND:
            return None
        hopeful = np.array([int(wrong.argmin())])
    first = _cheapest(cost, int(hopeful[0]), min(int(hopeful[-1]), cost(int(hopeful[0]))))

    rng = np.random.default_rng(seed)
    costs = []
    for drawn in rng.gamma(answers[0] + PRIOR, 1.0 / (answers[1] + PRIOR), DRAWS):
        wrongly = rng.random(len(doubt)) < drawn * doubt
        by_people = rng.random(int(known[first])) < (people or 0.0)
        already = 0 if audit is None else int(wrongly[:first].sum())
        costs.append(first + looks_to_goal(
            wrongly[first:], by_people, max(1, first // MORE_LOOKS), at_most, needed, rng,
            partial(_later, money, already),
        ))  # fmt: skip
    low, middle, high = np.quantile(costs, QUANTILES)
    most = first + int(populations[first])
    return Plan(first, round(middle) - first, math.floor(low / WIDENED), min(most, math.ceil(high * WIDENED)))


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
