"""The only place that opens a zip. Nothing is ever extracted by name: entries are read, never written, here."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import ArchiveRefused, ConfigError, DecodeError, ImportRefused, SourceMissing
from engine.importers.archive_kinds import STREAMED, TARS, ZIP, archive_of, unread_archive
from engine.importers.contents import (
    GIGABYTE,
    MEGABYTE,
    Entry,
    Limits,
    Listing,
    NameEncoding,
    gather,
    sort_entries,
    with_parents,
)
from engine.importers.left_out import LeftOut
from engine.importers.names import junk_of, name_flaw, shown
from engine.importers.zip_directory import check_directory, check_overlaps
from engine.importers.zip_names import ENCODINGS, FALLBACK, LANGUAGES, UTF8, guess_encoding, known_encoding, name_in
from engine.records.imports import Refusal

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UTF8_FLAG = 0x800
_ENCRYPTED = 0x1
_UNICODE_PATH = 0x7075
_WINDOWS = (0, 10, 11, 14)  # the file systems FAT, NTFS (two numbers are in use) and VFAT
_IMAGE_STARTS = (b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"RIFF")
_TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xml")
_EXAMPLES = 3


class ZipContents:
    """A zip archive, checked and listed; see contents.Contents.

    Args:
        path: the file, or an open one.
        limits: caps on entries and bytes.
        encoding: one of zip_names.ENCODINGS, or another name of it, for the names that do not say theirs; None guesses.
            What was taken stands in listing.encoding.
        inner: it lies in another source, which tells what is left out: `junk` has the names, the listing nothing of it.

    Raises:
        SourceMissing: there is no such file.
        ArchiveRefused: not a zip, empty, all encrypted, overlapping, lying, a bomb, or over a cap.
        ConfigError: no such encoding.
    """

    def __init__(
        self, path: Path | BinaryIO, limits: Limits, encoding: str | None = None, *, inner: bool = False
    ) -> None:
        self._encoding = None if encoding is None else _known(encoding)
        self._limits = limits
        self._inner = inner
        self._total = 0
        self.junk: list[str] = []
        self._file = _open(path) if isinstance(path, Path) else path
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
        return gather(self.chunks(entry), self._limits.entry_bytes)

    def packed(self, entry: Entry) -> int:
        """Return how many bytes an entry takes in the archive."""
        return cast("zipfile.ZipInfo", entry.token).compress_size

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's bytes piece by piece, counted while they are unpacked.

        Raises:
            DecodeError: damaged, or longer or shorter than it says.
            ArchiveRefused: the whole archive unpacks to more than is allowed; of an inner one ImportRefused.
        """
        info = cast("zipfile.ZipInfo", entry.token)
        length = 0
        try:
            with self._zip.open(info) as stream:
                while chunk := stream.read(MEGABYTE):
                    length += len(chunk)
                    self._total += len(chunk)
                    if self._total > self._limits.total_bytes:
                        refused = ImportRefused if self._inner else ArchiveRefused  # the cap is that of all, or its own
                        raise refused(
                            f"The zip archive unpacks to more than {self._limits.total_bytes // MEGABYTE:,} MB",
                            way_out="Import it in parts.",
                        )
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise DecodeError("The archive's entry is damaged, or not what its directory says") from error
        if length != info.file_size:
            raise DecodeError("The archive's entry is not as long as its directory says", value=length)

    def _list(self, infos: list[zipfile.ZipInfo]) -> Listing:
        listing = Listing()
        names = self._names(infos, listing)
        named = [(name, info) for name, info in zip(names, infos, strict=True) if name is not None]
        files = [(name.removeprefix("./"), info) for name, info in named if not name.endswith("/")]
        if files and all(info.flag_bits & _ENCRYPTED for _, info in files):
            raise ArchiveRefused("The zip archive is encrypted", way_out="Unpack it with its password first.")
        folders = {name.removeprefix("./").removesuffix("/") for name, _ in named if name.endswith("/")}
        folders = {name for name in folders if name and name_flaw(name) is None and junk_of(name) is None}
        left_out = LeftOut()
        seen = Counter(name for name, _ in files)
        for name, info in files:
            flaw = name_flaw(name)
            if flaw is None:
                junk = junk_of(name)
                if junk is not None:
                    self.junk.append(name)
                    left_out.add(name, junk)
                    continue
                folders.add(name.rpartition("/")[0])
                flaw = self._flaw(name, info, seen[name])
            if flaw is None:
                listing.entries.append(Entry(name, info))
            else:
                listing.refused.append(Refusal(shown(name), flaw))
        if not self._inner:
            left_out.write(listing)
        listing.folders = with_parents(folders)
        listing.entries = sort_entries(listing.entries)
        self._check_whole(listing.entries)
        return listing

    def _names(self, infos: Sequence[zipfile.ZipInfo], listing: Listing) -> list[str | None]:
        """Return each entry's path with slashes, None where its bytes are no text in the archive's encoding."""
        exact = [_exact_name(info) for info in infos]
        raw = {number: _raw_name(infos[number]) for number, name in enumerate(exact) if name is None}
        names = exact
        if raw:
            listing.encoding = _choose_encoding(list(raw.values()), self._encoding)
            for number, data in raw.items():
                names[number] = name_in(data, listing.encoding.chosen)
                if names[number] is None:
                    reason = f"the name cannot be read as {listing.encoding.chosen}"
                    listing.refused.append(Refusal(shown(data.decode(FALLBACK)), reason))
            listing.notices += encoding_notices(listing.encoding)
        return _with_slashes(names, infos, listing)

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
        if (unread := unread_archive(name)) is not None:
            return unread
        if info.file_size > self._limits.entry_bytes and not name.lower().endswith(STREAMED):
            return f"larger than {self._limits.entry_bytes // MEGABYTE} MB"
        packed_tightly = info.file_size > max(self._limits.ratio_from, self._limits.ratio * info.compress_size)
        if packed_tightly and not self._begins_well(name, info):
            return (
                f"unpacks to more than {self._limits.ratio} times its size, as a zip bomb does, "
                "and does not begin as an image, a table or an archive"
            )
        return None

    def _begins_well(self, name: str, info: zipfile.ZipInfo) -> bool:
        """Return whether the first bytes are an image's, a table's or an archive's, which is bounded while it is read:
        blank scans pack as tightly as bombs."""
        try:
            with self._zip.open(info) as stream:
                start = stream.read(512)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
            return True  # reading it will say what is damaged
        if start.startswith(_IMAGE_STARTS) or start[128:132] == b"DICM":
            return True
        if name.lower().endswith((ZIP, *TARS)):
            return start.startswith(b"PK") or start[257:262] == b"ustar" or archive_of(start) is not None
        return name.lower().endswith(_TABLES) and b"\0" not in start

    def _check_whole(self, entries: Sequence[Entry]) -> None:
        infos = [cast("zipfile.ZipInfo", entry.token) for entry in entries]
        unpacked, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
        if unpacked > self._limits.whole_from and unpacked > self._limits.whole_ratio * packed:
            raise ArchiveRefused(
                f"The zip archive unpacks to {unpacked / GIGABYTE:,.1f} GB, more than "
                f"{self._limits.whole_ratio:,} times its size, as a zip bomb does",
                way_out="If it is yours, unpack it and import the folder.",
            )


