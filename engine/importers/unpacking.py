"""Gives the files of a source one by one, those in archives and tables too, whatever these lie in.

What an archive holds is called as if it were unpacked into a folder named after it: `cat.zip` with `1.png` gives
`cat/1.png`, so a reading may take such a folder for a class. Archives may lie in archives (`Limits.archive_depth`).
Each is bounded as a whole: by `Limits.total_bytes`, and by how much its bytes in the source may unpack to.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import ArchiveRefused, DecodeError, ImportRefused
from engine.images.kinds import is_video
from engine.importers.archive_kinds import TABLES, VIDEOS, unread_archive
from engine.importers.containers import (
    Container,
    Folder,
    Given,
    Member,
    Spelling,
    Told,
    container_of,
    is_cache,
    spooled,
    stem_of,
)
from engine.importers.contents import MEGABYTE, Contents, Entry, Limits, gather
from engine.importers.folder import FolderContents
from engine.importers.left_out import LeftOut
from engine.importers.names import junk_of, name_flaw, shown
from engine.records.imports import Refusal

_CACHE = "what datasets keeps of a computation; not part of the set"


@dataclass
class Unpacked:
    """What became of a source's containers.

    Attributes:
        expanded: names of the source's own files that are containers.
        containers: by folder that the files of one of these are put into, its name; also by its name.
        members: names of the files in containers.
        folders: names of the folders in containers.
        places: by name of a member of an archive, where unpacking the archive beside itself would have put it.
        records: by image name, what its container says of it.
        spellings: by folder that the files of a zip are put into, the zip's name, and in which encodings its names
            could be, where it does not say it.
        pointed: what containers say of files that lie beside them, as (container, path, record).
        refused: what was not taken.
        notices: what a person should know.
        left_out: what is no part of the set.
        bytes: of all members.
    """

    expanded: set[str] = field(default_factory=set)
    containers: dict[str, str] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    spellings: dict[str, tuple[str, Spelling]] = field(default_factory=dict)
    pointed: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    bytes: int = 0

    def container_of(self, name: str) -> str:
        """Return the source's own file that a member came in."""
        return next(self.containers[above] for above in folders_above(name) if above in self.containers)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a container lies: its name, the folder its files are put into, how many archives it lies in, plus 1."""

    name: str
    prefix: str
    depth: int


class _TooMuch(Exception):
    """The archive of the source that is being read unpacks to more than its bytes there may."""


class Unpacker:
    """Reads a source from front to back, once.

    Args:
        contents: the source.
        folder: where large members of containers lie for a while.
        limits: caps on files, bytes and depth.
    """

    def __init__(self, contents: Contents, folder: Path, limits: Limits) -> None:
        self.unpacked = Unpacked()
        self._contents = contents
        self._folder = folder
        self._limits = limits
        self._given = 0  # entries of containers, whatever became of them
        self._may_unpack = 0  # bytes left to the container of the source that is being read

    def files(self) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        """Yield the name of every file, and its bytes; those of a video in pieces, to be taken before the next file.

        Raises:
            ImportRefused: the source as a whole is refused, or over a cap.
        """
        entries = self._contents.listing.entries
        prefixes = _prefixes([entry.name for entry in entries])
        for entry in entries:
            kind = container_of(entry.name)
            try:
                if kind is not None:
                    yield from self._container_in_source(entry, kind, prefixes[entry.name])
                elif entry.name.lower().endswith(VIDEOS):
                    yield from self._perhaps_video(entry.name, self._contents.chunks(entry))
                elif (unread := unread_archive(entry.name)) is not None:
                    self._refuse(entry.name, unread)
                else:
                    yield entry.name, self._contents.read(entry)
            except DecodeError as error:
                self._refuse(entry.name, str(error))

    def _container_in_source(
        self, entry: Entry, kind: Container, prefix: str
    ) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        if is_cache(entry.name):
            self._refuse(entry.name, _CACHE)
            return
        packed = self._contents.packed(entry)
        self._may_unpack = max(self._limits.whole_from, self._limits.whole_ratio * packed)
        try:
            if isinstance(self._contents, FolderContents):
                stream = self._contents.open(entry)
            else:
                stream = spooled(self._contents.chunks(entry), self._folder)
        except OSError as error:
            raise DecodeError(f"the file cannot be read ({error.strerror})") from error
        with stream:
            if kind.holds_images(stream):
                self.unpacked.expanded.add(entry.name)
                self.unpacked.containers |= {prefix: entry.name, entry.name: entry.name}
                try:
                    yield from self._container(_Place(entry.name, prefix, 1), kind, stream)
                except _TooMuch:
                    self._refuse(entry.name, self._bomb())
                return
        yield entry.name, self._contents.read(entry)

    def _container(
        self, place: _Place, kind: Container, stream: BinaryIO
    ) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        """Yield the files of a container; what is in its own archives too."""
        stream.seek(0)
        cap = min(self._limits.total_bytes, self._may_unpack)
        members = kind.expand(place.name, stream, replace(self._limits, total_bytes=cap), self._folder)
        for one in self._guarded(place, members, cap):
            try:
                yield from self._one(place, one)
            finally:
                if isinstance(one, Member) and one.stream is not None:
                    one.stream.close()

    def _one(self, place: _Place, one: Given) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        self._count_entry()
        if isinstance(one, Refusal):
            self.unpacked.refused.append(one)
        elif isinstance(one, Told):
            self.unpacked.notices.append(f"{shown(place.name, 80)}: {one.text}")
        elif isinstance(one, Spelling):
            self.unpacked.spellings[place.prefix] = (place.name, one)
        elif isinstance(one, Folder):
            self.unpacked.folders.add(f"{place.prefix}/{one.name}")
        elif one.data is None and one.stream is None:
            self.unpacked.pointed.append((place.name, one.name, one.record or {}))
        else:
            yield from self._member(place, one)

    def _guarded(self, place: _Place, members: Iterator[Given], cap: int) -> Iterator[Given]:
        """Yield what a container gives; that it is refused as a whole is told.

        Raises:
            _TooMuch: it unpacks to more than it may.
            ImportRefused: it is over the cap of the whole source.
        """
        try:
            yield from members
        except ArchiveRefused as error:
            yield Refusal(shown(place.name), f"{str(error)[:1].lower()}{str(error)[1:]}")
        except ImportRefused as error:
            if cap == self._limits.total_bytes:
                raise
            raise _TooMuch from error

    def _member(self, place: _Place, one: Member) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        full = f"{place.prefix}/{one.name}"
        if full in self.unpacked.members:  # of another archive whose folder has the same name
            full = f"{place.name}/{one.name}"
        if (junk := junk_of(full)) is not None:
            self.unpacked.left_out.add(full, junk)
        elif (flaw := name_flaw(full)) is not None:
            self._refuse(full, flaw)
        elif one.stream is not None:
            self._count(_length(one.stream))
            try:
                yield from self._streamed(place, one, full, one.stream)
            except DecodeError as error:
                self._refuse(full, str(error))
        else:
            self._count(len(one.data or b""))
            yield from self._taken(place, one, full, one.data or b"")

    def _streamed(
        self, place: _Place, one: Member, full: str, stream: BinaryIO
    ) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        kind = container_of(full)
        if kind is None:
            for _, data in self._perhaps_video(full, _pieces(stream)):
                yield from self._taken(place, one, full, data)
            return
        if is_cache(full):
            self._refuse(full, _CACHE)
            return
        is_table = full.lower().endswith(TABLES)
        if place.depth >= self._limits.archive_depth and not is_table:
            most = self._limits.archive_depth
            self._refuse(
                full, f"more than {most} archives inside each other; unpack the outer one and import the folder"
            )
            return
        if kind.holds_images(stream):
            yield from self._container(_Place(full, stem_of(full), place.depth + 1), kind, stream)
        else:
            stream.seek(0)
            yield from self._taken(place, one, full, gather(_pieces(stream), self._limits.entry_bytes))

    def _taken(
        self, place: _Place, one: Member, full: str, data: bytes | Iterator[bytes]
    ) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        self.unpacked.members.add(full)
        if one.record is not None:
            self.unpacked.records[full] = one.record
        elif not place.name.lower().endswith(TABLES):
            above = place.name.rpartition("/")[0]
            beside = f"{above}/{one.name}" if above else one.name
            unpacked_there = (f"{stem_of(place.name)}/{one.name}", *((beside,) if "/" in one.name else ()))
            self.unpacked.places[full] = unpacked_there
        yield full, data

    def _perhaps_video(self, name: str, chunks: Iterator[bytes]) -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        """Yield the pieces of a file that is called like a video if it is one, else its bytes."""
        first = next(chunks, b"")
        pieces = chain((first,), chunks)
        yield name, pieces if is_video(first) else gather(pieces, self._limits.entry_bytes)

    def _count(self, length: int) -> None:
        self._may_unpack -= length
        if self._may_unpack < 0:
            raise _TooMuch
        self.unpacked.bytes += length
        if self.unpacked.bytes > self._limits.total_bytes:
            raise ImportRefused(
                f"The files in archives and tables are more than {self._limits.total_bytes // MEGABYTE:,} MB together",
                way_out="Import them in parts.",
            )

    def _count_entry(self) -> None:
        self._given += 1
        if self._given > self._limits.folder_files:
            raise ImportRefused(
                f"There are more than {self._limits.folder_files:,} files in archives and tables",
                way_out="Import them in parts.",
            )

    def _bomb(self) -> str:
        return (
            f"unpacks to more than {self._limits.whole_ratio:,} times its size, as a bomb does; the rest of it is not "
            "read. If it is yours, unpack it and import the folder"
        )

    def _refuse(self, name: str, reason: str) -> None:
        self.unpacked.refused.append(Refusal(shown(name), reason))


def _prefixes(names: list[str]) -> dict[str, str]:
    """Return the folder that the files of each container are put into: called like it, without its ending where nothing
    else has that name."""
    containers = [name for name in names if container_of(name) is not None]
    if not containers:
        return {}
    stems = Counter(stem_of(name) for name in containers)
    folders = {name[:at] for name in names for at, character in enumerate(name) if character == "/"} | set(names)
    return {
        name: name if stems[stem_of(name)] > 1 or stem_of(name) in folders else stem_of(name) for name in containers
    }


def folders_above(name: str) -> Iterator[str]:
    """The folders that a file lies in, the innermost first."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(MEGABYTE), b"")


def _length(stream: BinaryIO) -> int:
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return length
