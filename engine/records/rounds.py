"""Rounds as stored, what they predict, and where a map of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.groups import FEW_GROUPS

Record = TypeVar("Record")
RoundStateName = Literal[
    "queued", "running", "cancelling", "cancelled", "failed", "interrupted", "finished", "promoted", "held_back"
]
ACTIVE_STATES: frozenset[str] = frozenset({"queued", "running", "cancelling"})
RESUMABLE_STATES: frozenset[str] = frozenset({"interrupted", "failed", "cancelled"})
COMPLETE_STATES: frozenset[str] = frozenset({"finished", "promoted", "held_back"})
LIVE = "live"
"""In `RoundRecord.progress`: whether the round is written anew with each refit."""


@dataclass(frozen=True, slots=True)
class HeldoutFigures:
    """How many of n held-out images were right, and the exact 95 % interval of the share; n 0: nothing measured.

    They are of n different groups, one of each: frames of one scene are no independent measurements. images: how many
    labeled images these groups have; 0 where the round knew no groups.
    """

    n: int = 0
    correct: int = 0
    accuracy: float = 0.0
    low: float = 0.0
    high: float = 1.0
    method: str = ""
    images: int = 0

    @property
    def grouped(self) -> bool:
        """Whether fewer groups than labeled images stand behind the figures."""
        return self.images > self.n

    @property
    def few(self) -> bool:
        """Whether so few groups stand behind the figures that nothing is said to be better by them."""
        return self.grouped and 0 < self.n < FEW_GROUPS


@dataclass(frozen=True, slots=True)
class AblationFigures:
    """The round's algorithm without what makes it, on the same held-out images.

    Images that both had right, only the round, only the ablation. p_value: of the exact two-sided McNemar test.
    """

    heldout: HeldoutFigures
    both_right: int = 0
    only_main: int = 0
    only_ablation: int = 0
    p_value: float = 1.0


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """The temperature, and the expected calibration error 0..1 before and after it, None without held-out labels."""

    temperature: float = 1.0
    ece_before: float | None = None
    ece_after: float | None = None
    n: int = 0

    @property
    def fitted(self) -> bool:
        """Whether the confidences are calibrated at all: labels were held out that the temperature is fitted to."""
        return self.n > 0


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """How many images a round trained on, held out and gave pseudo-labels."""

    train: int = 0
    heldout: int = 0
    unlabeled: int = 0


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of a round's folder, by its name in it, and the SHA-256 of its content."""

    file: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a round comes into force, and why, in words for the person."""

    promoted: bool = False
    reason: str = ""


@dataclass(frozen=True)
class RoundReport:
    """What a complete round reached, as it stands in report.json and with the round in the store.

    `algorithm` is the one whose model is the round's result: the round's own, or its baseline, "supervised" or
    "regression", where that did better on the held-out images; `passed_over` is then what the round's own reached, else
    None. `confusion` (K, K) counts held-out images, rows are labels; `histogram` (K,) the unlabeled images by predicted
    class; `signals` says of how many images each signal is known. `checkpoint` and `predictions` are those of the
    result.
    """

    algorithm: str = ""
    classes: tuple[str, ...] = ()
    heldout: HeldoutFigures = HeldoutFigures()
    baseline: HeldoutFigures | None = None
    passed_over: HeldoutFigures | None = None
    ablation: AblationFigures | None = None
    calibration: CalibrationFigures = CalibrationFigures()
    confusion: tuple[tuple[int, ...], ...] = ()
    counts: PoolCounts = PoolCounts()
    histogram: tuple[int, ...] = ()
    predictions: WrittenFile = WrittenFile()
    signals: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_per_epoch: float = 0.0
    device: str = ""
    peak_memory_mb: float = 0.0
    peak_device_memory_mb: float | None = None
    epochs: int = 0
    checkpoint: WrittenFile = WrittenFile()
    recoveries: tuple[str, ...] = ()
    attempts: int = 0
    verdict: Verdict = Verdict()

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> RoundReport:
        """Return the report that JSON data hold; what they lack is as in a report of nothing."""
        baseline, ablation, passed_over = (report.get(name) for name in ("baseline", "ablation", "passed_over"))
        nested = {
            "heldout": of_json(HeldoutFigures, report.get("heldout") or {}),
            "baseline": None if baseline is None else of_json(HeldoutFigures, baseline),
            "passed_over": None if passed_over is None else of_json(HeldoutFigures, passed_over),
            "ablation": None
            if ablation is None
            else of_json(AblationFigures, ablation | {"heldout": of_json(HeldoutFigures, ablation)}),
            "calibration": of_json(CalibrationFigures, report.get("calibration") or {}),
            "counts": of_json(PoolCounts, report.get("counts") or {}),
            "predictions": of_json(WrittenFile, report.get("predictions") or {}),
            "checkpoint": of_json(WrittenFile, report.get("checkpoint") or {}),
            "verdict": of_json(Verdict, report.get("verdict") or {}),
            "classes": tuple(report.get("classes", ())),
            "confusion": tuple(tuple(row) for row in report.get("confusion", ())),
            "histogram": tuple(report.get("histogram", ())),
            "recoveries": tuple(report.get("recoveries", ())),
        }
        return of_json(cls, {**report, **nested})

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        plain = asdict(self)
        if self.ablation is not None:
            figures = plain["ablation"].pop("heldout")
            plain["ablation"] = figures | plain["ablation"]
        for name in ("classes", "histogram", "recoveries"):
            plain[name] = list(plain[name])
        return plain | {"confusion": [list(row) for row in self.confusion]}


def of_json(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """Return the record of a dataclass whose fields JSON data hold; other data are passed over."""
    return kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round as stored. `config` is its whole plan, `progress` the last thing the worker said.

    `uid` is its own for good, where `token` is that of an attempt; None for rounds from before there were any.
    """

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
    report: RoundReport | None
    pid: int | None
    pid_created: float | None
    token: str
    attempt: int
    uid: str | None

    @property
    def active(self) -> bool:
        """Whether it blocks another round of the same project."""
        return self.state in ACTIVE_STATES

    @property
    def live(self) -> bool:
        """Whether it is fitted anew after every few answers, so that its predictions change."""
        return bool(self.progress.get(LIVE))


@dataclass(frozen=True)
class Predictions:
    """Calibrated predictions of one complete round for all N images.

    image_ids (N,) int64 ascending; probabilities (N, K) float32, rows sum to 1; classes: K names, the column order;
    version: SHA-256 of their file, which changes with each refit of a live round.
    """

    round: int
    image_ids: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    version: str = ""


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