def other_names(path: Path | BinaryIO, listing: Listing, limits: Limits) -> dict[str, dict[str, str]]:
    """Return, by encoding that the names of a zip could also be in, the other name of each file that would have one, by
    its name.

    Args:
        path: the file, or an open one, which stays open.
        listing: of it.
        limits: caps on entries and bytes.
    """
    now = {_place(entry): entry.name for entry in listing.entries}
    others: dict[str, dict[str, str]] = {}
    for encoding in () if listing.encoding is None else listing.encoding.alternatives:
        again = ZipContents(path, limits, encoding, inner=not isinstance(path, Path))
        if isinstance(path, Path):
            again.close()
        entries = ((now.get(_place(entry)), entry.name) for entry in again.listing.entries)
        others[encoding] = {old: new for old, new in entries if old is not None and old != new}
    return others


def _place(entry: Entry) -> int:
    return cast("zipfile.ZipInfo", entry.token).header_offset


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


def _known(encoding: str) -> str:
    known = known_encoding(encoding)
    if known is None:
        raise ConfigError(
            "There is no such encoding of names",
            value=repr(encoding),
            way_out=f"Choose one of {', '.join(ENCODINGS)}.",
        )
    return known


def _exact_name(info: zipfile.ZipInfo) -> str | None:
    """Return the stored name in full where there is no doubt: it says that it is UTF-8, has a twin that does, or is
    ASCII. None for the others.
    """
    name = info.orig_filename
    if info.flag_bits & _UTF8_FLAG:
        return name
    return _unicode_path(info) or (name if name.isascii() else None)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("cp437")  # as zipfile decoded it; the page has a character for every byte


