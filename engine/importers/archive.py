"""The only place that opens a zip. Nothing is ever extracted by name: entries are read, never written, here."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import ArchiveRefused, DecodeError, SourceMissing
from engine.importers.contents import MEGABYTE, Entry, Limits, Listing, gather, sort_entries
from engine.importers.names import is_junk, name_flaw, shown
from engine.importers.zip_directory import check_directory, check_overlaps
from engine.records.imports import Refusal

_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".jar")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UTF8 = 0x800
_ENCRYPTED = 0x1


class ZipContents:
    """A zip archive, checked and listed; see contents.Contents.

    Raises:
        SourceMissing: there is no such file.
        ArchiveRefused: not a zip, empty, all encrypted, overlapping, lying, or over a cap.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._file = _open(path)
        try:
            directory = check_directory(self._file, limits)
            self._zip = _parse(self._file)
            infos = self._zip.infolist()
            check_overlaps(self._file, infos, directory)
            self.listing = self._list(infos)
        except BaseException:
            self._file.close()
            raise

    def labels(self) -> dict[str, str] | None:
        """Return None: a zip has no labels beyond its names and tables."""
        return None

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def read(self, entry: Entry) -> bytes:
        """Return an entry's bytes, counted while they are unpacked.

        Raises:
            DecodeError: damaged, larger or smaller than it says, or over a cap.
            ArchiveRefused: the archive as a whole unpacks to more than is allowed.
        """
        info = cast("zipfile.ZipInfo", entry.token)
        try:
            data = gather(self._chunks(info), self._limits.entry_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise DecodeError("The archive's entry is damaged, or not what its directory says") from error
        if len(data) != info.file_size:
            raise DecodeError("The archive's entry is not as long as its directory says", value=len(data))
        return data

    def _chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        with self._zip.open(info) as stream:
            while chunk := stream.read(MEGABYTE):
                self._total += len(chunk)
                if self._total > self._limits.total_bytes:
                    raise ArchiveRefused(
                        f"The zip archive unpacks to more than {self._limits.total_bytes // MEGABYTE:,} MB",
                        way_out="Import it in parts.",
                    )
                yield chunk

    def _list(self, infos: list[zipfile.ZipInfo]) -> Listing:
        listing = Listing()
        named = [(_true_name(info), info) for info in infos]
        files = [(name.removeprefix("./"), info) for name, info in named if not name.endswith("/")]
        if files and all(info.flag_bits & _ENCRYPTED for _, info in files):
            raise ArchiveRefused("The zip archive is encrypted", way_out="Unpack it with its password first.")
        seen = Counter(name for name, _ in files)
        for name, info in files:
            if is_junk(name) and name_flaw(name) is None:
                listing.skipped += 1
                continue
            flaw = name_flaw(name) or self._flaw(name, info, seen[name])
            if flaw is None:
                listing.entries.append(Entry(name, info))
            else:
                listing.refused.append(Refusal(shown(name), flaw))
        listing.entries = sort_entries(listing.entries)
        return listing

    def _flaw(self, name: str, info: zipfile.ZipInfo, copies: int) -> str | None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            return "a symbolic link"
        if kind not in (0, stat.S_IFREG):
            return "not an ordinary file"
        if copies > 1:
            return f"the archive has {copies} entries of this name"
        if info.flag_bits & _ENCRYPTED:
            return "encrypted"
        if info.compress_type not in _METHODS:
            return "packed with a method other than store or deflate"
        if name.lower().endswith(_NESTED):
            return "an archive inside the archive; unpack it first"
        if info.file_size > self._limits.entry_bytes:
            return f"larger than {self._limits.entry_bytes // MEGABYTE} MB"
        if info.file_size > max(self._limits.ratio_from, self._limits.ratio * info.compress_size):
            return f"unpacks to more than {self._limits.ratio} times its size, as a zip bomb does"
        return None


def _open(path: Path) -> BinaryIO:
    if path.is_dir():
        raise ArchiveRefused(
            "This is a folder, not a zip archive", value=shown(str(path)), way_out="Import it as a folder."
        )
    if path.exists() and not path.is_file():
        raise ArchiveRefused("This is not an ordinary file", value=shown(str(path)), way_out="Choose a .zip file.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise SourceMissing("There is no such file", value=shown(str(path)), way_out="Check the path.") from error
    except OSError as error:
        raise SourceMissing(
            f"The file cannot be read ({error.strerror})", value=shown(str(path)), way_out="Check its permissions."
        ) from error


def _parse(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # a hostile directory makes zipfile raise almost anything
        raise ArchiveRefused(
            "The zip archive's directory is damaged", way_out="Pack the images again with an ordinary zip program."
        ) from error


def _true_name(info: zipfile.ZipInfo) -> str:
    """Return the stored name in full, as UTF-8 also where the packer forgot to say so."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:  # truly an old code page: as zipfile read it
            name = info.orig_filename
    return name
