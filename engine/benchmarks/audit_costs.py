"""Random answers until an audit shows a goal, beside those of an audit whose size was fixed in hindsight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom  # type: ignore[import-untyped]

from engine.benchmarks.fixed_audit import upper_bound
from engine.benchmarks.simulated_audits import Audits, Pool, Runs, constant
from engine.quality.audit_length import looks_to_goal
from engine.quality.betting import ALPHA, allowed


@dataclass(frozen=True)
class Cost:
    """Random answers until a goal is shown, over runs: median and 80th percentile, and what they are held against.

    fixed: answers of the Clopper–Pearson audit whose size, chosen with the true rate known, shows it in 80 of 100.
    mended: the median in a set of 10,000 where every wrong label found is put right, so that only the others count.
    """

    median: float
    eighty: float
    fixed: float
    mended: float


def cost(world: Runs, goal: float, rate: float, population: int = 1_000_000) -> Cost:
    """Simulate audits until at most a share `goal` is wrong in all, where `rate` is.

    Args:
        world: the runs; its answers are not used.
        goal: 0..1.
        rate: true share of wrong labels, below the goal.
        population: labels in the set.
    """
    pool = Pool(world.runs, np.array([population]), np.array([round(rate * population)]))
    supposed = constant(world, allowed(goal, population) + 1.0)
    audits = Audits(population, supposed, replayed=0)
    stopped = np.zeros(world.runs)
    answers = 0
    while (stopped == 0).mean() > 0.15:  # what is beyond the 80th percentile need not be known
        answers += 1
        on = stopped == 0
        audits.bet(pool.draw(world, on=on)[1], on)
        stopped[on & audits.failed()] = answers
    stopped[stopped == 0] = np.inf
    mended = [_mended(world, goal, rate) for _ in range(max(1, world.runs // 4))]
    low, high = np.quantile(stopped, [0.5, 0.8], method="inverted_cdf")
    return Cost(float(low), float(high), fixed_size(goal, rate), float(np.median(mended)))


def _mended(world: Runs, goal: float, rate: float, population: int = 10_000) -> int:
    wrong = np.arange(population) < round(rate * population)
    return looks_to_goal(wrong, np.zeros(0, np.bool_), 0, allowed(goal, population), 1 / ALPHA, world.rng)


def fixed_size(goal: float, rate: float, power: float = 0.8) -> int:
    """Return the least audited number with which Clopper and Pearson's bound is at most the goal so often.

    Args:
        goal: 0..1.
        rate: true share of wrong labels, below the goal.
        power: 0..1.
    """
    wrong = 0
    while True:
        low, high = wrong + 1, wrong + 2
        while upper_bound(wrong, high) > goal:
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if upper_bound(wrong, middle) > goal else (low, middle)
        if binom.cdf(wrong, low, rate) >= power:
            return low
        wrong += 1
