"""Picks the next images by a strategy, and says which strategies a pool allows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from engine.errors import ConfigError
from engine.query.order import random_order
from engine.query.pool import Picks, Pool
from engine.query.strategies import QUERY_STRATEGIES, Strategy

__all__ = ["Picks", "Pool", "available", "pick", "random_order"]

_MISSING = {
    "features": (
        "There are no features of these images yet",
        "Finish a round (rounds made by older versions have none), or choose another order.",
    ),
    "flips": ("No round has recorded pseudo-labels over its epochs", "Finish a round, or choose another order."),
    "disagreement": (
        "The round has no teacher and student to compare",
        "Run a round whose algorithm has both (such as Meta Pseudo Labels), or choose another order.",
    ),
    "bald": (
        "The round measured no dropout disagreement",
        "Run a round with a network that has dropout, or choose another order.",
    ),
}


def pick(strategy: str, pool: Pool, limit: int, *, exclude: Collection[int] = (), seed: int = 0) -> Picks:
    """Return the images to look at next, first one first; the same for the same pool, seed and excluded images.

    Args:
        strategy: a key of QUERY_STRATEGIES.
        pool: the undecided images.
        limit: at most so many; 0 gives none.
        exclude: image ids to leave out; unknown ones are ignored.
        seed: draws the subsamples and the starts of the clusterings; the order of rows in the pool changes nothing.

    Returns:
        At most `limit` picks; fewer when the pool is smaller, or when fewer images have the strategy's signal.

    Raises:
        ConfigError: unknown strategy, negative limit or seed, or a strategy whose needs the pool does not meet.
    """
    if strategy not in QUERY_STRATEGIES:
        raise ConfigError(
            "Unknown query strategy", value=strategy, way_out=f"Choose one of: {', '.join(QUERY_STRATEGIES)}."
        )
    if limit < 0 or seed < 0:
        raise ConfigError(
            "The limit and the seed must not be negative", value=min(limit, seed), way_out="Pass 0 or more."
        )
    chosen = QUERY_STRATEGIES[strategy]
    for need in sorted(chosen.needs):
        if not _has(pool, need):
            cause, way_out = _MISSING[need]
            raise ConfigError(cause, way_out=way_out)
    rows = pool.without(exclude)
    picks = chosen.choose(pool.subset(rows), min(limit, len(rows)), seed)
    return replace(picks, rows=rows[picks.rows])


def available(pool: Pool) -> dict[str, str]:
    """Return for each strategy "" when the pool allows it, else one sentence that says what is missing."""
    return {key: _reason(pool, strategy) for key, strategy in QUERY_STRATEGIES.items()}


def _reason(pool: Pool, strategy: Strategy) -> str:
    missing = [_MISSING[need][0] for need in sorted(strategy.needs) if not _has(pool, need)]
    return f"{missing[0]}." if missing else ""


def _has(pool: Pool, need: str) -> bool:
    values = getattr(pool, need)
    if values is None:
        return False
    if need == "features":
        return bool(values.shape[1])
    known = values >= 0 if need == "flips" else ~np.isnan(values)
    return bool(known.any()) or len(values) == 0
