"""What an import finds, what it refuses and what it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
