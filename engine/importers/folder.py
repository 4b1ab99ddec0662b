"""A folder on this machine. Only plain files inside it are read, also by way of links; see links.py for which are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import DecodeError, ImportRefused, SourceMissing
from engine.importers.contents import MEGABYTE, Entry, Limits, Listing, gather, sort_entries, with_parents
from engine.importers.left_out import LeftOut
from engine.importers.links import Links
from engine.importers.names import Junk, junk_of, name_flaw, shown
from engine.records.imports import Refusal

_FIRST = 65_536  # bytes


class FolderContents:
    """A folder, listed; see contents.Contents.

    Raises:
        SourceMissing: there is no such folder.
        ImportRefused: it has too many files.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        if not path.is_dir():
            if path.exists():
                raise ImportRefused(
                    "This is a file, not a folder", value=shown(str(path)), way_out="Import it as a zip."
                )
            raise SourceMissing("There is no such folder", value=shown(str(path)), way_out="Check the path.")
        self._root = os.path.realpath(path)
        self._last = OpenFolder(self._root)
        self._limits = limits
        self._total = 0
        self._files = 0
        self._folders: list[str] = []
        self._left_out = LeftOut()
        self._links = Links(self._root)
        self.listing = Listing()
        self._walk(self._root, "", 0, linked=False)
        self._left_out.write(self.listing)
        dropped = self._links.settle(self.listing)
        self.listing.entries = sort_entries(self.listing.entries)
        self.listing.folders = self._all_folders(dropped)

    def labels(self) -> dict[str, str] | None:
        """Return None: a folder has no labels beyond its names and tables."""
        return None

    def close(self) -> None:
        """Let go of the folder whose file was read last."""
        self._last.close()

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes.

        Raises:
            DecodeError: it cannot be read, is no longer a plain file inside the folder, or is over the cap.
            ImportRefused: all files together are over the cap.
        """
        return gather(self.chunks(entry), self._limits.entry_bytes)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes piece by piece.

        Raises:
            DecodeError: it cannot be read, or is no longer a plain file inside the folder.
            ImportRefused: all files together are over the cap.
        """
        try:
            handle = self._last.open(cast("str", entry.token))
            try:
                size = _FIRST  # most files are small, and room for a long piece is dear
                while chunk := os.read(handle, size):
                    self._total += len(chunk)
                    if self._total > self._limits.total_bytes:
                        raise ImportRefused(
                            f"The folder holds more than {self._limits.total_bytes // MEGABYTE:,} MB",
                            way_out="Import it in parts.",
                        )
                    yield chunk
                    size = MEGABYTE
            finally:
                os.close(handle)
        except OSError as error:
            raise DecodeError(f"The file cannot be read ({error.strerror})") from error

    def open(self, entry: Entry) -> BinaryIO:
        """Return a file as a stream, for what is read piece by piece; the cap is the reader's.

        Raises:
            DecodeError: it is no longer a plain file inside the folder.
            OSError: it cannot be read.
        """
        return os.fdopen(self._last.open(cast("str", entry.token)), "rb")

    def packed(self, entry: Entry) -> int:
        """Return a file's length; 0 where it cannot be read."""
        try:
            with self.open(entry) as file:
                return os.fstat(file.fileno()).st_size
        except (DecodeError, OSError):
            return 0

    def _walk(self, path: str, prefix: str, depth: int, *, linked: bool) -> None:
        """List a folder by its real path; `prefix` is what its files are called by, `linked` that a link led here."""
        try:
            with os.scandir(path) as entries:
                items = sorted(entries, key=lambda item: item.name)
        except OSError as error:
            self.listing.refused.append(Refusal(shown(prefix), f"the folder cannot be read ({error.strerror})"))
            return
        for item in items:
            self._take(item, prefix + item.name, depth, linked)

    def _take(self, item: os.DirEntry[str], name: str, depth: int, linked: bool) -> None:
        refused = self.listing.refused
        junk, flaw = junk_of(name), name_flaw(name)
        if junk is not None:
            self._leave_out(item, name, junk, depth)
        elif flaw is not None:
            refused.append(Refusal(shown(name), flaw))
        elif item.is_symlink():
            self._follow(item, name, depth, linked)
        elif item.is_dir(follow_symlinks=False):
            self._enter(item.path, name, depth, linked)
        elif not item.is_file(follow_symlinks=False):
            refused.append(Refusal(shown(name), "not an ordinary file"))
        else:
            self._count()
            if linked:
                self._links.add_file(name, item.path, linked)
            else:
                self.listing.entries.append(Entry(name, name))

    def _enter(self, path: str, name: str, depth: int, linked: bool) -> None:
        self._folders.append(name)
        if depth >= self._limits.folder_depth:
            self.listing.refused.append(Refusal(shown(name), "too many folders inside each other"))
        else:
            self._walk(path, name + "/", depth + 1, linked=linked)

    def _follow(self, item: os.DirEntry[str], name: str, depth: int, linked: bool) -> None:
        target, flaw = self._links.target(item.path)
        if flaw is None and os.path.isdir(target):
            flaw = self._links.folder_flaw(item.path, target, linked)
            if flaw is None:
                self._enter(target, name, depth, linked=True)
        elif flaw is None:
            self._count()
            self._links.add_file(name, target, linked)
        if flaw is not None:
            self.listing.refused.append(Refusal(shown(name), flaw))

    def _leave_out(self, item: os.DirEntry[str], name: str, junk: Junk, depth: int) -> None:
        """Count the files of what is left out, without following links."""
        if not item.is_dir(follow_symlinks=False):
            self._count()
            self._left_out.add(name, junk)
            return
        if depth >= self._limits.folder_depth:
            return
        try:
            with os.scandir(item.path) as entries:
                items = list(entries)
        except OSError:
            return
        for inner in items:
            path = f"{name}/{inner.name}"
            self._leave_out(inner, path, junk_of(path) or junk, depth + 1)

    def _all_folders(self, dropped: Sequence[str]) -> tuple[str, ...]:
        """Return all folders but those that only hold names of files that are taken under another."""
        emptied: set[str] = set()
        if dropped:
            taken = [*(entry.name for entry in self.listing.entries), *(one.name for one in self.listing.refused)]
            emptied = set(with_parents(map(_parent, dropped))) - set(with_parents(map(_parent, taken)))
        return tuple(folder for folder in with_parents(self._folders) if folder not in emptied)

    def _count(self) -> None:
        self._files += 1
        if self._files > self._limits.folder_files:
            raise ImportRefused(
                f"The folder holds more than {self._limits.folder_files:,} files", way_out="Import it in parts."
            )


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


class OpenFolder:
    """Opens files by their paths below a root, one folder after the other, so that no link on the way is followed.

    The folder of the file before is kept open: most files lie beside it. One at a time.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path: str | None = None
        self._handle = -1

    def open(self, path: str) -> int:
        """Return a file open for reading.

        Raises:
            DecodeError: it is no plain file.
            OSError: it, or a folder on the way, cannot be opened or has become a link.
        """
        folder, _, base = path.rpartition("/")
        if folder != self._path:
            self._enter(folder)
        handle = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._handle)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DecodeError("Not an ordinary file")
        return handle

    def close(self) -> None:
        """Let go of the folder that is kept open."""
        if self._path is not None:
            self._path = None
            os.close(self._handle)

    def _enter(self, folder: str) -> None:
        self.close()
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        for part in folder.split("/") if folder else ():
            try:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            finally:
                os.close(handle)
            handle = inner
        self._path, self._handle = folder, handle
