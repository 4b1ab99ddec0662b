"""The finished exports of a project: which there are, one opened to be sent, and their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from engine.errors import NotAProject
from engine.files import read_json, write_json

_SUMS = ".sha256.json"
"""Beside the exports: the SHA-256 by name, and of which version of the file it is."""
_TAKE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link is not followed, and a named pipe not waited for."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A finished export: its file name, its size in bytes, its version (see `version_of`), when it was written (seconds
    since 1970), and its SHA-256 in hex, None where nobody has computed it yet."""

    name: str
    size: int
    version: str
    written: float
    sha256: str | None


class ExportFiles:
    """The files in one folder of exports. Links, folders and hidden files in it are none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def paths(self) -> list[Path]:
        """Return the files, the newest first."""
        return [self.folder / one.name for one in self.all()]

    def all(self) -> list[ExportFile]:
        """Return what is there, the newest first."""
        sums, found = self._sums(), []
        if not self.folder.is_dir():  # of a project that is open read-only and never had any
            return []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # removed while we look
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        found.append(_described(entry.name, entry.stat(follow_symlinks=False), sums))
        return sorted(found, key=lambda one: (-one.written, one.name))

    def open(self, name: str) -> BufferedReader:
        """Return a file of this name, open for reading.

        Raises:
            NotAProject: there is none: no such name, a path, a hidden file, a link, or something else than a file.
        """
        try:
            if not name or name.startswith(".") or "/" in name:
                raise FileNotFoundError
            number = os.open(self.folder / name, _TAKE)
            if not stat.S_ISREG(os.fstat(number).st_mode):
                os.close(number)
                raise FileNotFoundError
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise NotAProject("There is no such export", value=ascii(name[:200]), way_out="Export again.") from error
        return os.fdopen(number, "rb")

    def sha256(self, name: str) -> str:
        """Return a file's SHA-256 in hex: read once, then remembered until the file is another.

        Raises:
            NotAProject: as `open`.
        """
        with self.open(name) as file:
            described = _described(name, os.fstat(file.fileno()), self._sums())
            if described.sha256 is not None:
                return described.sha256
            found = hashlib.file_digest(file, "sha256").hexdigest()
        with self._lock, contextlib.suppress(OSError):  # a full disk: it is computed again when asked for
            there = set(os.listdir(self.folder))
            sums = {one: value for one, value in self._sums().items() if one in there}
            write_json(self.folder / _SUMS, {**sums, name: [described.version, found]})
        return found

    def _sums(self) -> dict[str, object]:
        try:
            return read_json(self.folder / _SUMS)
        except (OSError, json.JSONDecodeError):
            return {}


def version_of(found: os.stat_result) -> str:
    """Return what changes whenever a file is replaced or written to: its size, its time in ns, and its number on the
    disk, in hex."""
    return f"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}"


def _described(name: str, found: os.stat_result, sums: dict[str, object]) -> ExportFile:
    version = version_of(found)
    match sums.get(name):
        case [str() as summed, str() as sha256] if summed == version:
            return ExportFile(name, found.st_size, version, found.st_mtime, sha256)
    return ExportFile(name, found.st_size, version, found.st_mtime, None)
