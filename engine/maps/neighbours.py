"""Nearest neighbours in features and on maps, and how much of the one a map keeps of the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from engine.errors import MapError

_BLOCK = 8192


def nearest(features: NDArray[np.floating], row: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k rows nearest to one by Euclidean distance, itself left out, nearest first, ties by row number.

    Args:
        features: (N, D) finite; may be memory-mapped, it is read block by block.
        row: 0..N-1.
        k: how many; fewer come back where there are fewer.

    Returns:
        Row numbers (k,) and distances (k,) float32.

    Raises:
        MapError: there is no such row.
    """
    if not 0 <= row < len(features):
        raise MapError("There is no such image on the map", value=row, way_out="Reload the map.")
    own = np.asarray(features[row], np.float64)
    squares = np.empty(len(features))
    for start in range(0, len(features), _BLOCK):
        block = np.asarray(features[start : start + _BLOCK], np.float64)
        squares[start : start + _BLOCK] = ((block - own) ** 2).sum(axis=1)
    squares[row] = np.inf
    k = max(0, min(k, len(features) - 1))
    near = np.flatnonzero(squares <= np.partition(squares, k - 1)[k - 1]) if k else np.zeros(0, np.int64)
    order = near[np.argsort(squares[near], kind="stable")][:k]
    return order.astype(np.int64), np.sqrt(squares[order]).astype(np.float32)


def recall(
    features: NDArray[np.floating], xy: NDArray[np.floating], k: int = 10, sample: int | None = None, seed: int = 0
) -> float:
    """Return the mean share of each row's k nearest rows in the features that are among its k nearest on the map.

    Args:
        features: (N, D) finite.
        xy: (N, 2) finite.
        k: 1..N-1.
        sample: average over so many randomly chosen rows; all when None.
        seed: of that choice.

    Returns:
        0..1.

    Raises:
        MapError: the two have different numbers of rows, or not more than k.
    """
    rows = _rows(len(features), len(xy), k)
    if sample is not None and sample < len(rows):
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:sample])
    return float(_shared(_nearest(features, rows, k), _nearest(xy, rows, k)).mean())


def overlap(a: NDArray[np.floating], b: NDArray[np.floating], k: int = 10) -> NDArray[np.float64]:
    """Return for each row the share of its k nearest rows that `a` (N, D) and `b` (N, D') agree on, (N,) in 0..1.

    Raises:
        MapError: the two have different numbers of rows, or not more than k.
    """
    rows = _rows(len(a), len(b), k)
    return _shared(_nearest(a, rows, k), _nearest(b, rows, k))


def one_nn_accuracy(xy: NDArray[np.floating], labels: NDArray[np.generic]) -> float:
    """Return the share of rows whose nearest other row has the same label; leave-one-out, 0..1.

    Raises:
        MapError: fewer than two rows, or not one label a row.
    """
    rows = _rows(len(xy), len(labels), 1)
    return float((labels[_nearest(xy, rows, 1)[:, 0]] == labels).mean())


def _rows(n: int, m: int, k: int) -> NDArray[np.int64]:
    if n != m or not 1 <= k < n:
        raise MapError(
            "Neighbours cannot be compared", value=f"{n} and {m} rows, {k} neighbours", way_out="Use more rows."
        )
    return np.arange(n)


def _nearest(points: NDArray[np.floating], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k nearest other rows of some rows, (len(rows), k)."""
    points = np.asarray(points, np.float32 if points.shape[1] > 3 else np.float64)
    finder = NearestNeighbors(algorithm="brute" if points.shape[1] > 3 else "kd_tree").fit(points)
    near = finder.kneighbors(points[rows], n_neighbors=k + 1, return_distance=False)
    own = near == rows[:, None]
    own[~own.any(axis=1), -1] = True  # among equal rows the row itself need not be listed
    return np.asarray(near[~own].reshape(len(rows), k), np.int64)


def _shared(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray((a[:, :, None] == b[:, None, :]).any(axis=2).mean(axis=1))
