"""Strategies for the first labels, which look at features alone: TypiClust and k-means.

TypiClust, with few labels: the images are grouped into as many groups as labels there will be, and the most typical
image is taken of each group without label, largest group first.

Source: Hacohen, Dekel, Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets" (2022),
section 3: K = labels + batch groups (at most 500), typicality (1 / n Σ ‖x − xᵢ‖)⁻¹ over the n = 20 nearest images
(equation 4). Deviations: groups of any size count (the paper's code leaves out those below 5), neighbours are looked
for within the group and, in groups above 1,000 images, within 1,000 of them drawn at random; groups come from k-means
on at most 10,000 images drawn at random, the others join the nearest centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.query.clusters import centred, k_means_groups, sample_rows, squared
from engine.query.pool import Picks, Pool, picks

_MOST_GROUPS = 500
_MOST_MEMBERS = 1_000
_NEIGHBOURS = 20


def typiclust(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the most typical image of each group, groups with the fewest labels first, of those the largest first.

    When there are fewer groups than picks, the second most typical images follow, and so on.
    Scores: typicality, 1 / (mean distance to the nearest 20 of its group), in 1 / feature units.
    """
    if limit == 0 or pool.features is None:
        return picks(np.zeros(0, np.int64), np.zeros(0), ())
    own, labeled = centred(pool.described(), pool.labeled_features)
    count = min(limit + len(labeled), _MOST_GROUPS, len(own) + len(labeled))
    group, _ = k_means_groups(np.concatenate([own, labeled]), count, seed)
    size = np.bincount(group[: len(own)], minlength=count)
    labels = np.bincount(group[len(own) :], minlength=count)
    wanted = np.lexsort((np.arange(count), -size, labels))
    wanted = wanted[size[wanted] > 0][:limit]
    turns = 1 if len(wanted) == limit else limit
    members = _members(group[: len(own)], count)
    chosen: list[tuple[int, int, float, int]] = []  # turn, place of the group, typicality, row
    for place, number in enumerate(wanted.tolist()):
        rows, typical = _by_typicality(own, members[number], seed)
        chosen += [(turn, place, float(typical[turn]), int(rows[turn])) for turn in range(min(turns, len(rows)))]
    chosen.sort(key=lambda one: one[:2])
    taken = [one[3] for one in chosen[:limit]]
    why = [_why_typical(int(size[group[row]]), int(labels[group[row]])) for row in taken]
    return picks(np.array(taken, np.int64), np.array([one[2] for one in chosen[:limit]]), why)


def typicality(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each row (N,) 1 / (mean distance to its 20 nearest other rows + 1e-5); 0 for a single row."""
    near = min(_NEIGHBOURS, len(x) - 1)
    if near < 1:
        return np.zeros(len(x))
    gaps = squared(x, x)
    np.fill_diagonal(gaps, np.inf)
    closest = np.sqrt(np.partition(gaps, near - 1, axis=1)[:, :near].astype(np.float64))
    typical: NDArray[np.float64] = 1.0 / (closest.mean(axis=1) + 1e-5)
    return typical


def k_means(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the image nearest to the centre of each of `limit` groups of undecided images, largest group first.

    Groups come from k-means on at most 10,000 images drawn at random (8 a group at least). Where equal images leave
    groups empty, the next nearest of the others follow. Scores: distance to the centre, in feature units.
    """
    if limit == 0 or pool.features is None:
        return picks(np.zeros(0, np.int64), np.zeros(0), ())
    own, _ = centred(pool.described())
    group, centres = k_means_groups(own, limit, seed)
    gap = np.sqrt(np.einsum("nd,nd->n", own - centres[group], own - centres[group]))
    size = np.bincount(group, minlength=limit)
    inside = np.lexsort((gap, group))  # stable: of equal distances the first row
    turn = np.empty(len(own), np.int64)
    turn[inside] = np.arange(len(own)) - np.repeat(np.cumsum(size) - size, size)
    rows = np.lexsort((group, -size[group], turn))[:limit]
    return picks(rows, gap[rows], [f"centre of a group of {_images(int(size[group[row]]))}" for row in rows])


def _by_typicality(
    x: NDArray[np.float32], rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of a group, most typical first, with their typicality; rows not drawn come last with 0."""
    drawn = sample_rows(len(rows), _MOST_MEMBERS, seed)
    values = np.zeros(len(rows))
    values[drawn] = typicality(x[rows[drawn]])
    order = np.argsort(-values, kind="stable")
    return rows[order], values[order]


def _members(group: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, count)))


def _why_typical(size: int, labels: int) -> str:
    if labels == 0:
        return f"typical of a group of {_images(size)} without label"
    return f"typical of a group of {_images(size)} with {labels} label{'' if labels == 1 else 's'}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
