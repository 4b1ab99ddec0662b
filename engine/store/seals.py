"""Digests of what is stored and not in the ledger: the classes, the hidden labels, each round.

Each is a SHA-256 in the table meta, written in the transaction that changes what it is of, and compared where that is
read. What an earlier version wrote has none until it is changed, or `starling doctor --repair` gives it one, and is
read as it is. A migration that changes such rows removes their digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, insert, literal, select, update

from engine.errors import RESTORE, ProjectCorrupt
from engine.store.schema import classes, meta, truth

PREFIX = "digest of "
CLASSES, TRUTH, ROUND = (f"{PREFIX}{name}" for name in ("classes", "hidden labels ", "round "))
"""Keys; the last two are followed by the number of a block of images and of a round."""
BLOCK = 4096
"""Images whose hidden labels have one digest: an import that comes in parts looks at few labels again for each."""


def digest_of(rows: Sequence[Sequence[Any]]) -> str:
    """Return the SHA-256, as hex, of rows, lists or tuples, in their order. They are not copied: of 60,000 rows that
    would take as long again, in the garbage collector."""
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def stored(key: str | ColumnElement[str]) -> ColumnElement[str | None]:
    """Return the digest under a key as a column of a query; NULL where there is none."""
    return select(meta.c.value).where(meta.c.key == key).scalar_subquery()


def round_key(number: ColumnElement[int]) -> ColumnElement[str]:
    """Return the key of the digest of a round, for a query."""
    return literal(ROUND) + cast(number, String)


def write(connection: Connection, key: str, digest: str) -> None:
    """Put a digest under its key, in a writing transaction."""
    if connection.execute(update(meta).where(meta.c.key == key).values(value=digest)).rowcount == 0:
        connection.execute(insert(meta), {"key": key, "value": digest})


def seal_classes(connection: Connection) -> None:
    """Write the digest of the classes as they are."""
    write(connection, CLASSES, digest_of(_class_rows(connection)))


def seal_truth(connection: Connection, image_ids: Iterable[int]) -> None:
    """Write the digests of the blocks that hold the hidden labels of these images, as they are."""
    for block in {_block(number) for number in image_ids}:
        write(connection, f"{TRUTH}{block}", digest_of(_truth_of(connection, block)))


def check_truth(connection: Connection, image_ids: Iterable[int]) -> None:
    """Check the blocks that the hidden labels of these images come into.

    Raises:
        ProjectCorrupt: the hidden labels there are not those that were written; a new digest would hide that.
    """
    kept = _truth_digests(connection)
    for block in {_block(number) for number in image_ids} & kept.keys():
        if kept[block] != digest_of(_truth_of(connection, block)):
            raise corrupt(f"not saved: {_TRUTH_DIFFERS}")


def class_names(connection: Connection) -> tuple[str, ...]:
    """Return the class names in position order.

    Raises:
        ProjectCorrupt: the classes are not those that were written.
    """
    columns = (classes.c.id, classes.c.name, classes.c.position, stored(CLASSES))
    rows = connection.execute(select(*columns).order_by(classes.c.id)).all()
    digest = rows[0][3] if rows else None
    if digest is not None and digest != digest_of([tuple(row[:3]) for row in rows]):
        raise corrupt(
            "The classes are not those that were written",
            "Where only their order changed, `starling doctor PROJECT --repair` puts it right.",
        )
    return tuple(row.name for row in sorted(rows, key=lambda row: (row.position, row.id)))


def truth_rows(connection: Connection) -> dict[int, str]:
    """Return the hidden labels by image id, ascending.

    Raises:
        ProjectCorrupt: they are not those that were written.
    """
    rows = _truth_rows(connection)
    if _truth_differs(connection, rows):
        raise corrupt(f"The {_TRUTH_DIFFERS}")
    return dict(rows)


def corrupt(cause: str, more: str = "") -> ProjectCorrupt:
    """Return the error that says so of rows that only a backup has as they were."""
    return ProjectCorrupt(cause, way_out=f"{more} {RESTORE}".strip())


def find_flaws(connection: Connection) -> list[str]:
    """Return which of the classes and hidden labels differ from their digest, a sentence each."""
    digest = connection.scalar(select(stored(CLASSES)))
    differ = {
        "classes": digest is not None and digest != digest_of(_class_rows(connection)),
        "hidden labels": _truth_differs(connection, _truth_rows(connection)),
    }
    return [f"{what}: they are not those that were written. {RESTORE}" for what, damaged in differ.items() if damaged]


def find_unsealed(connection: Connection) -> list[str]:
    """Return which of the classes and hidden labels have no digest, in words."""
    no_digest = _class_rows(connection) and connection.scalar(select(stored(CLASSES))) is None
    found = ["classes"] if no_digest else []
    return [*found, "hidden labels"] if unsealed_truth(connection) else found


def unsealed_truth(connection: Connection) -> list[int]:
    """Return the images, ascending, whose hidden label is in a block without a digest."""
    kept = _truth_digests(connection)
    return [number for number, _ in _truth_rows(connection) if _block(number) not in kept]


def order_is_known(connection: Connection) -> bool:
    """Return whether the digest of the classes is of the order in which they were added, so that it can be restored."""
    return connection.scalar(select(stored(CLASSES))) == digest_of(_as_added(connection))


def reorder_classes(connection: Connection) -> None:
    """Put the classes in the order in which they were added; only where `order_is_known`.

    Raises:
        ProjectCorrupt: their digest is of something else; nothing is changed.
    """
    if not order_is_known(connection):
        raise corrupt("not saved: the classes are not those that were written")
    for number, _, position in _as_added(connection):
        connection.execute(update(classes).where(classes.c.id == number).values(position=position))


def _as_added(connection: Connection) -> list[tuple[Any, ...]]:
    return [(number, name, place) for place, (number, name, _) in enumerate(_class_rows(connection))]


def sealed_rounds(connection: Connection) -> list[int]:
    """Return the numbers of the rounds that have a digest, ascending."""
    keys = connection.scalars(select(meta.c.key).where(meta.c.key.startswith(ROUND)))
    return sorted(int(key.removeprefix(ROUND)) for key in keys)


_TRUTH_DIFFERS = "hidden labels are not those that were written"


def _truth_differs(connection: Connection, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether hidden labels, all of them and ascending by image, are others than their blocks' digests are of."""
    blocks = {block: list(part) for block, part in groupby(rows, key=lambda row: _block(row[0]))}
    kept = _truth_digests(connection)
    return any(digest != digest_of(blocks.get(block, [])) for block, digest in kept.items())


def _truth_digests(connection: Connection) -> dict[int, str]:
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(TRUTH))
    return {int(key.removeprefix(TRUTH)): digest for key, digest in connection.execute(query)}


def _block(image_id: int) -> int:
    return (image_id - 1) // BLOCK


def _class_rows(connection: Connection) -> list[tuple[Any, ...]]:
    query = select(classes.c.id, classes.c.name, classes.c.position).order_by(classes.c.id)
    return [tuple(row) for row in connection.execute(query)]


def _truth_of(connection: Connection, block: int) -> list[tuple[Any, ...]]:
    inside = truth.c.image_id.between(block * BLOCK + 1, (block + 1) * BLOCK)
    query = select(truth.c.image_id, truth.c.label).where(inside).order_by(truth.c.image_id)
    return list(connection.execute(query).cursor.fetchall())


def _truth_rows(connection: Connection) -> list[tuple[Any, ...]]:
    query = select(truth.c.image_id, truth.c.label).order_by(truth.c.image_id)
    return list(connection.execute(query).cursor.fetchall())
