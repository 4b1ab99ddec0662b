"""The audit before confidence sequences, kept as a reference: samples of a fixed size, each judged as a whole.

Whoever looked again at the same round was judged at the level 1 − .05 / k the k-th time. The bound came when every
image of the sample had an answer: Clopper and Pearson's one-sided limit.
"""

from __future__ import annotations

import math

from scipy.stats import beta  # type: ignore[import-untyped]

from engine.errors import ConfigError

ALPHA = 0.05


def left_at_most(wrong: int, answered: int, population: int, look: int = 1) -> int:
    """Return how many predictions are left wrong at most among those that nobody looked at.

    Args:
        wrong: of the sample, 0..answered.
        answered: size of the sample, from 1.
        population: images that it was drawn from.
        look: the how-manieth audit it is, from 1.

    Raises:
        ConfigError: one of them is outside its range.

    Source: Clopper and Pearson 1934, by the beta quantile.
    """
    if not 0 <= wrong <= answered or answered < 1 or look < 1:
        raise ConfigError("This is no audit", value=f"{wrong} of {answered}, look {look}")
    if answered >= population:
        return 0
    most = 1.0 if wrong == answered else float(beta.ppf(1.0 - ALPHA / look, wrong + 1, answered - wrong))
    return min(population - answered, max(0, math.floor(most * population + 1e-9) - wrong))


def least_size(at_most: int, population: int, look: int = 1) -> int:
    """Return the smallest sample that shows at most so many left wrong where none of it is wrong."""
    low, high = 1, max(population, 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if left_at_most(0, middle, population, look) <= at_most else (middle + 1, high)
    return low
