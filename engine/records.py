"""Frozen records that rooms hand to each other. Plain data: no behaviour beyond a derived property."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Action = Literal["import", "label", "accept", "correct", "reject", "skip", "unsure", "flag", "undo"]
LabelSource = Literal["imported", "human", "accepted"]
Mark = Literal["reject", "skip", "unsure", "flag"]
RoundStateName = Literal[
    "queued", "running", "cancelling", "cancelled", "failed", "interrupted", "finished", "promoted", "held_back"
]
ACTIVE_STATES: frozenset[str] = frozenset({"queued", "running", "cancelling"})
RESUMABLE_STATES: frozenset[str] = frozenset({"interrupted", "failed", "cancelled"})
COMPLETE_STATES: frozenset[str] = frozenset({"finished", "promoted", "held_back"})

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); total 0 means unknown."""


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image of a project. `name` is the original relative path, data only: never used to open a file."""

    id: int
    sha256: str
    name: str
    format: str
    width: int
    height: int
    channels: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LabelState:
    """What is in force for one image. `version` is the ledger seq of its last entry, 0 before any."""

    image_id: int
    version: int = 0
    label: str | None = None
    source: LabelSource | None = None
    round: int | None = None
    confidence: float | None = None
    reviewed: bool = False
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing a person (or an import) says of one image; becomes one ledger entry.

    `uid` makes it idempotent: the same uid twice is recorded once. `base_version` is the version of the image that
    was looked at. `round` and `confidence` tell which prediction was on screen. `batch` groups what is undone
    together.
    """

    uid: str
    image_id: int
    base_version: int
    action: Action
    label: str | None = None
    actor: str = "local"
    round: int | None = None
    confidence: float | None = None
    batch: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The ledger's answer to one decision, given only after the commit.

    `saved`: recorded now; `duplicate`: this uid was recorded before; `conflict`: the image changed since
    `base_version`, nothing recorded; `refused`: the decision itself is wrong (see `message`).
    `state` is what is in force afterwards.
    """

    uid: str
    status: Literal["saved", "duplicate", "conflict", "refused"]
    state: LabelState | None = None
    seq: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the append-only ledger: the decision and the state it put in force."""

    seq: int
    uid: str
    image_id: int
    base_version: int
    action: Action
    actor: str
    label: str | None
    source: LabelSource | None
    round: int | None
    confidence: float | None
    reviewed: bool
    mark: Mark | None
    batch: str | None
    undoes: int | None
    seconds: float | None
    time: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ProjectCounts:
    """How many images are in which state. labeled = imported + human + accepted; unlabeled = images - labeled."""

    images: int
    labeled: int
    unlabeled: int
    imported: int
    human: int
    accepted: int
    marked: int
    per_class: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One file or row an import did not take, and why. `name` is escaped for display."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One decodable file of a scanned source, staged but not yet part of the project.

    `label` is what the source says (None = unlabeled); `truth` is a label kept hidden from training and from the
    person, used only to show true accuracy in demos and benchmarks.
    """

    name: str
    staged: Path
    sha256: str
    format: str
    width: int
    height: int
    channels: int
    bytes: int
    label: str | None = None
    truth: str | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportPreview:
    """What a source holds, shown before anything is written to the project.

    `counts` maps class name to number of labeled images. `conflicts` are images whose copies carry different
    labels: they are imported unlabeled and listed. `staging` is the folder to throw away on refusal.
    """

    source: str
    layout: str
    found: tuple[FoundImage, ...]
    refused: tuple[Refusal, ...]
    counts: Mapping[str, int]
    unlabeled: int
    skipped: int
    conflicts: tuple[Refusal, ...]
    notices: tuple[str, ...]
    staging: Path


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What one import changed.

    `differing` names the images whose imported label contradicts the one in force, which stays; `refused` counts
    them too.
    """

    added: int
    already_there: int
    labels_added: int
    classes_added: tuple[str, ...]
    refused: int
    seconds: float
    differing: tuple[Refusal, ...] = ()


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
class Beside:
    """Something an image is compared with: another image with its label, or what one person said of the image."""

    image_id: int
    label: str | None
    who: str = ""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One image of a review queue, with what the page shows beside it.

    random: it belongs to the random slice, whose answers measure the accuracy. beside: what it is to be compared with.
    """

    image_id: int
    name: str
    width: int
    height: int
    version: int
    label: str | None
    source: LabelSource | None
    mark: Mark | None
    prediction: str | None
    confidence: float | None
    top: tuple[tuple[str, float], ...]
    score: float | None
    why: str
    round: int | None
    random: bool = False
    beside: tuple[Beside, ...] = ()


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
