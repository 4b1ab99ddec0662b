"""Whole-file writes that a crash can not leave half done: written aside, brought to the disk, put in place at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
"""How the names of files end that are not whole yet. What a killed process left of them may be removed."""


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path beside `path`; the file written there then takes its place, or after an exception goes.

    Args:
        path: the file to make or replace; its folder must be there.
        durable: return only when the file would survive a power cut. False for what can be made again.

    Raises:
        OSError: the content could not be written; `path` is unchanged.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield aside
        if durable:
            sync(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def write_atomic(path: Path, fill: Callable[[Path], object]) -> None:
    """Make `path` hold exactly what `fill` wrote, or leave it as it was.

    Args:
        path: the file to make or replace; its folder is made if missing, but not the one above: what a person removed
            does not come back.
        fill: writes the content to the temporary path it is given, in the same folder.

    Raises:
        OSError: the content could not be written; the temporary file is removed and `path` is unchanged.
    """
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as aside:
        fill(aside)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomic(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping a JSON file holds.

    Raises:
        FileNotFoundError: it is not there.
        json.JSONDecodeError: it is not JSON.
    """
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def by_content(folder: Path, sha256: str) -> Path:
    """Return where a folder of files that are named by their SHA-256 keeps one: ab/<sha256>."""
    return folder / sha256[:2] / sha256


def keep_content(source: Path, folder: Path) -> tuple[str, int]:
    """Copy a file to `by_content(folder, …)`; return SHA-256 and size of the copy, read back.

    It is whole there, but survives a power cut only after an `os.sync`.

    Raises:
        OSError: the source cannot be read or the copy not be written; nothing is left of it.
    """
    aside = folder / f".copy.{secrets.token_hex(4)}{PARTIAL}"
    try:
        shutil.copyfile(source, aside)
        digest, size = sha256_of(aside), aside.stat().st_size
        path = by_content(folder, digest)
        path.parent.mkdir(exist_ok=True)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return digest, size


@contextmanager
def syncing(every: float) -> Iterator[None]:
    """Bring what is written within the block to the disk while it goes on, so that who must wait for it waits less.

    Args:
        every: seconds between two times. A block that is shorter does nothing.
    """
    ended = threading.Event()

    def sync_all() -> None:
        while not ended.wait(every):
            os.sync()

    threading.Thread(target=sync_all, name="sync", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
