"""What the files of a folder were when they were finished: digests.json in it, with size and SHA-256 of each.

Readers compare a file with it before they use it. A folder that is still written, or that an earlier version wrote, has
none and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import ProjectCorrupt
from engine.files import write_json

FILE = "digests.json"


@dataclass(frozen=True)
class Digests:
    """The digests of one kind of folder.

    Attributes:
        wrote: who wrote the files, in words.
        way_out: what to do where one differs, in full sentences.
        grow: names of files that become longer afterwards: of these the beginning is compared.
    """

    wrote: str
    way_out: str
    grow: frozenset[str] = frozenset()

    def seal(self, folder: Path, names: Iterable[str]) -> None:
        """Write down what files of a folder, by name in it with slashes, are.

        Raises:
            OSError: the disk is full or cannot be written, or the folder is gone; it has no digests.
        """
        if not folder.is_dir():  # it is not to come again for them
            raise FileNotFoundError(folder)
        found: dict[str, dict[str, Any]] = {}
        for name in sorted(names):
            with open(folder / name, "rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                found[name] = {"size": size, "sha256": _sum_of(handle, size)}
        write_json(folder / FILE, {"files": found, "check": _check(found)})

    def unseal(self, folder: Path) -> None:
        """Forget the digests of a folder that is written again."""
        (folder / FILE).unlink(missing_ok=True)

    def content(self, folder: Path, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
            ProjectCorrupt: it is not what was written.
        """
        data = (folder / name).read_bytes()
        if (known := self.known(folder)) is not None:
            size = self._expected(folder, name, known)["size"] if name in self.grow else len(data)
            self._compare(folder, name, known, hashlib.sha256(memoryview(data)[:size]).hexdigest())
        return data

    def check(self, folder: Path, name: str) -> None:
        """Check a file that is not read as a whole. What was found sound is looked at again when it has changed.

        Raises:
            FileNotFoundError: it is not there.
            ProjectCorrupt: it is not what was written.
        """
        if (known := self.known(folder)) is None:
            return
        found = (folder / name).stat()
        size = self._expected(folder, name, known)["size"] if name in self.grow else found.st_size
        sha256 = _sum_at(folder / name, size, found.st_ino, found.st_size, found.st_ctime_ns)
        self._compare(folder, name, known, sha256)

    def find_flaws(self, folder: Path) -> list[str]:
        """Return which files of a folder differ from their digests or are gone; a sentence each."""
        try:
            known = self.known(folder)
        except ProjectCorrupt as error:
            return [str(error)]
        flaws = []
        for name in sorted(known or {}):
            try:
                self.check(folder, name)
            except FileNotFoundError:
                flaws.append(f"A file that {self.wrote} wrote is gone: {folder / name}. {self.way_out}")
            except OSError as error:
                flaws.append(f"A file that {self.wrote} wrote cannot be read: {folder / name} ({error.strerror})")
            except ProjectCorrupt as error:
                flaws.append(str(error))
        return flaws

    def known(self, folder: Path) -> Mapping[str, Any] | None:
        """Return the digests by file name; None where there are none.

        Raises:
            ProjectCorrupt: they are damaged themselves.
        """
        path = folder / FILE
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        known = _read(path, found.st_ino, found.st_size, found.st_ctime_ns)
        if known is None:
            raise ProjectCorrupt(
                f"What says what the files of {self.wrote} are is itself damaged", value=path, way_out=self.way_out
            )
        return known

    def _expected(self, folder: Path, name: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
        if name not in known:
            raise ProjectCorrupt(
                f"A file is not among those that {self.wrote} wrote", value=folder / name, way_out=self.way_out
            )
        entry: Mapping[str, Any] = known[name]
        return entry

    def _compare(self, folder: Path, name: str, known: Mapping[str, Any], sha256: str) -> None:
        if self._expected(folder, name, known)["sha256"] != sha256:
            raise ProjectCorrupt(f"A file is not what {self.wrote} wrote", value=folder / name, way_out=self.way_out)


@lru_cache(maxsize=64)
def _read(path: Path, *stamp: int) -> Mapping[str, Any] | None:
    """Read digests.json, None where it is damaged; `stamp` changes when it does."""
    try:
        value = json.loads(path.read_bytes())
        known: Mapping[str, Any] = value["files"]
        return known if value["check"] == _check(known) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check(known: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _sum_at(path: Path, size: int, *stamp: int) -> str:
    """SHA-256 of the first `size` bytes of a file; `stamp` changes when the file does."""
    with open(path, "rb") as handle:
        return _sum_of(handle, size)


def _sum_of(handle: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (part := handle.read(min(size, 1 << 20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()
