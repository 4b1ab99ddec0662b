"""Orders a pool by a strategy's scores without sorting all of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.query.strategies import QUERY_STRATEGIES, Strategy


def rank(
    strategy: str,
    probabilities: NDArray[np.float32],
    ids: NDArray[np.int64],
    limit: int,
    exclude: Collection[int] = (),
) -> NDArray[np.int64]:
    """Return the rows to look at first: highest score first, equal scores by ascending image id.

    Args:
        strategy: a key of QUERY_STRATEGIES.
        probabilities: (N, K), finite, in 0..1.
        ids: (N,) distinct image ids, in any order.
        limit: at most so many rows; 0 gives none.
        exclude: image ids to leave out; unknown ones are ignored.

    Returns:
        (M,) int64 row numbers into `probabilities`, M <= limit.

    Raises:
        ConfigError: unknown strategy, negative limit, shapes that do not fit, or a value not in 0..1.
    """
    chosen = _strategy(strategy)
    probabilities, ids = _checked(probabilities, ids, limit)
    rows = np.arange(len(ids), dtype=np.int64)
    if exclude:
        rows = rows[~np.isin(ids, np.fromiter(exclude, np.int64, len(exclude)))]
    if limit == 0 or len(rows) == 0:
        return rows[:0]
    scores = chosen.score(probabilities[rows], ids[rows])
    first = _highest(scores, ids[rows], limit)
    return rows[first]


def why(strategy: str, row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Return one line that says why an image is in the queue.

    Args:
        strategy: a key of QUERY_STRATEGIES.
        row: (K,) probabilities of that image.
        classes: K class names, the column order.

    Raises:
        ConfigError: unknown strategy, or not one name a column.
    """
    chosen = _strategy(strategy)
    if len(row) != len(classes) or len(row) == 0:
        raise ConfigError(
            "Probabilities and class names differ in number",
            value=f"{len(row)} and {len(classes)}",
            way_out="Pass the class names of the round that made the prediction.",
        )
    return chosen.why(np.asarray(row), classes)


def _highest(scores: NDArray[np.float64], ids: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Positions of the `limit` highest scores, ordered; ties at the border go to the smallest ids."""
    n = len(scores)
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


def _strategy(key: str) -> Strategy:
    if key not in QUERY_STRATEGIES:
        raise ConfigError("Unknown query strategy", value=key, way_out=f"Choose one of: {', '.join(QUERY_STRATEGIES)}.")
    return QUERY_STRATEGIES[key]


def _checked(
    probabilities: NDArray[np.float32], ids: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    probabilities, ids = np.asarray(probabilities), np.asarray(ids)
    if limit < 0:
        raise ConfigError("The limit must not be negative", value=limit, way_out="Ask for 0 or more images.")
    if probabilities.ndim != 2 or probabilities.shape[1] == 0 or ids.shape != (len(probabilities),):
        raise ConfigError(
            "Probabilities must be (N, K) with one image id a row",
            value=f"{probabilities.shape} and {ids.shape}",
            way_out="Pass rows and ids of the same images.",
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # False for NaN too
        raise ConfigError(
            "A probability is not a number between 0 and 1",
            way_out="The round's predictions are damaged: run the round again.",
        )
    return probabilities, ids
