"""Small files read and written in the fewest calls to the system: an import makes two of each image."""

from __future__ import annotations

import os

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
_OLD = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def read_small(path: str) -> bytes:
    """Return a file's bytes. Raises OSError as `open` does."""
    handle = os.open(path, _OLD)
    try:
        pieces = [os.read(handle, os.fstat(handle).st_size + 1)]
        while pieces[-1]:
            pieces.append(os.read(handle, 1 << 20))
    finally:
        os.close(handle)
    return pieces[0] if len(pieces) <= 2 else b"".join(pieces)


def write_small(path: str, data: bytes) -> None:
    """Write a file, also where the system takes it in pieces.

    Raises:
        OSError: it cannot be made, or the disk is full; a part of it may be there.
    """
    handle = os.open(path, _NEW, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)
