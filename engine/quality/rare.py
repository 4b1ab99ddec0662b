"""Rare classes, and the images predicted as a common class that lie near one.

A rule that accepts confident predictions sweeps images of a rare class into a common one where the model takes them for
it: their few examples hardly move its confidence. Whoever looks at images near the rare class first finds most of them.

Rare is a class that has fewer than a third of an even share of all images, labels and predictions together.

How near an image lies to a rare class is the distance to its nearest image of that class, labeled or predicted, over
the distance to its tenth nearest image of any: at most 1 where one of a rare class is among its ten nearest images. It
needs no scale of the features, and no class's cloud to be as dense as another's.

Source: the number is one over a nonconformity score by nearest neighbours, as in Vovk, Gammerman, Shafer, Algorithmic
Learning in a Random World (2005), section 3.1, with the tenth nearest image in place of the nearest of the own class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.query.clusters import centred, sample_rows, squared

RARE = 3
"""A class with fewer than one in so many of the images that an even share would give it is rare."""
NEAREST = 10
MOST = 5_000
"""Images, at most, among which the tenth nearest is looked for; of more a random choice, and the rank in proportion."""
_AT_ONCE = 512


@dataclass(frozen=True)
class NearRare:
    """Images that lie near a rare class, the nearest first. rows (m,): of the images; closeness (m,): from 0, at most 1
    where a rare class is among the ten nearest; rare (m,): that class."""

    rows: NDArray[np.int64]
    closeness: NDArray[np.float64]
    rare: NDArray[np.int64]


def rare_classes(counts: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which classes (K,) are rare, by how many images (K,) have the label or the prediction of each.

    Classes without any are none of those that share, and not rare: nothing lies near them.
    """
    given = np.asarray(counts, np.int64)
    some = int((given > 0).sum())
    return np.asarray((given > 0) & (RARE * some * given < given.sum()))


def near_rare(
    features: NDArray[Any],
    called: NDArray[np.integer],
    rare: NDArray[np.bool_],
    asked: NDArray[np.int64],
    seed: int = 0,
) -> NearRare:
    """Return images in the order in which they lie near a rare class.

    Args:
        features: (N, D) of all images.
        called: (N,) class of each image, its label or else its prediction; -1 for neither.
        rare: (K,) which classes are rare.
        asked: (m,) rows of images that are called a common class.
        seed: draws the images among which the tenth nearest is looked for, where there are many.
    """
    of_rare = np.flatnonzero((called >= 0) & rare[called])
    if not len(of_rare) or not len(asked):
        return NearRare(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
    x, _ = centred(features)
    among = sample_rows(len(x), MOST, seed)
    rank = max(1, round(NEAREST * len(among) / len(x)))
    closeness, nearest = np.empty(len(asked)), np.empty(len(asked), np.int64)
    for start in range(0, len(asked), _AT_ONCE):
        rows = asked[start : start + _AT_ONCE]
        part, to_rare = slice(start, start + len(rows)), squared(x[rows], x[of_rare])
        to_all = squared(x[rows], x[among])
        to_all[rows[:, None] == among] = np.inf
        tenth = np.partition(to_all, min(rank, to_all.shape[1]) - 1, axis=1)[:, min(rank, to_all.shape[1]) - 1]
        first = to_rare.argmin(1)
        nearest[part] = called[of_rare[first]]
        closeness[part] = np.sqrt(to_rare[np.arange(len(rows)), first] / np.maximum(tenth, 1e-12))
    order = np.lexsort((asked, closeness))
    return NearRare(asked[order], closeness[order], nearest[order])
