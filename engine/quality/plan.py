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
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.quality.betting import ALPHA, FEWER, ConfidenceSequence, allowed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Money = Callable[[int], Floats | float]
"""The logarithm of each bet's money so far, (B,), where so many more wrong labels are found from now on."""

PRIOR = 4.0
"""Wrong labels suspected and found before the first answer."""
SUSPICION = 0.02
"""Mean suspicion of labels that no model gave."""
DRAWS, QUANTILES, WIDENED = 80, (0.1, 0.5, 0.9), 1.15
"""Simulated audits behind a plan, the quantiles that are its interval and middle, and by what each end is moved out."""
CHECKED, TOO_MANY = 150, 0.8
"""After so many answers more doubtful images are looked at where the share wrong is above this part of the goal."""
MORE_LOOKS = 5
"""They are a fifth of those looked at first."""
HOPEFUL = 0.9
"""An audit is planned only where the share expected to be wrong is below this part of the goal."""
EXACT_STAGES = 32
"""So many wrong answers are tried one by one before larger steps."""


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


def at_start(more: int) -> float:
    """Return the logarithm of each bet's money before the first answer."""
    return 0.0


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


def under_way(audit: ConfidenceSequence, at_most: int) -> Money:
    """Return the money of an audit's bets as a function of the wrong labels found from now on.

    Each wrong one that is found and put right raises the number that the goal rules out, and so what earlier bets on
    it have won.
    """

    @cache
    def money(more: int) -> Floats:
        return audit.log_money(min(audit.population, at_most + audit.found + more + 1))

    return money


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
        None where people err so often that no looking at doubtful images brings the share wrong clearly below the goal.

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
        return None
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


def _check(suspicion: Floats, looked: Mask) -> None:
    if suspicion.shape != looked.shape or suspicion.ndim != 1:
        raise ConfigError("Suspicions and looks differ in number", value=f"{suspicion.shape} and {looked.shape}")
    if not np.all((suspicion >= 0.0) & (suspicion <= 1.0)):
        raise ConfigError("A suspicion is outside 0 to 1", way_out="Train the round again.")
