"""Rows of ids among ids: what every join of arrays by image id asks."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray


def rows_of(wanted: NDArray[np.int64], among: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row (N,) of each wanted id among ascending ids, and whether it is there at all (N,).

    The row of an id that is not there is any valid row, so that a lookup with it never fails; there is none to give
    when `among` is empty, and the rows are then 0.
    """
    if not len(among):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    rows = np.minimum(np.searchsorted(among, wanted), len(among) - 1)
    return rows, among[rows] == wanted


def row_of(image_id: int, among: NDArray[np.int64]) -> int | None:
    """Return the row of one id among ascending ids; None where it is not there."""
    row = int(np.searchsorted(among, image_id))
    return row if row < len(among) and among[row] == image_id else None


def id_array(ids: Collection[int]) -> NDArray[np.int64]:
    """Return a collection of ids as an array (N,), in its order."""
    return np.fromiter(ids, np.int64, len(ids))
