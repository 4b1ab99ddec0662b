"""Random order: the control every other strategy has to beat, and a sample that a model reads the classes' shares off.

The measured set has an order of its own, which has nothing to do with this one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.query.order import random_order
from engine.query.pool import Picks, Pool, picks


def choose_random(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images that come first in the fixed random order.

    Scores: the place in that order, 0 first, below 1. `seed` changes nothing: it must stay one order.
    """
    place = random_order(pool.ids)
    rows = np.lexsort((pool.ids, place))[:limit]
    if pool.trained:
        why = [why_random(pool.probabilities[row], pool.classes) for row in rows]
    else:
        why = ["no round yet: a random image"] * len(rows)
    return picks(rows, place[rows], why)


def why_random(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Say that chance picked it and what the model takes it for; how surely is no number that anything has measured."""
    return f"picked at random, predicted “{classes[int(row.argmax())]}”"
