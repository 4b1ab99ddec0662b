"""Strategies that order by one number an image: uncertainty of the prediction, or a signal the round recorded.

Images whose signal is unknown (NaN, or -1 changes) come into no queue of that signal.

Sources: BALD: Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning" (2011), equation 2,
estimated by MC dropout as in Gal, Islam, Ghahramani, "Deep Bayesian Active Learning with Image Data" (2017), section 4.
Disagreement: the Jensen–Shannon divergence as in query by committee, McCallum and Nigam (1998), a committee of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.query.chance import choose_random
from engine.query.order import highest
from engine.query.pool import Picks, Pool, picks
from engine.query.uncertainty import margin

Choose = Callable[[Pool, int, int], Picks]
Score = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]
Why = Callable[[NDArray[np.float32], Sequence[str]], str]


def by_probability(score: Score, why: Why) -> Choose:
    """Return a strategy that takes the highest scores; before any round it is the random order."""

    def choose(pool: Pool, limit: int, seed: int) -> Picks:
        if not pool.trained:
            return choose_random(pool, limit, seed)
        scores = score(pool.probabilities, pool.ids)
        rows = highest(scores, pool.ids, limit)
        return picks(rows, scores[rows], [why(pool.probabilities[row], pool.classes) for row in rows])

    return choose


def choose_bald(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images about which the dropout masks contradict each other most."""
    return _by_signal(pool, pool.bald, limit, lambda row, value: f"dropout masks differ: {value:.3f} nats")


def choose_disagreement(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images about which teacher and student differ most."""
    return _by_signal(pool, pool.disagreement, limit, lambda row, value: why_disagreement(pool, row, value))


def choose_flips(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images whose pseudo-label changed most often; of equally many, the closest call first."""
    known = None if pool.flips is None else np.where(pool.flips >= 0, pool.flips, np.nan).astype(np.float64)
    return _by_signal(pool, known, limit, lambda row, value: why_flips(int(value)), _closeness(pool))


def why_disagreement(pool: Pool, row: int, value: float) -> str:
    """Say what teacher and student hold it for where that is known and differs, else how far apart they are."""
    student = int(pool.probabilities[row].argmax())
    teacher = -1 if pool.teacher is None else int(pool.teacher[row])
    if 0 <= teacher < len(pool.classes) and teacher != student:
        return f"teacher says “{pool.classes[teacher]}”, student “{pool.classes[student]}”"
    return f"teacher and student differ: {value:.3f} nats"


def why_flips(changes: int) -> str:
    """Say how often its pseudo-label changed."""
    if changes == 0:
        return "its pseudo-label never changed"
    return f"its pseudo-label changed {changes} time{'' if changes == 1 else 's'}"


def _by_signal(
    pool: Pool,
    signal: NDArray[Any] | None,
    limit: int,
    why: Callable[[int, float], str],
    tie: NDArray[np.float64] | None = None,
) -> Picks:
    values = np.full(len(pool), np.nan) if signal is None else np.asarray(signal, np.float64)
    rows = np.flatnonzero(~np.isnan(values))
    second = np.zeros(len(pool)) if tie is None else tie
    order = np.lexsort((pool.ids[rows], -second[rows], -values[rows]))[: max(limit, 0)]
    rows = rows[order]
    return picks(rows, values[rows], [why(int(row), float(values[row])) for row in rows])


def _closeness(pool: Pool) -> NDArray[np.float64]:
    return margin(pool.probabilities, pool.ids)
