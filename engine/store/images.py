"""Classes and images as stored: plain lookups, and the one way to add a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, func, insert, select

from engine.errors import ConfigError
from engine.records.labels import ImageItem
from engine.store import seals
from engine.store.rows import INTEGER_MAX, chunks, nfc, text_flaw
from engine.store.schema import classes, images, imports

_ITEM = tuple(column for column in images.columns if column.name not in ("import_id", "key", "group"))

TEST_SPLIT = "test_split"
"""In an import's summary: the ids of the images, ascending, that its source sets apart to measure."""
SPLITS = "splits"
"""In an import's summary: by the name of a split, the ids of the images that the source puts into it."""
OTHER_NAMES = "other_names"
"""In an import's summary: an image's id and a further name that the source has its content under, one pair a name."""


_NEWEST = select(func.max(images.c.id))


def read_newest(connection: Connection) -> int:
    """Return the largest id of an image; 0 without any."""
    return connection.scalar(_NEWEST) or 0


def read_classes(connection: Connection) -> tuple[str, ...]:
    """Return the class names in position order. Raises ProjectCorrupt where they are not those that were written."""
    return seals.class_names(connection)


def add_classes(connection: Connection, names: Sequence[str]) -> tuple[str, ...]:
    """Add the classes that are new, in NFC, at the end and in the order given; return those.

    Raises:
        ConfigError: a name is empty, too long, or holds a control character.
    """
    for name in names:
        if (flaw := text_flaw(name) or text_flaw(nfc(name))) is not None:
            raise ConfigError(f"the class name {flaw}", value=repr(name), way_out="Choose another name.")
    known = {nfc(name) for name in read_classes(connection)}
    new = tuple(name for name in dict.fromkeys(map(nfc, names)) if name not in known)
    last = connection.scalar(select(func.max(classes.c.position)))
    start = 0 if last is None else last + 1
    if new:
        rows = [{"name": name, "position": start + offset} for offset, name in enumerate(new)]
        connection.execute(insert(classes), rows)
        seals.seal_classes(connection)
    return new


def read_items(connection: Connection, ids: Sequence[int] | None) -> list[ImageItem]:
    """Return the images in the order of `ids`; all of them, ascending by id, when None.

    Raises:
        ConfigError: there is no image with one of these ids.
    """
    query = select(*_ITEM).order_by(images.c.id)
    if ids is None:
        return [_item(row) for row in connection.execute(query).mappings()]
    wanted = [int(number) for number in ids]
    items: dict[int, ImageItem] = {}
    for chunk in chunks(sorted({number for number in wanted if 0 < number <= INTEGER_MAX})):
        for row in connection.execute(query.where(images.c.id.in_(chunk))).mappings():
            items[row["id"]] = _item(row)
    missing = [number for number in wanted if number not in items]
    if missing:
        raise ConfigError("there is no image with this id", value=missing[0], way_out="Reload the page.")
    return [items[number] for number in wanted]


def _item(row: RowMapping) -> ImageItem:
    return ImageItem(**row)


def read_truth(connection: Connection) -> dict[int, str]:
    """Return the hidden labels of demos and benchmarks, by image id.

    Raises:
        ProjectCorrupt: they are not those that were written.
    """
    return seals.truth_rows(connection)


def read_given_splits(connection: Connection) -> dict[int, str]:
    """Return the split that a source puts an image into, by image id; the first one where several do."""
    found: dict[int, str] = {}
    for summary in connection.scalars(select(imports.c.summary).order_by(imports.c.id)):
        for split, numbers in summary.get(SPLITS, {}).items():
            for number in numbers:
                found.setdefault(int(number), str(split))
    return found


def read_other_names(connection: Connection) -> dict[int, tuple[str, ...]]:
    """Return the further names that an image's content came under, by image id, in the order they came; none twice."""
    found: dict[int, dict[str, None]] = {}
    for summary in connection.scalars(select(imports.c.summary).order_by(imports.c.id)):
        for number, name in summary.get(OTHER_NAMES, ()):
            found.setdefault(int(number), {})[str(name)] = None
    return {number: tuple(names) for number, names in found.items()}


def read_test_split(connection: Connection) -> NDArray[np.int64]:
    """Return the ids (M,) ascending of the images that a source set apart as its test split."""
    summaries = connection.scalars(select(imports.c.summary))
    return np.unique(np.array([number for one in summaries for number in one.get(TEST_SPLIT, ())], np.int64))
