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


def near_duplicates(
    images: NDArray[np.uint8], threshold: float = THRESHOLD, seed: int = 0, colours: NDArray[np.uint8] | None = None
) -> list[Group]:
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
        colours: (N, C, H, W), the same images in colour. What looks alike in grey must then reach the threshold in
            colour too, correlated over all channels at once, and identical images are those of identical colours.

    Returns:
        Groups of at least two; the largest similarity first, ties by the first row.

    Raises:
        ConfigError: an array has another form, or the threshold is outside its range.
    """
    if images.ndim != 3 or images.dtype != np.uint8 or min(images.shape[1:]) < 4:
        raise ConfigError("Images to compare must be grey and at least 4 pixels", value=images.shape)
    if colours is not None and (colours.shape[:1], colours.shape[2:]) != (images.shape[:1], images.shape[1:]):
        raise ConfigError("The colours must be those of the same images", value=colours.shape)
    if not 0.0 < threshold <= 1.0:
        raise ConfigError(
            "The likeness of duplicates is outside 0 to 1", value=threshold, way_out=f"Choose {THRESHOLD}."
        )
    if not len(images):
        return []
    first, which = _distinct(images if colours is None else colours)
    pairs = candidates(features(images[first]), seed)
    likeness = _likeness(images, first[pairs])
    pairs, likeness = pairs[likeness >= threshold], likeness[likeness >= threshold]
    if colours is not None:
        likeness = np.minimum(likeness, _likeness(colours, first[pairs]))
    keep = likeness >= threshold
    return _groups(which, pairs[keep], likeness[keep])


def _distinct(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each different array, and for each row (N,) the number of its array."""
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    whole = flat.view(np.dtype((np.void, flat.shape[1])))[:, 0]
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return first.astype(np.int64), which.astype(np.int64)


def _likeness(images: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The best correlation of each pair over shifts, (P,); −1 where one of the two is of nearly one grey.

    `images` are (N, H, W), or (N, C, H, W) with all channels taken as one pattern.
    """
    likeness = np.full(len(pairs), -1.0)
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        a, spread_a = _centred(images[block[:, 0]])
        b, spread_b = _centred(images[block[:, 1]])
        patterned = (spread_a >= FLAT) & (spread_b >= FLAT)
        best = np.full(len(block), -1.0)
        for down, right in _SHIFTS:
            best = np.maximum(best, _correlation(_part(a, down, right), _part(b, -down, -right)))
        likeness[start : start + _BLOCK] = np.where(patterned, best, -1.0)
    return np.asarray(np.minimum(likeness, 1.0))


def _centred(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images less their mean, and their deviation (n,)."""
    axes = tuple(range(1, images.ndim))
    values = images - images.mean(axis=axes, dtype=np.float32, keepdims=True)
    return values, np.sqrt(np.square(values).mean(axis=axes))


def _part(images: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """What is left of images after cutting `down` rows at the top (below 0: at the bottom), and so for columns."""
    h, w = images.shape[-2:]
    part = images[..., max(0, down) : h + min(0, down), max(0, right) : w + min(0, right)]
    return part.reshape(len(part), -1)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pearson's correlation of the values of a[i] and b[i], (n,); 0 where one of them is of one grey."""
    n = a.shape[1]
    sum_a, sum_b = a.sum(axis=1), b.sum(axis=1)
    square_a = np.einsum("nv,nv->n", a, a) - sum_a**2 / n
    square_b = np.einsum("nv,nv->n", b, b) - sum_b**2 / n
    scale = np.sqrt(np.maximum(square_a, 0.0) * np.maximum(square_b, 0.0))
    product = np.einsum("nv,nv->n", a, b) - sum_a * sum_b / n
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
    groups = [
        (rows.astype(np.int64), float(weakest[roots[which[rows[0]]]]), bool(arrays[roots[which[rows[0]]]] == 1))
        for rows in np.split(order, ends)
        if len(rows) > 1
    ]
    return sorted(groups, key=lambda group: (-group[1], int(group[0][0])))
