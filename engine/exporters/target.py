"""The file an export writes: at its place only when it is complete and on the disk; why it could not, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.errors import ExportError
from engine.files import replacing

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def complete_or_nothing(target: Path) -> Iterator[BinaryIO]:
    """Yield a binary file beside `target`; on success it replaces `target`, on any exception it is removed.

    Raises:
        ExportError: the disk is full or the folder cannot be written; an older file at `target` is kept.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as aside, open(aside, "xb") as file:
            yield file
    except OSError as error:
        raise _explained(error, target) from error


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
