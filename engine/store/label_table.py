"""What is in force for all images as columns, kept in memory and brought up to date by what changed since."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from engine.store.database import Database
from engine.store.schema import current_labels, images


@dataclass(frozen=True)
class LabelTable:
    """What is in force for all N images. Every array is (N,), read-only, in the order of `image_ids`.

    version: 0 before any entry; label, source, mark: text or None; round: -1 where there is none;
    confidence: NaN where there is none.
    """

    image_ids: NDArray[np.int64]  # ascending
    version: NDArray[np.int64]
    label: NDArray[np.object_]
    source: NDArray[np.object_]
    reviewed: NDArray[np.bool_]
    mark: NDArray[np.object_]
    round: NDArray[np.int64]
    confidence: NDArray[np.float64]


class LabelTableReader:
    """Reads the table; from the second time on, only rows with a newer version than the newest seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._table = _blank(np.empty(0, dtype=np.int64))

    def read(self) -> LabelTable:
        """Return the table as it is in one snapshot taken after this call began."""
        with self._lock, self._database.read() as connection:
            self._table = _advance(connection, self._table)
            return self._table

    def forget(self) -> None:
        """Read everything anew next time, because rows changed without a newer version."""
        with self._lock:
            self._table = _blank(np.empty(0, dtype=np.int64))


def _blank(image_ids: NDArray[np.int64]) -> LabelTable:
    size = len(image_ids)
    return LabelTable(
        image_ids=image_ids,
        version=np.zeros(size, dtype=np.int64),
        label=np.full(size, None, dtype=object),
        source=np.full(size, None, dtype=object),
        reviewed=np.zeros(size, dtype=np.bool_),
        mark=np.full(size, None, dtype=object),
        round=np.full(size, -1, dtype=np.int64),
        confidence=np.full(size, np.nan),
    )


def _advance(connection: Connection, before: LabelTable) -> LabelTable:
    """Return a new table with the images and states that came since `before`; `before` if none did."""
    last_id = int(before.image_ids[-1]) if len(before.image_ids) else 0
    new_ids = _rows(connection, select(images.c.id).where(images.c.id > last_id).order_by(images.c.id))
    newest = int(before.version.max(initial=0))
    changed = _rows(connection, select(current_labels).where(current_labels.c.version > newest))
    if not new_ids and not changed:
        return before
    added = np.array([row[0] for row in new_ids], dtype=np.int64)
    table = _blank(np.concatenate([before.image_ids, added]))
    for column in fields(LabelTable):
        getattr(table, column.name)[: len(before.image_ids)] = getattr(before, column.name)
    if changed:
        _put(table, dict(zip(current_labels.columns.keys(), zip(*changed, strict=True), strict=True)))
    for column in fields(LabelTable):
        getattr(table, column.name).setflags(write=False)
    return table


def _rows(connection: Connection, query: Any) -> list[tuple[Any, ...]]:
    """Return the driver's own tuples: no column here needs converting, and 60,000 rows take half the time."""
    return list(connection.execute(query).cursor.fetchall())


def _put(table: LabelTable, values: dict[str, tuple[Any, ...]]) -> None:
    at = np.searchsorted(table.image_ids, np.array(values["image_id"], dtype=np.int64))
    table.version[at] = values["version"]
    table.label[at] = values["label"]
    table.source[at] = values["source"]
    table.mark[at] = values["mark"]
    table.reviewed[at] = np.array(values["reviewed"], dtype=np.bool_)
    table.round[at] = [-1 if number is None else number for number in values["round"]]
    table.confidence[at] = np.array(values["confidence"], dtype=np.float64)  # None becomes NaN
