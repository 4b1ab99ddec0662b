"""Images, the labels in force, decisions, and the ledger's entries and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["import", "label", "accept", "correct", "reject", "skip", "unsure", "flag", "undo"]
LabelSource = Literal["imported", "human", "accepted"]
Mark = Literal["reject", "skip", "unsure", "flag"]


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
    together. `draws`: images that the measured set takes in with this answer, in their order.
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
    draws: tuple[int, ...] = ()


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
