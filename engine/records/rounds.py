"""Rounds as stored, what they predict, and where a map of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RoundStateName = Literal[
    "queued", "running", "cancelling", "cancelled", "failed", "interrupted", "finished", "promoted", "held_back"
]
ACTIVE_STATES: frozenset[str] = frozenset({"queued", "running", "cancelling"})
RESUMABLE_STATES: frozenset[str] = frozenset({"interrupted", "failed", "cancelled"})
COMPLETE_STATES: frozenset[str] = frozenset({"finished", "promoted", "held_back"})


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round as stored. `config` is its whole plan, `progress` the last thing the worker said."""

    number: int
    state: RoundStateName
    algorithm: str
    config: Mapping[str, Any]
    ledger_seq: int
    created: str
    started: str | None
    ended: str | None
    progress: Mapping[str, Any]
    error: Mapping[str, Any] | None
    report: Mapping[str, Any] | None
    pid: int | None
    pid_created: float | None
    token: str
    attempt: int

    @property
    def active(self) -> bool:
        """Whether it blocks another round of the same project."""
        return self.state in ACTIVE_STATES


@dataclass(frozen=True)
class Predictions:
    """Calibrated predictions of one complete round for all N images.

    image_ids (N,) int64 ascending; probabilities (N, K) float32, rows sum to 1; classes: K names, the column order.
    """

    round: int
    image_ids: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MapState:
    """Where a map stands. `stage` is what the person reads; `fraction` in 0..1; `source` is where its features come
    from; `placed` images came after the layout and were placed among the others.
    """

    status: Literal["none", "running", "ready", "failed", "cancelled"]
    stage: str = ""
    fraction: float = 0.0
    points: int = 0
    version: str = ""
    error: str = ""
    source: str = "pixels"
    placed: int = 0
