"""Orders: the highest scores without sorting everything, and the fixed random order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SEED = np.uint64(0x5EED)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def highest(scores: NDArray[np.float64], ids: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return the positions of the `limit` highest scores, highest first; equal scores go by ascending id."""
    n = len(scores)
    if limit <= 0:
        return np.zeros(0, np.int64)
    if limit < n:
        border = np.partition(scores, n - limit)[n - limit]
        above = np.flatnonzero(scores > border)
        equal = np.flatnonzero(scores == border)
        missing = limit - len(above)
        if missing < len(equal):
            equal = equal[np.argpartition(ids[equal], missing - 1)[:missing]]
        candidates = np.concatenate([above, equal])
    else:
        candidates = np.arange(n)
    return candidates[np.lexsort((ids[candidates], -scores[candidates]))]


def random_order(ids: NDArray[np.int64], salt: int = 0) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each image that depends on its id alone: the random order is ascending in it.

    Labeling one image therefore never reshuffles the others: the images that the random order gave until now are
    always a prefix of one fixed permutation. Another salt, 0 ≤ salt < 2^63, gives an order that has nothing to do with
    it.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014), the mix function of
    SplitMix64 with Stafford's constants.
    """
    z = (ids.astype(np.uint64) + _SEED) * _STEP  # wraps modulo 2^64 by intent
    mixed = _mixed(z)
    if salt:
        mixed = _mixed(mixed ^ np.uint64(salt))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
