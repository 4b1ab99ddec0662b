"""Images in groups of like ones, by their features alone, in an order in which like groups are neighbours.

Groups come from k-means. They are put in the order of the leaves of a dendrogram of their centres, turned so that
neighbours are as near as they can be. Larger sets are first divided into parts, which are ordered in the same way.

Source: Bar-Joseph, Gifford, Jaakkola, "Fast optimal leaf ordering for hierarchical clustering" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage  # type: ignore[import-untyped]
from scipy.spatial.distance import pdist  # type: ignore[import-untyped]

from engine.query.clusters import centred, k_means_groups

EACH = 12
"""Images in a group, on average: one or two rows of a grid."""
PART = 2_000
"""Images in a part, on average, of sets that are divided."""


@dataclass(frozen=True)
class LikeGroups:
    """Groups of N images. Both arrays are (N,): the group, 0..G-1, and the place, 0..N-1, in the order in which the
    images of a group lie together, the one nearest to its centre first, and like groups follow each other."""

    group: NDArray[np.int64]
    place: NDArray[np.int64]


def like_groups(features: NDArray[np.float32], seed: int = 0) -> LikeGroups:
    """Return the groups of images with these features (N, D); the same features give the same groups."""
    x, _ = centred(features)
    part, number, gap = _parts(x, seed), np.zeros(len(x), np.int64), np.zeros(len(x), np.float32)
    for which in range(int(part.max(initial=-1)) + 1):
        rows = np.flatnonzero(part == which)
        number[rows], gap[rows] = _ordered_groups(x[rows], -(-len(rows) // EACH), seed)
    order = np.lexsort((gap, number, part))  # stable: of equal distances the first row
    begins = np.diff(part[order], prepend=-1).astype(bool) | np.diff(number[order], prepend=-1).astype(bool)
    group, place = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    group[order], place[order] = np.cumsum(begins) - 1, np.arange(len(x))
    return LikeGroups(group, place)


def _parts(x: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
    """Return the part (N,) of each image, 0 for all of a small set."""
    count = len(x) // PART
    return _ordered_groups(x, count, seed)[0] if count > 1 else np.zeros(len(x), np.int64)


def _ordered_groups(x: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each row's group (N,), numbered so that like groups have numbers side by side, and its squared distance
    to the group's centre (N,). There are at most `count` groups."""
    if not len(x):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    group, centres = k_means_groups(x, count, seed)
    off = x - centres[group]
    rank = np.empty(len(centres), np.int64)
    rank[_chain(centres)] = np.arange(len(centres))
    return rank[group], np.einsum("nd,nd->n", off, off)


def _chain(centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the centres (G,) in an order in which neighbours are near."""
    if len(centres) < 3:
        return np.arange(len(centres))
    return np.asarray(leaves_list(linkage(pdist(centres), "average", optimal_ordering=True)), np.int64)
