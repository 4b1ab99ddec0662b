"""Which batches the labels of an export come from, and what those batches carry as proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry

_LABELS = frozenset({"import", "label", "correct", "accept"})


def batches_of(
    rows: Iterable[ExportRow], entries: Sequence[LedgerEntry], facts: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the facts of each batch that put at least one exported label in force; batches without facts are left out.

    A mark keeps the label and with it the batch; an undo brings back the batch of the label it brings back.

    Args:
        rows: what is exported; only labels in force count, no pseudo-labels.
        entries: the ledger up to the state exported, oldest first.
        facts: by batch, in the order wanted.
    """
    origin = _origins(entries) if facts else {}
    labeled = {row.image_id for row in rows if row.label is not None and row.label_source != "pseudo"}
    used = {origin.get(image_id) for image_id in labeled}
    return {batch: about for batch, about in facts.items() if batch in used}


def _origins(entries: Sequence[LedgerEntry]) -> dict[int, str | None]:
    """Return the batch of the decision that put each image's label in force, by image id."""
    after: dict[int, str | None] = {}  # by seq: the batch behind the label in force on its image once it was written
    based: dict[int, int] = {}  # by seq: the version it was based on
    latest: dict[int, str | None] = {}
    for entry in entries:
        based[entry.seq] = entry.base_version
        if entry.action in _LABELS:
            batch = entry.batch
        elif entry.undoes is not None:
            batch = after.get(based[entry.undoes])
        else:
            batch = after.get(entry.base_version)
        after[entry.seq] = latest[entry.image_id] = batch
    return latest
