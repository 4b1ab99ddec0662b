"""Whole-file writes that a crash can not leave half done."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PARTIAL = ".partial"


def write_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Make `path` hold exactly what `fill` wrote, or leave it as it was.

    Args:
        path: the file to make or replace; its folder is made if missing, but not
            the one above: what a person removed does not come back.
        fill: writes the content to the temporary path it is given, in the same folder.

    Raises:
        OSError: the content could not be written; the temporary file is removed and `path` is unchanged.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        fill(temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomic(path, lambda temporary: _write_text(temporary, text))


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping a JSON file holds.

    Raises:
        FileNotFoundError: it is not there.
        json.JSONDecodeError: it is not JSON.
    """
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
