"""What the ledger says of where a label comes from and of who saw the image, for entries of every age.

The words are those of `engine.records.labels`. A mark keeps a label and an undo brings one back, so that what counts is
the entry that gave the label: its origin. Entries from before revision 0005 carry the source "accepted" for every
accepted prediction, and call all that a press put in force reviewed. They are hashed and stay as they are; here they
are read by what they hold: whether the decision shared a batch, was timed, and what let the batch in.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from functools import cached_property

from sqlalchemy import Connection, select

from engine.records.labels import LabelSource
from engine.store.rows import Row, chunks
from engine.store.schema import batches, entries

GIVING = frozenset({"import", "label", "correct", "accept"})
"""Actions that give a label; all others keep one or bring one back."""
RULE_BATCHES = select(batches.c.batch).where(batches.c.facts["kind"].as_string().in_(("audit", "threshold")))
"""Batches whose facts say that a rule let them in: nobody looked at those images."""


def is_alone(batch: str | None, seconds: float | None, seen_seconds: float | None) -> bool:
    """Return whether a decision was made with its image alone in front: not by a tile, and timed where it has company.

    Args:
        batch: what it was recorded with; None for nothing.
        seconds: how long the image was in front; None where nobody measured.
        seen_seconds: how long its tile was on the screen; None where it was no tile.
    """
    return seen_seconds is None and (batch is None or seconds is not None)


def source_of_accepted(batch: str | None, seconds: float | None, seen_seconds: float | None) -> LabelSource:
    """Return the source of a prediction that is accepted now. In company, and not known to have been on a screen, it
    counts as not seen. The arguments are those of `is_alone`."""
    if is_alone(batch, seconds, seen_seconds):
        return "confirmed"
    return "accepted_in_batch" if seen_seconds else "accepted_by_threshold"


def read_source(entry: Row, origin: Row, by_rule: Container[str]) -> LabelSource | None:
    """Return the source of the label that a ledger row put in force.

    Args:
        entry: the row.
        origin: the row that gave its label, often the same.
        by_rule: the batches that a rule let in.
    """
    if entry["source"] != "accepted":
        return entry["source"]  # type: ignore[no-any-return]
    if is_alone(origin["batch"], origin["seconds"], origin["seen_seconds"]):
        return "confirmed"
    return "accepted_by_threshold" if origin["batch"] in by_rule else "accepted_in_batch"


def is_reviewed(origin: Row) -> bool:
    """Return whether a person gave this row's label with the image alone in front."""
    return origin["action"] != "import" and is_alone(origin["batch"], origin["seconds"], origin["seen_seconds"])


class RuleBatches:
    """The batches that a rule let in, read when first asked for: only entries from before revision 0005 ask."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._connection.scalars(RULE_BATCHES))

    def __contains__(self, batch: object) -> bool:
        return batch in self._names


class Origins:
    """Follows ledger rows, oldest first, all of an image or none, and knows the one that gave each label."""

    def __init__(self) -> None:
        self._base: dict[int, int] = {}
        self._origin: dict[int, Row | None] = {}  # of the label in force once a seq was written

    def follow(self, row: Row) -> Row | None:
        """Take the next row; return the row that gave the label it put in force, None where that has no label."""
        self._base[row["seq"]] = row["base_version"]
        if row["action"] in GIVING:
            origin: Row | None = row
        else:
            kept = row["base_version"] if row["undoes"] is None else self._base.get(row["undoes"])
            origin = self._origin.get(kept) if kept is not None else None
        self._origin[row["seq"]] = origin
        return origin

    def of(self, seq: int) -> Row | None:
        """Return the row that gave the label in force once `seq` was written; None where there is no label."""
        return self._origin.get(seq)


def read_origins(connection: Connection, image_ids: Iterable[int], seq: int) -> Origins:
    """Return the origins of the labels of these images, up to ledger entry `seq`."""
    origins = Origins()
    for chunk in chunks(sorted(image_ids)):
        query = select(entries).where(entries.c.image_id.in_(chunk), entries.c.seq <= seq).order_by(entries.c.seq)
        for row in connection.execute(query).mappings():
            origins.follow(row)
    return origins
