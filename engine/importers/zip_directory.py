"""Reads a zip's directory before zipfile does: counts entries under a cap, and finds lies and overlaps.

zipfile builds an object for every record it meets, so a directory of millions must be refused before.
Source: PKWARE APPNOTE 6.3.10, sections 4.3.12 to 4.3.16 and 4.3.7.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from engine.errors import ArchiveRefused
from engine.importers.archive_kinds import archive_of
from engine.importers.contents import Limits

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_RECORD = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_AGAIN = "Pack the images again with an ordinary zip program."


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies: offset and size in bytes, and its number of entries.

    wide: the number is written in 64 bits. In 16 bits, macOS and others write its remainder by 65,536 where there are
    more, and leave the reader to count.
    """

    offset: int
    size: int
    entries: int
    wide: bool


def check_directory(file: BinaryIO, limits: Limits) -> Directory:
    """Return where the central directory lies, after walking its records.

    Raises:
        ArchiveRefused: not a zip, empty, in several parts, with other data around it, lying about itself, or with
            more entries than allowed.
    """
    file.seek(0)
    start = file.read(4)
    length = file.seek(0, os.SEEK_END)
    if start not in (b"PK\x03\x04", b"PK\x05\x06"):
        file.seek(0)
        if (what := archive_of(file.read(8))) is not None:
            raise ArchiveRefused(f"This is {what}, not a zip", way_out="Unpack it and import the folder.")
        raise ArchiveRefused(
            "This is not a zip archive", way_out="Choose a .zip file, or unpack it and import the folder."
        )
    directory, end = _end_record(file, length)
    if directory.entries == 0 and directory.size == 0:
        raise ArchiveRefused("The zip archive is empty", way_out="Choose another one.")
    too_many = f"The zip archive has more than {limits.entries:,} entries"
    if directory.entries > limits.entries or directory.size > limits.directory_bytes:
        raise ArchiveRefused(too_many, way_out="Unpack it and import the folder, or import it in parts.")
    if directory.offset + directory.size != end:
        raise ArchiveRefused("The zip archive's directory is not where it should be", way_out=_AGAIN)
    file.seek(directory.offset)
    counted = _count_records(file.read(directory.size), limits.entries)
    if counted > limits.entries:
        raise ArchiveRefused(too_many, way_out="Unpack it and import the folder, or import it in parts.")
    wrapped = not directory.wide and counted & 0xFFFF == directory.entries
    if counted != directory.entries and not wrapped:
        raise ArchiveRefused("The zip archive lies about its number of entries", value=counted, way_out=_AGAIN)
    return replace(directory, entries=counted)


def check_overlaps(file: BinaryIO, infos: Sequence[zipfile.ZipInfo], directory: Directory) -> None:
    """Make sure no two entries share bytes: a small archive could otherwise claim gigabytes.

    Raises:
        ArchiveRefused: two do, or an entry reaches into the directory.
    """
    reached = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not reached <= info.header_offset < directory.offset:
            raise ArchiveRefused("Entries of the zip archive overlap", value=ascii(info.filename[:80]), way_out=_AGAIN)
        file.seek(info.header_offset)
        raw = file.read(_LOCAL.size)
        if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
            raise ArchiveRefused("The zip archive is damaged", value=ascii(info.filename[:80]), way_out=_AGAIN)
        name_length, extra_length = _LOCAL.unpack(raw)[-2:]
        reached = info.header_offset + _LOCAL.size + name_length + extra_length + info.compress_size
        if reached > directory.offset:
            raise ArchiveRefused("Entries of the zip archive overlap", value=ascii(info.filename[:80]), way_out=_AGAIN)


def _end_record(file: BinaryIO, length: int) -> tuple[Directory, int]:
    """Return the directory and the offset at which it must end."""
    tail_start = max(0, length - _END.size - 0xFFFF)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveRefused(
            "The zip archive is cut off: its directory is missing", way_out="Copy or download it again."
        )
    _, disk, first_disk, here, total, size, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise ArchiveRefused("The zip archive has other data at its end", way_out=_AGAIN)
    end = tail_start + at
    if end >= _LOCATOR.size:
        file.seek(end - _LOCATOR.size)
        locator = file.read(_LOCATOR.size)
        if locator[:4] == b"PK\x06\x07":
            return _end64(file, locator, end, (here, total, size, offset))
    if disk or first_disk or here != total:
        raise ArchiveRefused("The zip archive is one part of several", way_out="Join the parts first.")
    return Directory(offset, size, total, wide=False), end


def _end64(file: BinaryIO, locator: bytes, end: int, claimed: tuple[int, int, int, int]) -> tuple[Directory, int]:
    _, disk, at, disks = _LOCATOR.unpack(locator)
    before = end - _LOCATOR.size - _END64.size  # the only place where zipfile looks for it
    if at != before or before < 0:
        raise ArchiveRefused("The zip archive's ZIP64 record is not where it should be", way_out=_AGAIN)
    file.seek(at)
    raw = file.read(_END64.size)
    if disk or disks != 1 or len(raw) < _END64.size or raw[:4] != b"PK\x06\x06":
        raise ArchiveRefused("The zip archive's ZIP64 record is damaged", way_out=_AGAIN)
    true = _END64.unpack(raw)[6:]
    widest = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    if any(small not in (large, cap) for small, large, cap in zip(claimed, true, widest, strict=True)):
        raise ArchiveRefused("The zip archive's two directories contradict each other (ZIP64)", way_out=_AGAIN)
    here, total, size, offset = true
    if here != total:
        raise ArchiveRefused("The zip archive is one part of several", way_out="Join the parts first.")
    return Directory(offset, size, total, wide=True), at


def _count_records(directory: bytes, cap: int) -> int:
    """Return the number of records, at most cap + 1."""
    at = count = 0
    while at + _RECORD.size <= len(directory) and count <= cap:
        if directory[at : at + 4] != b"PK\x01\x02":
            break
        fields = _RECORD.unpack_from(directory, at)
        at += _RECORD.size + fields[10] + fields[11] + fields[12]
        count += 1
    if count <= cap and at != len(directory):
        raise ArchiveRefused("The zip archive's directory is damaged", way_out=_AGAIN)
    return count