def _unicode_path(info: zipfile.ZipInfo) -> str | None:
    """Return the name in the extra field of Info-ZIP and WinRAR, if it was made for the name in force.

    Source: PKWARE APPNOTE 6.3.10, section 4.6.9.
    """
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(data) == size > 5 and data[0] == 1:
            (checksum,) = struct.unpack_from("<L", data, 1)
            if checksum == zlib.crc32(_raw_name(info)):
                return name_in(data[5:], UTF8)
    return None


def _choose_encoding(raw: Sequence[bytes], forced: str | None) -> NameEncoding:
    guess = guess_encoding(raw)
    chosen = forced or guess.encoding
    others = [other for other in (guess.encoding, *guess.alternatives) if other != chosen]
    by_folder = {one.rpartition(b"/")[0]: one for one in reversed(raw)}
    examples = [one for one in (*reversed(by_folder.values()), *raw) if name_in(one, chosen) is not None]
    examples = list(dict.fromkeys(examples))[:_EXAMPLES]
    return NameEncoding(
        chosen=chosen,
        names=len(raw),
        examples=_as_read(examples, chosen),
        alternatives={other: _as_read(examples, other) for other in others},
        sure=guess.sure or forced is not None,
        forced=forced is not None,
    )


def _as_read(raw: Sequence[bytes], encoding: str) -> tuple[str, ...]:
    return tuple(shown(one.decode(encoding, "replace"), 80) for one in raw)


def encoding_notices(encoding: NameEncoding) -> list[str]:
    """Return what a person should know of how the names of a zip were read."""
    if encoding.chosen == UTF8 and encoding.sure and not encoding.forced:
        return []  # nothing was guessed: other text is hardly ever valid UTF-8
    names = "1 name does not say its encoding" if encoding.names == 1 else f"{encoding.names:,} names do not say theirs"
    example = f", such as {encoding.examples[0]}" if encoding.examples else ""
    told = f"the encoding of file names: {names}; read as {LANGUAGES[encoding.chosen]} ({encoding.chosen}){example}"
    if encoding.sure or not encoding.alternatives:
        return [told]
    other, examples = next(iter(encoding.alternatives.items()))
    return [f"{told}; it could also be {LANGUAGES[other]} ({other}){f', {examples[0]}' if examples else ''}"]


def _with_slashes(names: Sequence[str | None], infos: Sequence[zipfile.ZipInfo], listing: Listing) -> list[str | None]:
    """Return the names with backslashes taken for slashes where a Windows packer has certainly meant folders: there are
    no slashes in the name, and the entry was made on Windows' file systems or all entries are like it.
    """
    meant = [name is not None and "\\" in name and "/" not in name for name in names]
    everywhere = all(one or name is None for one, name in zip(meant, names, strict=True))
    changed = list(names)
    example = ""
    for number, (name, info) in enumerate(zip(names, infos, strict=True)):
        if name is not None and meant[number] and (everywhere or info.create_system in _WINDOWS):
            changed[number] = name.replace("\\", "/")
            example = example or f"{shown(name, 80)} as {shown(changed[number] or '', 80)}"
    if example:
        count = sum(old != new for old, new in zip(names, changed, strict=True))
        entries = "1 name has" if count == 1 else f"{count:,} names have"
        listing.notices.append(f"{entries} backslashes, as Windows writes paths; read as folders, such as {example}")
    return changed
