"""The lock of a round's folder: whoever starts a worker takes it, and the worker holds it to its end."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.rounds.folder import files

LOCK_VARIABLE = "STARLING_WORKER_LOCK"
"""Tells a worker that it has inherited the lock from the one who started it."""


class WorkerBusy(Exception):
    """A worker of this round's folder is alive; a second one must not start."""


def lock_folder(folder: Path) -> int:
    """Take the worker lock of a round's folder and return its file descriptor; the lock ends with its last holder.

    Raises:
        WorkerBusy: a worker holds it.
    """
    handle = os.open(folder / files.LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise WorkerBusy(str(folder)) from error
    return handle
