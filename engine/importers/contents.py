"""What every kind of source looks like to the scan: a list of files, and a way to read one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.errors import DecodeError
from engine.records.imports import Refusal

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Caps on one import. Counts of files, sizes in bytes, ratios of unpacked to packed.

    An entry of a zip that is larger than `ratio_from` and unpacks to more than `ratio` times its size must begin as an
    image or a table does. A zip that as a whole unpacks to more than `whole_from` and `whole_ratio` is refused, and of
    an archive inside the source what is in it is read up to there. `archive_depth`: how many archives inside the source
    may lie in each other.
    """

    entries: int = 500_000
    directory_bytes: int = 128 * MEGABYTE
    entry_bytes: int = 256 * MEGABYTE
    total_bytes: int = 50 * GIGABYTE
    ratio: int = 200
    ratio_from: int = MEGABYTE
    whole_ratio: int = 1000
    whole_from: int = GIGABYTE
    folder_files: int = 2_000_000
    folder_depth: int = 64
    archive_depth: int = 2
    free_bytes: int = 256 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source that may be read. `token` is the source's own handle to it."""

    name: str
    token: object


@dataclass(frozen=True)
class NameEncoding:
    """How the names of a zip that do not say their encoding were read.

    Attributes:
        chosen: one of zip_names.ENCODINGS.
        names: number of names (of files and folders) that this is about.
        examples: up to 3 of them as they read now, escaped for display.
        alternatives: by other encoding the same examples as they would read, the likeliest first; at most 5.
        sure: no other reading is nearly as likely, or a person chose it.
        forced: a person chose it.
    """

    chosen: str
    names: int
    examples: tuple[str, ...]
    alternatives: Mapping[str, tuple[str, ...]]
    sure: bool
    forced: bool


@dataclass
class Listing:
    """What is in a source before a file is read.

    Attributes:
        entries: the files that may be read, sorted by name.
        refused: files refused by name or kind.
        left_out: what is no part of the set, in words, and its number of files: litter of the system and of tools,
            hidden files and folders, links to what is taken anyway (".DS_Store in 3 folders": 3).
        notices: what a person should know.
        folders: the paths of all folders, sorted, without a slash at the end: also of empty ones and of those that
            hold only refused files, but not what is left out.
        encoding: how names were read that do not say it themselves; None where there are none.
    """

    entries: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    folders: tuple[str, ...] = ()
    encoding: NameEncoding | None = None

    @property
    def skipped(self) -> int:
        """The number of files left out."""
        return sum(self.left_out.values())


class Contents(Protocol):
    """An open source. Close it when done."""

    listing: Listing

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes, never more than the cap.

        Raises:
            DecodeError: this one file is refused.
            ImportRefused: the whole source is.
        """

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes piece by piece, up to the cap of the whole source; the cap of one file is the reader's.

        Raises:
            DecodeError: this one file is refused, perhaps after its first pieces.
            ImportRefused: the whole source is.
        """

    def packed(self, entry: Entry) -> int:
        """Return how many bytes a file takes where it lies in the source; 0 where that is not known."""

    def labels(self) -> dict[str, str] | None:
        """Return labels by file name where the source itself knows them, else None."""

    def close(self) -> None:
        """Free what the source holds open."""


def gather(chunks: Iterable[bytes], limit: int) -> bytes:
    """Return the chunks joined, giving up as soon as they exceed `limit` bytes.

    Raises:
        DecodeError: they are longer than that.
    """
    parts: list[bytes] = []
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise DecodeError(f"The file is larger than {limit // MEGABYTE} MB")
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def with_parents(folders: Iterable[str]) -> tuple[str, ...]:
    """Return these folders and all above them, each once, sorted. "" is the top and none of them."""
    found: set[str] = set()
    for folder in folders:
        above = folder
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return tuple(sorted(found))


def sort_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries by name: the order in which copies of one image compete for the name."""
    return sorted(entries, key=lambda entry: entry.name)
