"""The audit of a fixed size: a random sample that is answered as a whole, and the exact limit of Clopper and Pearson.

What `engine.quality.betting` is measured against: this one holds for the size that was fixed before the first answer,
and fails where somebody watches it and stops when it looks good.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta  # type: ignore[import-untyped]

from engine.errors import ConfigError


def upper_bound(wrong: int, n: int, level: float = 0.95, population: int | None = None) -> float:
    """Return the most that the share of wrong predictions can be, in 0..1, one-sided and exact.

    Over many audits the true share lies above it in at most 1 − level of them, whatever the share is. The sample is
    drawn without replacement, which only makes the binomial limit more careful: near the size of the population it
    is too high, and a population that was audited as a whole has nothing left to bound.

    Args:
        wrong: answers that differ from the prediction, 0..n.
        n: answers in all; 0 gives 1.0.
        level: 0..1, both excluded.
        population: images the sample was drawn from; where n reaches it, wrong / n is returned.

    Raises:
        ConfigError: wrong is not within 0..n, or level not between 0 and 1.

    Source: Clopper and Pearson 1934, The Use of Confidence or Fiducial Limits, by the beta quantile.
    """
    if not 0 <= wrong <= n:
        raise ConfigError("More wrong answers than answers", value=f"{wrong} of {n}", way_out="Count the sample again.")
    _check_level(level)
    if population is not None and 0 < population <= n:
        return wrong / n
    return 1.0 if wrong == n else float(beta.ppf(level, wrong + 1, n - wrong))


def look_level(level: float, look: int) -> float:
    """Return the level that the look-th audit of one round is judged at: 1 − (1 − level) / look.

    Whoever audits, lowers the threshold and audits again until the bound looks good has more chances of a lucky
    sample; later looks are therefore judged more strictly. Each statement alone holds at its own level, since its
    sample is drawn anew from a population that was fixed before.

    Args:
        level: of the first look, 0..1, both excluded.
        look: from 1.

    Raises:
        ConfigError: level or look is outside its range.
    """
    _check_level(level)
    if look < 1:
        raise ConfigError("Audits are counted from 1", value=look, way_out="Start the audit again.")
    return 1.0 - (1.0 - level) / look


def rest_bound(bound: float, population: int, wrong: int, rest: int) -> float:
    """Return an upper limit, 0..1, of the share of wrong predictions among those that nobody has looked at.

    At most floor(bound · population) of all are wrong, and the wrong ones found are not among the rest. It is above
    `bound` where the sample is a good part of a small population, and holds at the same level whatever was decided
    between the draw and now.

    Args:
        bound: upper limit of the share wrong in the whole population, 0..1.
        population: images the rule would accept.
        wrong: how many of them were found wrong.
        rest: images of the population that are left.
    """
    if rest <= 0:
        return 0.0
    return min(1.0, max(0.0, math.floor(bound * population + 1e-9) - wrong) / rest)


def draw(ids: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return a simple random sample without replacement, in random order; each subset is equally likely over seeds.

    It depends on the set of ids and the seed only, not on the order of the ids. Take a fresh seed for each audit: with
    an old one, images of an earlier sample come again and its luck with them.

    Args:
        ids: (N,) distinct.
        size: from 1; with N or more asked for, all N are returned.
        seed: from 0.

    Raises:
        ConfigError: no ids, repeated ids, or a size below 1.
    """
    whole = np.unique(ids)
    if not len(whole):
        raise ConfigError("There is no image to audit", way_out="Lower the threshold until it takes images.")
    if len(whole) != len(ids):
        raise ConfigError("An image is in the population twice", value=len(ids) - len(whole), way_out="Start again.")
    if size < 1:
        raise ConfigError("An audit needs at least one image", value=size, way_out="Choose a larger sample.")
    return np.random.default_rng(seed).permutation(whole)[:size].astype(np.int64)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError("The level is outside 0 to 1", value=level, way_out="Choose 0.95 for 95 %.")
