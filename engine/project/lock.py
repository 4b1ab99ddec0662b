"""The lock of a project's folder: all who have the project open share it, who replaces its files holds it alone.

The system releases it when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ProjectInUse, ProjectReadOnly

LOCK = "project.lock"


def share(root: Path, *, read_only: bool) -> int | None:
    """Keep others from replacing the project's files until the file descriptor returned is closed.

    Returns:
        None where the project is opened read-only and has no lock file that could be read.

    Raises:
        ProjectInUse: the project is being restored.
        ProjectReadOnly: the folder cannot be written, and `read_only` is False.
    """
    try:
        handle = _opened(root, make=not read_only)
    except OSError as error:
        if read_only:
            return None
        raise ProjectReadOnly(
            f"The project cannot be written ({error.strerror})",
            value=root,
            way_out="Make its folder writable, or open the project read-only.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ProjectInUse(
            "The project is being restored from a backup", value=root, way_out="Wait until that is done."
        ) from error
    return handle


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the project alone within the block.

    Raises:
        ProjectInUse: a process has it open.
    """
    handle = _opened(root, make=True)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ProjectInUse(
                "The project is open in another process",
                value=root,
                way_out="Close it there: stop `starling ui` and the commands that work on it. Then try again.",
            ) from error
        yield
    finally:
        os.close(handle)


def _opened(root: Path, *, make: bool) -> int:
    # Reading is enough for flock, and the file may belong to another member of a lab.
    return os.open(root / LOCK, os.O_RDONLY | (os.O_CREAT if make else 0), 0o644)
