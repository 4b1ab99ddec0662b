"""A folder on this machine. Links are not followed; files are opened so that nothing but a plain file is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from engine.errors import DecodeError, ImportRefused, SourceMissing
from engine.importers.contents import MEGABYTE, Entry, Limits, Listing, gather, sort_entries
from engine.importers.names import is_junk, name_flaw, shown
from engine.records.imports import Refusal


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
        self._limits = limits
        self._total = 0
        self.listing = Listing()
        self._walk(path, "", 0)
        self.listing.entries = sort_entries(self.listing.entries)

    def labels(self) -> dict[str, str] | None:
        """Return None: a folder has no labels beyond its names and tables."""
        return None

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes.

        Raises:
            DecodeError: it cannot be read, is no longer a plain file, or is over the cap.
            ImportRefused: all files together are over the cap.
        """
        try:
            data = gather(_chunks(cast("str", entry.token)), self._limits.entry_bytes)
        except OSError as error:
            raise DecodeError(f"The file cannot be read ({error.strerror})") from error
        self._total += len(data)
        if self._total > self._limits.total_bytes:
            raise ImportRefused(
                f"The folder holds more than {self._limits.total_bytes // MEGABYTE:,} MB",
                way_out="Import it in parts.",
            )
        return data

    def _walk(self, path: str | Path, prefix: str, depth: int) -> None:
        try:
            with os.scandir(path) as entries:
                items = sorted(entries, key=lambda item: item.name)
        except OSError as error:
            self.listing.refused.append(Refusal(shown(prefix), f"the folder cannot be read ({error.strerror})"))
            return
        for item in items:
            self._take(item, prefix + item.name, depth)

    def _take(self, item: os.DirEntry[str], name: str, depth: int) -> None:
        listing = self.listing
        if is_junk(name):
            listing.skipped += 1
        elif item.is_symlink():
            listing.refused.append(Refusal(shown(name), "a symbolic link"))
        elif (flaw := name_flaw(name)) is not None:
            listing.refused.append(Refusal(shown(name), flaw))
        elif item.is_dir(follow_symlinks=False):
            if depth >= self._limits.folder_depth:
                listing.refused.append(Refusal(shown(name), "too many folders inside each other"))
            else:
                self._walk(item.path, name + "/", depth + 1)
        elif not item.is_file(follow_symlinks=False):
            listing.refused.append(Refusal(shown(name), "not an ordinary file"))
        elif len(listing.entries) >= self._limits.folder_files:
            raise ImportRefused(
                f"The folder holds more than {self._limits.folder_files:,} files", way_out="Import it in parts."
            )
        else:
            listing.entries.append(Entry(name, item.path))


def _chunks(path: str) -> Iterator[bytes]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise DecodeError("Not an ordinary file")
        while chunk := file.read(MEGABYTE):
            yield chunk
