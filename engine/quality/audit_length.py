"""How many random answers an audit takes to a goal: expected, and simulated with doubtful images looked at in between.

In a run of right answers p goes D / a, D / (a − 1), …, so that what a bet wins in it is a quotient of gamma functions.
An audit takes as many steps here as it finds wrong labels, however long it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.quality.betting import ALPHA, FEWER, ConfidenceSequence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Money = Callable[[int], Floats | float]
"""The logarithm of each bet's money so far, (B,), where so many more wrong labels are found from now on."""

CHECKED, TOO_MANY = 150, 0.8
"""After so many answers more doubtful images are looked at where the share wrong is above this part of the goal."""
EXACT_STAGES = 32
"""So many wrong answers are tried one by one before larger steps."""


def at_start(more: int) -> float:
    """Return the logarithm of each bet's money before the first answer."""
    return 0.0


def under_way(audit: ConfidenceSequence, at_most: int) -> Money:
    """Return the money of an audit's bets as a function of the wrong labels found from now on.

    Each wrong one that is found and put right raises the number that the goal rules out, and so what earlier bets on
    it have won.
    """

    @cache
    def money(more: int) -> Floats:
        return audit.log_money(min(audit.population, at_most + audit.found + more + 1))

    return money


def audit_answers(
    rate: float, at_most: int, population: int, needed: float = 1 / ALPHA, money: Money = at_start
) -> int:
    """Return A, the random answers to a goal where the share `rate` is found wrong, evenly spread, and put right.

    The least n at which E of at_most + x + 1 wrong labels reaches what is needed, with x = floor(rate · n + 1/3) found.

    Args:
        rate: share of wrong labels, 0..1.
        at_most: wrong labels that may be left, from 0.
        population: frozen labels that nobody has looked at.
        needed: see `engine.quality.betting.threshold`.
        money: of the answers given so far; see `under_way`.

    Raises:
        ConfigError: the rate is outside 0..1, or at_most below 0.
    """
    if not 0.0 <= rate <= 1.0 or at_most < 0:
        raise ConfigError("The audit is outside its range", value=f"{rate}, at most {at_most}")
    if at_most >= population:
        return 0

    def begin(x: Ints) -> Ints:
        """At which answer the x-th wrong one comes."""
        if rate == 0.0:
            return np.where(x == 0, 0, population)
        return np.where(x == 0, 0, np.ceil((x - 1 / 3) / rate - 1e-9)).clip(max=population).astype(np.int64)

    def last(x: int) -> int:
        """The last answer with x wrong ones."""
        ends = int(begin(np.array([x + 1]))[0])
        return ends if ends == population else ends - 1

    def reached(x: int, n: int) -> bool:
        starts = begin(np.arange(x + 1))
        ends = np.append(starts[1:] - 1, n).clip(min=starts)
        supposed = np.arange(at_most + x + 1.0, at_most, -1.0)
        return _log_e(population - starts, population - ends, supposed, x, money(x)) >= math.log(needed)

    def reached_in(x: int) -> bool:
        return reached(x, last(x))

    # E falls with each wrong answer and rises in between. Beyond the first stages it rises from end to end of them.
    below, x = -1, 0
    while not reached_in(x):
        below, x = x, x + 1 if x < EXACT_STAGES else x + max(1, x // 8)
    while x - below > 1:
        middle = (x + below) // 2
        below, x = (below, middle) if reached_in(middle) else (middle, x)
    return _least(lambda n: reached(x, n), int(begin(np.array([x]))[0]), last(x))


def too_many(wrong: int, answered: int, rate: float) -> bool:
    """Return whether an audit goes so badly that another fifth of doubtful images is better looked at first.

    That is after 150 answers with a share wrong above .8 of the goal. Such looks need no new freeze.

    Args:
        wrong: random answers that found a wrong label since the last looks at doubtful images.
        answered: random answers since.
        rate: the goal, 0..1.
    """
    return answered >= CHECKED and wrong > TOO_MANY * rate * answered


def looks_to_goal(
    rest: Mask,
    known: Mask,
    more: int,
    at_most: int,
    needed: float,
    rng: np.random.Generator,
    money: Money = at_start,
) -> int:
    """Simulate one audit and return its looks until at most `at_most` labels are left wrong.

    Args:
        rest: (n,) which labels not looked at are wrong, the most doubtful first.
        known: (k,) which of those that were looked at before the freeze are wrong.
        more: doubtful ones to look at where the share wrong stays too high; 0 for never.
        at_most: wrong labels that may be left.
        needed: what E must reach.
        rng: of the random order.
        money: of the answers given so far; see `under_way`.
    """
    labels = np.concatenate([rest, known])
    population = len(labels)
    order = rng.permutation(population)
    seen = np.zeros(population, np.bool_)
    starts, ends, found_before = [population], [population], [0]
    looked = found = bets_lost = next_doubtful = place = 0
    answered = wrong_since = 0

    def reached(end: int) -> bool:
        supposed = at_most + 1.0 + found - np.array(found_before)
        value = _log_e(np.array(starts), np.array([*ends[:-1], end]), supposed, bets_lost, money(found))
        return value >= math.log(needed)

    while population - looked > at_most:
        block = order[place : place + CHECKED]
        place += CHECKED
        block = block[~seen[block]]
        seen[block] = True
        wrong_at = np.flatnonzero(labels[block])
        for begin, stop in zip([0, *(wrong_at + 1).tolist()], [*wrong_at.tolist(), len(block)], strict=True):
            end = population - looked - (stop - begin)
            if reached(end):
                return population - _most(reached, end, population - looked)
            looked += stop - begin
            ends[-1] = end
            if stop < len(block):
                looked, found, bets_lost = looked + 1, found + 1, bets_lost + 1
                starts.append(population - looked)
                ends.append(population - looked)
                found_before.append(found)
        answered, wrong_since = answered + len(block), wrong_since + len(wrong_at)
        if more and too_many(wrong_since, answered, at_most / population):
            doubtful = np.arange(next_doubtful, min(next_doubtful + more, len(rest)))
            next_doubtful += more
            fresh = doubtful[~seen[doubtful]]
            seen[fresh] = True
            looked, found = looked + len(fresh), found + int(labels[fresh].sum())
            starts.append(population - looked)
            ends.append(population - looked)
            found_before.append(found)
            answered = wrong_since = 0
    return looked


def _least(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least of low..high from which on it holds; it holds at high."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _most(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the most of low..high up to which it holds; it holds at low."""
    return high - _least(lambda below: holds(high - below), 0, high - low)


def _log_e(starts: Ints, ends: Ints, supposed: Floats, wrong: int, money: Floats | float) -> float:
    """Return log E after runs of right answers between `wrong` wrong ones, all single.

    In a run p goes D / a, D / (a − 1), … with D supposed wrong ones left, so that its factors (l − λ D) / (l − D)
    multiply to a quotient of gamma functions.

    Args:
        starts: (runs,) images nobody has looked at before each run.
        ends: (runs,) after it, at most the start.
        supposed: (runs,) D in each.
        wrong: random answers that were wrong.
        money: (B,) logarithm of each bet's money before them.
    """
    if (supposed > ends).any():
        return math.inf  # more are supposed wrong than are left
    upper, lower = starts[:, None] + 1.0, ends[:, None] + 1.0
    taken = np.append(FEWER.stakes, 1.0) * supposed[:, None]  # (runs, B + 1)
    grown = (gammaln(upper - taken) - gammaln(lower - taken)).sum(0)
    with np.errstate(divide="ignore"):
        lost = wrong * np.log(FEWER.stakes) if wrong else 0.0
    return float(FEWER.mixed(grown[:-1] - grown[-1] + lost + money))
