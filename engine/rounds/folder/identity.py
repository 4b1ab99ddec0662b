"""Whose folder a round's folder is: after a restore the number of a round is given again, and its folder may be there.

The round's uid stands in the store and in the folder's plan. A folder of another round, or of none, is moved aside
within rounds/, never removed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from engine.files import read_json, sync
from engine.rounds.folder import files
from engine.rounds.folder.lock import lock_folder
from engine.rounds.folder.plan import round_folder, round_folders

log = logging.getLogger("starling.rounds")
ASIDE = "aside-"
"""How the names of folders begin that were moved aside."""


def folder_uid(folder: Path) -> str | None:
    """Return the uid of the round that a folder is of; None where its plan has none or cannot be read."""
    try:
        uid = read_json(folder / files.CONFIG).get("uid")
    except (OSError, ValueError, AttributeError):
        return None
    return uid if isinstance(uid, str) else None


def make_room(root: Path, number: int, uid: str | None) -> Path | None:
    """Move the folder of a round's number aside where it is another round's; return where it lies then.

    Args:
        root: the project.
        number, uid: of the round as the store knows it.

    Raises:
        WorkerBusy: a worker of the other round still writes there.
    """
    folder = round_folder(root, number)
    if not folder.is_dir() or folder_uid(folder) == uid:
        return None
    return _move_aside(folder)


def strangers(root: Path, uids: Mapping[int, str | None]) -> dict[Path, str]:
    """Return the folders of rounds that the store does not know, and in words why.

    Args:
        root: the project.
        uids: of all rounds of the store, by number.
    """
    found = {}
    for folder in round_folders(root):
        if not folder.name.isdecimal() or int(folder.name) not in uids:
            found[folder] = "there is no such round"
        elif folder_uid(folder) != uids[int(folder.name)]:
            found[folder] = "it is of another round of this number"
    return found


def move_strangers(root: Path, uids: Mapping[int, str | None]) -> list[Path]:
    """Move the folders aside that `strangers` finds; return where they lie then. Raises as `make_room`."""
    return [_move_aside(folder) for folder in strangers(root, uids)]


def _move_aside(folder: Path) -> Path:
    handle = lock_folder(folder)
    try:
        target = folder.with_name(f"{ASIDE}{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        folder.rename(target)
        sync(folder.parent)
        log.warning("round folder %s is not of a round of the project; it was moved to %s", folder, target)
    finally:
        os.close(handle)
    return target
