"""Distances and k-means in float32, fast enough for 50,000 images.

Everything here takes rows in the order it is given and breaks ties by the first row; `pick` sorts the pool by image id
before, so that ties go to the smallest id.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

_CHUNK = 2048  # rows compared at once, so that their distances stay in the processor's cache


def centred(
    features: NDArray[Any], others: NDArray[Any] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both in float32, moved by the mean of `features`: distances stay, rounding errors shrink.

    Returns:
        (N, D), and (L, D) of `others`, L = 0 for None.
    """
    own = np.asarray(features, np.float32)
    middle = own.mean(axis=0) if len(own) else np.zeros(own.shape[1], np.float32)
    rest = np.zeros((0, own.shape[1]), np.float32) if others is None else np.asarray(others, np.float32)
    return own - middle, rest - middle


def sample_rows(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return all rows 0..n-1, or `most` of them drawn without replacement, ascending."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False)).astype(np.int64)


def squared(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared Euclidean distances (N, M), never below 0; they round to about 1e-6 |x|²."""
    gaps: NDArray[np.float32] = x @ y.T
    gaps *= -2.0
    gaps += np.einsum("nd,nd->n", x, x)[:, None]
    gaps += np.einsum("nd,nd->n", y, y)[None, :]
    np.maximum(gaps, 0.0, out=gaps)
    return gaps


def products(x: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of each row with one row (N,).

    Not by BLAS: called hundreds of times, its threads would wait for each other while a round trains beside.
    """
    products: NDArray[np.float32] = np.einsum("nd,d->n", x, one)
    return products


def nearest(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each row of x the row of y nearest to it (N,), and the squared distance (N,). y must not be empty."""
    index = np.empty(len(x), np.int64)
    gap = np.einsum("nd,nd->n", x, x)
    widened = np.concatenate([-2.0 * y, np.einsum("nd,nd->n", y, y)[:, None]], axis=1).T  # (D + 1, M)
    ones = np.ones((_CHUNK, 1), np.float32)
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        rows = x[part]
        gaps = np.concatenate([rows, ones[: len(rows)]], axis=1) @ widened  # |y|² − 2⟨x, y⟩ in one product
        index[part] = gaps.argmin(axis=1)
        gap[part] += np.take_along_axis(gaps, index[part, None], axis=1)[:, 0]
    return index, np.maximum(gap, 0.0)


def k_means_groups(
    x: NDArray[np.float32], count: int, seed: int, *, fit_on: int = 10_000
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the group of each row by k-means: (N,) numbers in 0..count-1, and the centres (count, D).

    k-means++ start, 12 Lloyd steps, on at most `fit_on` rows drawn at random (never fewer than 8 a group); then every
    row goes to the nearest centre. A group may stay empty where rows are equal.

    Sources: Lloyd (1982); Arthur and Vassilvitskii, "k-means++" (2007).
    """
    rows = sample_rows(len(x), max(fit_on, 8 * count), seed)
    part = x[rows]
    centres = part[_spread_start(part, min(count, len(part)), seed)]
    for _ in range(12):
        group, _gap = nearest(part, centres)
        sums = csr_matrix((np.ones(len(part)), (group, np.arange(len(part)))), shape=(len(centres), len(part)))
        total = np.asarray(sums.sum(axis=1)).ravel()
        filled = total > 0
        moved = centres.copy()
        moved[filled] = (sums @ part)[filled] / total[filled, None]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return nearest(x, centres)[0], centres


def _spread_start(x: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """Rows drawn one after the other with probability in proportion to the squared distance to those drawn before."""
    rng = np.random.default_rng(seed)
    square = np.einsum("nd,nd->n", x, x)
    chosen = [draw(np.ones(len(x)), rng)]
    gap = np.full(len(x), np.inf, np.float32)
    while len(chosen) < count:
        last = chosen[-1]
        gap = np.minimum(gap, np.maximum(square + square[last] - 2.0 * products(x, x[last]), 0.0))
        gap[last] = 0.0
        chosen.append(draw(gap, rng))
    return np.array(chosen, np.int64)


def draw(weight: NDArray[Any], rng: np.random.Generator) -> int:
    """Return a row with probability in proportion to its weight; the first of the heaviest rows when all are 0."""
    sums = np.cumsum(weight, dtype=np.float64)
    if not sums[-1] > 0:
        return int(np.argmax(weight))
    return int(min(np.searchsorted(sums, rng.random() * sums[-1], side="right"), len(weight) - 1))
