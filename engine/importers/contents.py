"""What every kind of source looks like to the scan: a list of files, and a way to read one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.errors import DecodeError
from engine.records.imports import Refusal

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Caps on one import. Counts of files, sizes in bytes, ratio of unpacked to packed."""

    entries: int = 250_000
    directory_bytes: int = 64 * MEGABYTE
    entry_bytes: int = 256 * MEGABYTE
    total_bytes: int = 50 * GIGABYTE
    ratio: int = 200
    ratio_from: int = MEGABYTE
    folder_files: int = 2_000_000
    folder_depth: int = 64
    free_bytes: int = 256 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source that may be read. `token` is the source's own handle to it."""

    name: str
    token: object


@dataclass
class Listing:
    """What is in a source before a file is read: entries sorted by name, files refused by name or kind."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    skipped: int = 0
    notices: list[str] = field(default_factory=list)


class Contents(Protocol):
    """An open source. Close it when done."""

    listing: Listing

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes, never more than the cap.

        Raises:
            DecodeError: this one file is refused.
            ImportRefused: the whole source is.
        """

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


def sort_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries by name: the order in which copies of one image compete for the name."""
    return sorted(entries, key=lambda entry: entry.name)
