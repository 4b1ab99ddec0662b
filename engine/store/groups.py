"""Groups of images that are not independent: frames of one scene, a burst, a video, near-duplicates.

The name of an image's group stands with the image; how groups came about is kept in the project's settings, an entry
each time they were set. A group is no label: it is not in the ledger, and it may be set anew at any time.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, func, insert, select, update

from engine.errors import ConfigError
from engine.store.database import Database, read_setting
from engine.store.rows import INTEGER_MAX, chunks, nfc, now, text_flaw
from engine.store.schema import images, meta

GROUPS_KEY = "groups"


@dataclass(frozen=True, slots=True)
class GroupsSet:
    """One time that groups were set: when, how in words, for how many images, and how many groups they were put in."""

    time: str
    how: str
    images: int
    groups: int


def write_groups(connection: Connection, names: Mapping[int, str | None], how: str) -> int:
    """Put images into the groups of these names, or into none; return how many images changed.

    Args:
        connection: in a writing transaction.
        names: by image id the name of its group, None for none.
        how: where the groups come from, in words.

    Raises:
        ConfigError: there is no image of an id, or a name or `how` is empty, too long or holds a control character;
            nothing is changed.
    """
    for text in {how, *(name for name in names.values() if name is not None)}:
        if (flaw := text_flaw(text) or text_flaw(nfc(text))) is not None:
            raise ConfigError(
                f"not saved: the name of a group {flaw}", value=repr(text), way_out="Choose another name."
            )
    before: dict[int, str | None] = {}
    for chunk in chunks(sorted(number for number in map(int, names) if 0 < number <= INTEGER_MAX)):
        query = select(images.c.id, images.c.group).where(images.c.id.in_(chunk))
        before.update((number, name) for number, name in connection.execute(query))
    missing = [number for number in names if number not in before]
    if missing:
        raise ConfigError("not saved: there is no image with this id", value=missing[0], way_out="Reload the page.")
    after = {int(number): None if name is None else nfc(name) for number, name in names.items()}
    changed = {number: name for number, name in after.items() if name != before[number]}
    if changed:
        put_into_groups(connection, changed)
        note_groups(connection, how, [name for name in after.values() if name is not None])
    return len(changed)


def put_into_groups(connection: Connection, names: Mapping[int, str | None]) -> None:
    """Put images into groups by name, or into none; that it was done is for `note_groups`."""
    rows = [{"of_image": number, "to_group": name} for number, name in names.items()]
    if rows:
        statement = update(images).where(images.c.id == bindparam("of_image")).values(group=bindparam("to_group"))
        connection.execute(statement, rows)


def note_groups(connection: Connection, how: str, names: list[str]) -> None:
    """Keep how groups came about; names: the group of each image that was put into one."""
    entry = GroupsSet(now(), how, len(names), len(Counter(names)))
    value = json.dumps([*map(asdict, read_groups_set(connection)), asdict(entry)])
    if connection.execute(update(meta).where(meta.c.key == GROUPS_KEY).values(value=value)).rowcount == 0:
        connection.execute(insert(meta), {"key": GROUPS_KEY, "value": value})


def read_groups_set(connection: Connection) -> list[GroupsSet]:
    """Return each time that groups were set, oldest first."""
    return [GroupsSet(**entry) for entry in json.loads(read_setting(connection, GROUPS_KEY) or "[]")]


def read_group_names(connection: Connection) -> dict[int, str]:
    """Return the name of the group of each image that is in one, by image id."""
    query = select(images.c.id, images.c.group).where(images.c.group.is_not(None)).order_by(images.c.id)
    return {number: str(name) for number, name in connection.execute(query)}


def read_groups(connection: Connection) -> NDArray[np.int64]:
    """Return the group numbers (N,) of all images in the order of their ids, ascending; see `GroupReader.read`."""
    query = select(images.c.id, images.c.group).order_by(images.c.id)
    first: dict[str, int] = {}
    numbers = [
        number if name is None else first.setdefault(name, number)
        for number, name in connection.execute(query).cursor.fetchall()
    ]
    return np.array(numbers, np.int64)


class GroupReader:
    """Reads the number of each image's group; anew only when there are more images or groups were set."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._key: tuple[int, str] | None = None
        self._groups: NDArray[np.int64] = np.empty(0, np.int64)

    def read(self) -> NDArray[np.int64]:
        """Return the group numbers (N,) in the order of the images' ids, ascending, as they are in one snapshot.

        The number of a group is the id of its first image: images of one group share it, an image without a group has
        its own id, and no number changes when images are added.
        """
        with self._lock, self._database.read() as connection:
            count = connection.scalar(select(func.max(images.c.id))) or 0
            key = count, read_setting(connection, GROUPS_KEY) or ""
            if key != self._key:
                self._groups = read_groups(connection)
                self._groups.setflags(write=False)
                self._key = key
            return self._groups
