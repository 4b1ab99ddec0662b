"""A file that appears at its place only when it is complete and on the disk."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.errors import ExportError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def complete_or_nothing(target: Path) -> Iterator[BinaryIO]:
    """Yield a binary file beside `target`; on success it replaces `target`, on any exception it is removed.

    Raises:
        ExportError: the disk is full or the folder cannot be written; an older file at `target` is kept.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        raise _explained(error, target) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, target: Path) -> ExportError:
    if error.errno in _FULL:
        return ExportError(
            "The disk is full, the export was not written",
            value=str(target),
            way_out="Free some space or choose another folder, then export again.",
        )
    return ExportError(
        "The export could not be written",
        value=f"{target} ({error.strerror or error})",
        way_out="Check that the folder exists and can be written, then export again.",
    )
