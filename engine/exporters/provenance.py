"""What stands behind the labels of an export: the decisions that gave them, and what their batches carry as proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry
from engine.store.sources import GIVING

_TOLD = (
    "label_source", "confidence", "round", "model", "reviewed", "reviewed_by", "reviewed_at", "seen_seconds", "batch",
    "audit", "bound", "group",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What an export says of its labels beyond the labels.

    origins: the entry that gave the label in force, by image id. facts: what batches carry, by batch, in the order
    wanted. groups: the name of each image's group, by image id; empty where the project has none. splits: the split
    in which each image came, by image id; empty where it came in none. names: the other names that an image's content
    was imported under, by image id.
    """

    origins: Mapping[int, LedgerEntry] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    splits: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int, Sequence[str]] = field(default_factory=dict)


def origins(entries: Sequence[LedgerEntry]) -> dict[int, LedgerEntry]:
    """Return the entry that gave the label in force, by image id; images without a label are left out.

    A mark keeps the label; an undo brings back the label of before, and with it who gave it.

    Args:
        entries: the ledger up to the state exported, oldest first.
    """
    behind: dict[int, LedgerEntry | None] = {}  # by seq: what gave the label in force once it was written
    based: dict[int, int] = {}  # by seq: the version it was based on
    latest: dict[int, LedgerEntry] = {}
    for entry in entries:
        based[entry.seq] = entry.base_version
        if entry.action in GIVING:
            origin: LedgerEntry | None = entry
        else:
            origin = behind.get(entry.base_version if entry.undoes is None else based[entry.undoes])
        behind[entry.seq] = origin
        if origin is None:
            latest.pop(entry.image_id, None)
        else:
            latest[entry.image_id] = origin
    return latest


def batches_of(rows: Iterable[ExportRow], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the facts of each batch that gave at least one exported label; batches without facts are left out.

    Args:
        rows: what is exported.
        facts: by batch, in the order wanted.
    """
    used = {row.batch for row in rows}
    return {batch: about for batch, about in facts.items() if batch in used}


def told(row: ExportRow) -> dict[str, Any]:
    """Return what a row knows of its label, by column, for formats whose labels carry attributes; nothing is None."""
    return {name: value for name in _TOLD if (value := getattr(row, name)) is not None}


def audit_of(facts: Mapping[str, Any]) -> int | None:
    """Return the number of the audit that let a batch in, by the batch's facts; None for any other batch."""
    number = facts.get("audit")
    return int(number) if isinstance(number, int) else None


def bound_of(facts: Mapping[str, Any]) -> float | None:
    """Return the upper limit, 0..1, of the share of wrong labels that an audit measured for a batch; None without one.

    It is that of the labels that the batch gave, nobody having looked at them; where the facts have none of these
    alone, that of all that was audited.
    """
    bound = facts.get("rest_bound")
    bound = facts.get("bound") if bound is None else bound
    return float(bound) if isinstance(bound, int | float) else None
