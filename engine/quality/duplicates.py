"""Exact and near duplicates among images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.duplicate_pairs import candidates, features

THRESHOLD = 0.99
SHIFT = 1
FLAT = 2.0
_BLOCK = 1024
_SHIFTS = tuple((down, right) for down in range(-SHIFT, SHIFT + 1) for right in range(-SHIFT, SHIFT + 1))

Group = tuple[NDArray[np.int64], float, bool]


def near_duplicates(images: NDArray[np.uint8], threshold: float = THRESHOLD, seed: int = 0) -> list[Group]:
    """Return groups of images that look the same: (rows ascending, similarity 0..1, whether all are identical).

    Identical arrays are always found. Of the others, pairs that look alike from afar (see `duplicate_pairs`) are
    compared by the correlation of their pixels, the best over shifts by up to one pixel, on the part both show; those
    that reach the threshold join one group, also by way of a third image. A group's similarity is the least of the
    links that join it, 1.0 for identical images. An image of nearly one grey (deviation below 2 levels) has no
    pattern to compare and is only ever an exact duplicate. Time grows about linearly with the number of images.

    Args:
        images: (N, H, W) small and grey, such as 32 × 32; H and W from 4.
        threshold: correlation from which two images count as the same, above 0 to 1. Lower finds more, and takes
            images for the same that are only alike, such as two upright strokes.
        seed: of the hashing.

    Returns:
        Groups of at least two; the largest similarity first, ties by the first row.

    Raises:
        ConfigError: the array has another form, or the threshold is outside its range.
    """
    if images.ndim != 3 or images.dtype != np.uint8 or min(images.shape[1:]) < 4:
        raise ConfigError("Images to compare must be grey and at least 4 pixels", value=images.shape)
    if not 0.0 < threshold <= 1.0:
        raise ConfigError(
            "The likeness of duplicates is outside 0 to 1", value=threshold, way_out=f"Choose {THRESHOLD}."
        )
    if not len(images):
        return []
    first, which = _distinct(images)
    distinct = images[first]
    pairs = candidates(features(distinct), seed)
    likeness = _likeness(distinct, pairs)
    keep = likeness >= threshold
    return _groups(which, pairs[keep], likeness[keep])


def _distinct(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each different array, and for each row (N,) the number of its array."""
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    whole = flat.view(np.dtype((np.void, flat.shape[1])))[:, 0]
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return first.astype(np.int64), which.astype(np.int64)


def _likeness(images: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The best correlation of each pair over shifts, (P,); −1 where one of the two is of nearly one grey."""
    flat = images.reshape(len(images), -1)
    means = flat.mean(axis=1, dtype=np.float32)[:, None, None]
    found = np.full(len(pairs), -1.0)
    patterned = np.flatnonzero((flat.std(axis=1, dtype=np.float32) >= FLAT)[pairs].all(axis=1))
    for start in range(0, len(patterned), _BLOCK):
        rows = patterned[start : start + _BLOCK]
        a, b = (images[pairs[rows, side]] - means[pairs[rows, side]] for side in (0, 1))
        for down, right in _SHIFTS:
            shifted = _correlation(_part(a, down, right), _part(b, -down, -right))
            found[rows] = np.maximum(found[rows], shifted)
    return np.asarray(np.minimum(found, 1.0))


def _part(images: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """What is left of images after cutting `down` rows at the top (below 0: at the bottom), and so for columns."""
    h, w = images.shape[1:]
    return images[:, max(0, down) : h + min(0, down), max(0, right) : w + min(0, right)]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pearson's correlation of the pixels of a[i] and b[i], (N,); 0 where one of them is of one grey."""
    n = a[0].size
    sum_a, sum_b = a.sum(axis=(1, 2)), b.sum(axis=(1, 2))
    square_a = np.einsum("nhw,nhw->n", a, a) - sum_a**2 / n
    square_b = np.einsum("nhw,nhw->n", b, b) - sum_b**2 / n
    scale = np.sqrt(np.maximum(square_a, 0.0) * np.maximum(square_b, 0.0))
    product = np.einsum("nhw,nhw->n", a, b) - sum_a * sum_b / n
    return np.asarray(np.where(scale > 1.0, product / np.maximum(scale, 1.0), 0.0), np.float32)


def _groups(which: NDArray[np.int64], pairs: NDArray[np.int64], likeness: NDArray[np.float64]) -> list[Group]:
    """Join arrays along pairs, the most alike first, and name the images of each group."""
    parent = np.arange(which.max() + 1)
    weakest = np.ones(len(parent))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    for place in np.argsort(-likeness, kind="stable").tolist():
        a, b = root(int(pairs[place, 0])), root(int(pairs[place, 1]))
        if a != b:
            parent[max(a, b)] = min(a, b)
            weakest[min(a, b)] = likeness[place]
    roots = np.array([root(node) for node in range(len(parent))])
    arrays = np.bincount(roots, minlength=len(parent))
    order = np.argsort(roots[which], kind="stable")
    ends = np.flatnonzero(np.diff(roots[which][order])) + 1
    found = [
        (rows.astype(np.int64), float(weakest[roots[which[rows[0]]]]), bool(arrays[roots[which[rows[0]]]] == 1))
        for rows in np.split(order, ends)
        if len(rows) > 1
    ]
    return sorted(found, key=lambda group: (-group[1], int(group[0][0])))
