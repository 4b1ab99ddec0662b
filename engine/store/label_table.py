"""What is in force for all images as columns, kept in memory and brought up to date by what changed since."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from engine.ids import id_array
from engine.records.labels import LabelSource, Mark
from engine.store.database import Database
from engine.store.schema import current_labels, images

SOURCES: tuple[LabelSource, ...] = get_args(LabelSource)
MARKS: tuple[Mark, ...] = get_args(Mark)
NONE = -1


@dataclass(frozen=True)
class LabelTable:
    """What is in force for all N images. Every array is (N,), read-only, in the order of `image_ids`.

    version: 0 before any entry; label_code: index into `names`, source_code into SOURCES, mark_code into MARKS, each -1
    for none; round: -1 for none; confidence: NaN for none. names: every label text that occurs, in no special order.
    """

    image_ids: NDArray[np.int64]  # ascending
    version: NDArray[np.int64]
    label_code: NDArray[np.int32]
    source_code: NDArray[np.int8]
    mark_code: NDArray[np.int8]
    reviewed: NDArray[np.bool_]
    round: NDArray[np.int64]
    confidence: NDArray[np.float64]
    names: tuple[str, ...] = ()

    @cached_property
    def label(self) -> NDArray[np.object_]:
        """The label of each image as text, None where there is none."""
        return _texts(self.names, self.label_code)

    @cached_property
    def source(self) -> NDArray[np.object_]:
        """Where each label comes from as text, None without a label."""
        return _texts(SOURCES, self.source_code)

    @cached_property
    def mark(self) -> NDArray[np.object_]:
        """The mark of each image as text, None where there is none."""
        return _texts(MARKS, self.mark_code)

    @cached_property
    def labeled(self) -> NDArray[np.bool_]:
        """Which images have a label, marked or not."""
        return self.label_code >= 0

    @cached_property
    def marked(self) -> NDArray[np.bool_]:
        """Which images were rejected, skipped, flagged or called unsure."""
        return self.mark_code >= 0

    @cached_property
    def undecided(self) -> NDArray[np.bool_]:
        """Which images have neither label nor mark."""
        return ~(self.labeled | self.marked)

    @cached_property
    def rejected(self) -> NDArray[np.bool_]:
        """Which images are not to be used."""
        return self.has_mark("reject")

    @property
    def head(self) -> int:
        """The seq of the newest ledger entry that the table knows; 0 before any."""
        return int(self.version.max(initial=0))

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each of these images, all of which must be in the table."""
        return np.searchsorted(self.image_ids, ids)

    def among(self, ids: Collection[int]) -> NDArray[np.bool_]:
        """Return which images (N,) are some of these; ids that are not in the table are passed over."""
        return np.isin(self.image_ids, id_array(ids))

    def has_mark(self, *marks: Mark) -> NDArray[np.bool_]:
        """Return which images (N,) carry one of these marks."""
        return np.isin(self.mark_code, [MARKS.index(mark) for mark in marks])

    def has_source(self, *sources: LabelSource) -> NDArray[np.bool_]:
        """Return which images (N,) have a label from one of these sources."""
        return np.isin(self.source_code, [SOURCES.index(source) for source in sources])

    def class_index(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return each label's place (N,) among class names; -1 for no label, and for one that is not among them."""
        place = {name: index for index, name in enumerate(classes)}
        columns = np.array([*(place.get(name, NONE) for name in self.names), NONE], np.int64)
        return columns[self.label_code]


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


_COLUMNS = ("version", "label_code", "source_code", "mark_code", "reviewed", "round", "confidence")


def _blank(image_ids: NDArray[np.int64]) -> LabelTable:
    size = len(image_ids)
    return LabelTable(
        image_ids=image_ids,
        version=np.zeros(size, dtype=np.int64),
        label_code=np.full(size, NONE, dtype=np.int32),
        source_code=np.full(size, NONE, dtype=np.int8),
        mark_code=np.full(size, NONE, dtype=np.int8),
        reviewed=np.zeros(size, dtype=np.bool_),
        round=np.full(size, NONE, dtype=np.int64),
        confidence=np.full(size, np.nan),
    )


def _advance(connection: Connection, before: LabelTable) -> LabelTable:
    """Return a new table with the images and states that came since `before`; `before` if none did."""
    last_id = int(before.image_ids[-1]) if len(before.image_ids) else 0
    new_ids = _rows(connection, select(images.c.id).where(images.c.id > last_id).order_by(images.c.id))
    changed = _rows(connection, select(current_labels).where(current_labels.c.version > before.head))
    if not new_ids and not changed:
        return before
    added = np.array([row[0] for row in new_ids], dtype=np.int64)
    table = replace(_blank(np.concatenate([before.image_ids, added])), names=before.names)
    for column in _COLUMNS:
        getattr(table, column)[: len(before.image_ids)] = getattr(before, column)
    if changed:
        table = _put(table, dict(zip(current_labels.columns.keys(), zip(*changed, strict=True), strict=True)))
    for column in ("image_ids", *_COLUMNS):
        getattr(table, column).setflags(write=False)
    return table


def _rows(connection: Connection, query: Any) -> list[tuple[Any, ...]]:
    """Return the driver's own tuples: no column here needs converting, and 60,000 rows take half the time."""
    return list(connection.execute(query).cursor.fetchall())


def _put(table: LabelTable, values: dict[str, tuple[Any, ...]]) -> LabelTable:
    """Write changed rows into the table's fresh arrays; return it with the label texts that are new."""
    at = table.rows(np.array(values["image_id"], dtype=np.int64))
    code = {name: index for index, name in enumerate(table.names)}
    table.version[at] = values["version"]
    table.label_code[at] = [NONE if label is None else code.setdefault(label, len(code)) for label in values["label"]]
    table.source_code[at] = [NONE if source is None else SOURCES.index(source) for source in values["source"]]
    table.mark_code[at] = [NONE if mark is None else MARKS.index(mark) for mark in values["mark"]]
    table.reviewed[at] = np.array(values["reviewed"], dtype=np.bool_)
    table.round[at] = [NONE if number is None else number for number in values["round"]]
    table.confidence[at] = np.array(values["confidence"], dtype=np.float64)  # None becomes NaN
    return replace(table, names=tuple(code))


def _texts(names: Sequence[str], codes: NDArray[Any]) -> NDArray[np.object_]:
    """Return the text of each code, None for -1; nobody may write into it."""
    texts: NDArray[np.object_] = np.array([*names, None], dtype=object)[codes]
    texts.setflags(write=False)
    return texts
