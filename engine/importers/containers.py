"""Files that hold images: zip and tar archives, and the Arrow and Parquet tables that the `datasets` library writes.

Each gives its members one after the other; nothing is extracted by name, and no more than one batch is in memory.
Members that are archives or videos are streams, which lie on the disk where they are large. What a container says of an
image beside its pixels is the member's record:

    kind: WEBDATASET or HUGGINGFACE.
    row: what is said, by column: texts, numbers, truth values, None, or lists of these.
    names: by column, the names of the classes that its whole numbers stand for, in order; shared by all rows.
    folder: that the image lies in, inside the container; "" for none.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import DecodeError, ImportRefused
from engine.importers.archive import ZipContents, encoding_notices, other_names
from engine.importers.archive_kinds import STREAMED, TARS, VIDEOS, ZIP, unread_archive
from engine.importers.contents import MEGABYTE, Limits, NameEncoding
from engine.importers.names import is_junk, name_flaw, shown
from engine.records.imports import Refusal

WEBDATASET, HUGGINGFACE = "webdataset", "huggingface"
NO_NAMES: Mapping[str, tuple[str, ...]] = {}
PICTURES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".avif",
    ".heic", ".jxl",
)  # fmt: skip
"""Endings of images in samples and lists."""
MOST_COLUMNS = 40
MOST_TEXT = 2_000
_SAYING = ("cls", "cls2", "class", "label", "json", "txt", "text", "id", "index")
_MOST_SAID = 256 * 1024
_MOST_OF_A_SAMPLE = 64
_CACHE = re.compile(r"cache-[0-9a-f]{16}(_\d+_of_\d+)?\.arrow")
_HEADER = 512
_SHARD = re.compile(r"(^|[-_.])\d{3,}$|\d+[-_]of[-_]\d+$")
_IN_MEMORY = MEGABYTE
_UNPACKER_BYTES = 256 * MEGABYTE
_BYTES_COLUMNS = frozenset({"image", "img", "image_bytes", "img_bytes", "bytes", "picture", "photo", "jpg", "png"})
_MAGIC = {
    b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp", b"II*\0": ".tif",
    b"MM\0*": ".tif",
}  # fmt: skip
_ROWS = 32
_DAMAGED = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError, EOFError)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a container.

    Attributes:
        name: relative path inside it, or, without data, of a file of the source as the container calls it.
        data: its bytes; None where the container only names a file, or where it is a stream.
        record: what the container says of it (see the module), None where it is a file like any other.
        stream: the member, at its beginning, where its name is that of an archive, a table or a video. Close it.
    """

    name: str
    data: bytes | None
    record: Mapping[str, Any] | None = None
    stream: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a container, by its relative path."""

    name: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a person should know of a container."""

    text: str


@dataclass(frozen=True, slots=True)
class Spelling:
    """In which encoding the names of an archive seem to be, where it does not say it.

    names: by encoding that they could also be in, another name by the name.
    """

    encoding: NameEncoding
    names: Mapping[str, Mapping[str, str]]


Given = Member | Folder | Told | Spelling | Refusal


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file that holds images.

    Attributes:
        holds_images: whether this one does; one that does not is a file like any other. Raises DecodeError where it
            should and cannot be read. It may leave the stream anywhere.
        expand: yields its members and folders, what to know of it, and refusals of members or of the rest of it; takes
            its name, a stream at its beginning, caps, and the folder where large members lie for a while. Raises
            ImportRefused where it is refused as a whole or over a cap.
    """

    holds_images: Callable[[BinaryIO], bool]
    expand: Callable[[str, BinaryIO, Limits, Path | None], Iterator[Given]]


def container_of(name: str) -> Container | None:
    """Return the kind of container that a file is by its ending, None for none."""
    return CONTAINERS.get(_ending(name))


def is_cache(name: str) -> bool:
    """Return whether a file is what `datasets` keeps of a computation beside a saved set, and does not read again."""
    return _CACHE.fullmatch(name.rpartition("/")[2]) is not None


def stem_of(name: str) -> str:
    """Return a container's name without its ending."""
    return name[: len(name) - len(_ending(name))]


def _ending(name: str) -> str:
    lower = name.lower()
    if not lower.endswith(_ENDINGS):
        return ""
    return next(ending for ending in CONTAINERS if lower.endswith(ending))


def spooled(chunks: Iterable[bytes], folder: Path | None) -> BinaryIO:
    """Return a stream at its beginning of all these bytes, in memory where they are few, else in a file without a name.

    Args:
        chunks: the bytes in pieces.
        folder: where the file lies; the system's place for such files if None.
    """
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115  the caller closes it
    try:
        for chunk in chunks:
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("BinaryIO", file)


# Zip archives


def _expand_zip(name: str, stream: BinaryIO, limits: Limits, folder: Path | None) -> Iterator[Given]:
    contents = ZipContents(stream, limits, inner=True)
    listing = contents.listing
    yield from (Refusal(f"{shown(name)}/{one.name}", one.reason) for one in listing.refused)
    asked: Sequence[str] = ()
    if listing.encoding is not None and (others := other_names(stream, listing, limits)):
        asked = encoding_notices(listing.encoding)
        yield Spelling(listing.encoding, others)
    yield from (Told(notice) for notice in listing.notices if notice not in asked)
    yield from map(Folder, listing.folders)
    yield from (Member(junk, b"") for junk in contents.junk)
    for entry in listing.entries:
        try:
            if entry.name.lower().endswith(STREAMED):
                yield Member(entry.name, None, None, spooled(contents.chunks(entry), folder))
            else:
                yield Member(entry.name, contents.read(entry))
        except DecodeError as error:
            yield Refusal(f"{shown(name)}/{shown(entry.name)}", str(error))


# Tar archives


class _Reader:
    """Reads a tar from front to back, and gives up at the cap: a packed one may be of any length."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._left = most
        self.at = 0

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        parts = list(self.pieces(count))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pieces(self, count: int) -> Iterator[bytes]:
        """Yield the next bytes piece by piece, fewer only at the end."""
        while count and (chunk := self._stream.read(min(count, MEGABYTE))):
            count -= len(chunk)
            self.at += len(chunk)
            if self.at > self._left:
                raise ImportRefused(
                    f"An archive unpacks to more than {self._left // MEGABYTE:,} MB", way_out="Import it in parts."
                )
            yield chunk

    def skip(self, count: int) -> None:
        """Pass over the next bytes."""
        for _ in self.pieces(count):
            pass


class _Unpacked:
    """A stream of what a bzip2 or xz stream unpacks to, also of several packed one after the other."""

    def __init__(self, stream: BinaryIO, start: Callable[[], Any]) -> None:
        self._stream, self._start, self._unpacker = stream, start, start()
        self._packed = b""

    def read(self, count: int) -> bytes:
        """Return at most so many bytes, none only at the end.

        Raises:
            EOFError: it is cut off.
            OSError: it is damaged.
            lzma.LZMAError: it is damaged, or unpacking it needs more memory than is allowed.
        """
        while True:
            if self._unpacker.eof:
                self._packed = (self._unpacker.unused_data or self._stream.read(MEGABYTE)).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._unpacker = self._start()
            elif self._unpacker.needs_input and not self._packed:
                self._packed = self._stream.read(MEGABYTE)
                if not self._packed:
                    raise EOFError("it ends before its end mark")
            packed, self._packed = self._packed, b""
            if data := self._unpacker.decompress(packed, count):
                return cast("bytes", data)


def _unpacked(stream: BinaryIO) -> Any:
    """Return what unpacks a tar, by its first bytes: browsers unpack some and leave the name."""
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if start.startswith(b"BZh"):
        return _Unpacked(stream, bz2.BZ2Decompressor)
    if start.startswith(b"\xfd7zXZ\0"):
        return _Unpacked(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_UNPACKER_BYTES))
    return stream


def _expand_tar(name: str, stream: BinaryIO, limits: Limits, folder: Path | None) -> Iterator[Given]:
    shard = _SHARD.search(stem_of(name.rpartition("/")[2])) is not None
    try:
        files = _tar_files(name, _Reader(_unpacked(stream), limits.total_bytes), limits, folder)
        yield from _samples(files, shard, limits)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        yield Refusal(shown(name), f"the archive is damaged or cut off; the rest of it is not read ({_words(error)})")


def _tar_files(
    name: str, reader: _Reader, limits: Limits, folder: Path | None
) -> Iterator[Member | Folder | Told | Refusal]:
    """Yield the plain files of a tar, as tarfile reads headers; links and everything else are refused."""
    seen: set[str] = set()
    given: dict[str, str] = {}  # what the headers before say of the next file
    ended = False
    while header := reader.read(_HEADER):
        if not header.strip(b"\0") and len(header) == _HEADER:
            ended = True
            continue
        ended = False
        damaged = f"the archive is damaged at byte {reader.at - len(header):,}; the rest of it is not read"
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            about_next = info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK) or _extended(info)
            size = info.size if about_next else int(given.get("size", info.size))
        except (tarfile.HeaderError, ValueError):
            yield Refusal(shown(name), damaged)
            return
        padding = -size % _HEADER
        if size < 0 or info.type == tarfile.GNUTYPE_SPARSE or (about_next and size > MEGABYTE):
            yield Refusal(shown(name), damaged)
            return
        if about_next:
            data = reader.read(size)
            reader.skip(padding)
            if len(data) < size:
                break
            if info.type == tarfile.GNUTYPE_LONGNAME:
                given["path"] = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                given.update(_extended_fields(data))
            continue
        path = given.get("path", info.name)
        path = path[2:] if path.startswith("./") else path
        sparse = any(key.startswith("GNU.sparse") for key in given)
        given = {}
        if info.isdir() or (info.isreg() and path.endswith("/")):
            if name_flaw(path.rstrip("/")) is None and not is_junk(path.rstrip("/")):
                yield Folder(path.rstrip("/"))
            continue
        flaw = _tar_flaw(path, info, size, limits, path in seen, sparse)
        if flaw is not None:
            yield Refusal(f"{shown(name)}/{shown(path)}", flaw)
            if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES:
                reader.skip(size + padding)
            continue
        seen.add(path)
        if path.lower().endswith(STREAMED):
            before = reader.at
            member = spooled(reader.pieces(size), folder)
            if reader.at - before < size:
                member.close()
                yield Refusal(f"{shown(name)}/{shown(path)}", "the archive is cut off in this file")
                return
            reader.skip(padding)
            yield Member(path, None, None, member)
            continue
        data = reader.read(size)
        if len(data) < size:
            yield Refusal(f"{shown(name)}/{shown(path)}", "the archive is cut off in this file")
            return
        reader.skip(padding)
        yield Member(path, data)
    if not ended:
        yield Refusal(shown(name), "the archive ends without its end mark; it may be cut off")


def _extended(info: tarfile.TarInfo) -> bool:
    return info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


def _extended_fields(data: bytes) -> dict[str, str]:
    """Return the fields of a POSIX extended header: lines as “length key=value”."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        key, equals, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if length <= len(digits) + 2 or not equals:
            break
        fields[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += length
    return fields


def _tar_flaw(path: str, info: tarfile.TarInfo, size: int, limits: Limits, again: bool, sparse: bool) -> str | None:
    if (flaw := name_flaw(path)) is not None:
        return flaw
    if info.issym() or info.islnk():
        return "a link inside the archive"
    if not info.isreg() or sparse:
        return "not an ordinary file"
    if again:
        return "the archive has several files of this name; the first is taken"
    if (unread := unread_archive(path)) is not None:
        return unread
    if size > limits.entry_bytes and not path.lower().endswith(STREAMED):
        return f"larger than {limits.entry_bytes // MEGABYTE} MB"
    return None


def _samples(files: Iterator[Given], shard: bool, limits: Limits) -> Iterator[Given]:
    """Yield the files of a tar; those next to each other that share a name up to its first dot are one sample, and what
    its small files say becomes the record of its image.

    Args:
        files: of the archive, in its order.
        shard: the archive is called like one of many, so a picture in it that nothing is said of is a sample too.
        limits: caps what is held back until a sample is complete.
    """
    sample: list[Member] = []
    complete: list[Member] = []
    key, held = "", 0
    try:
        for one in files:
            if not isinstance(one, Member):
                yield one
                continue
            folder, slash, base = one.name.rpartition("/")
            now = folder + slash + base.partition(".")[0]
            size = len(one.data or b"")
            if sample and (now != key or len(sample) >= _MOST_OF_A_SAMPLE or held + size > limits.entry_bytes):
                complete, sample, held = sample, [one], 0
                yield from _sample(complete, shard)
            else:
                sample.append(one)
            key = now
            held += size
        yield from _sample(sample, shard)
    finally:
        for left in (*complete, *sample):
            if left.stream is not None:
                left.stream.close()


def _sample(files: list[Member], shard: bool) -> Iterator[Member]:
    pictures = [one for one in files if one.name.lower().endswith((*PICTURES, *VIDEOS)) and not is_junk(one.name)]
    row: dict[str, Any] = {}
    saying = set()
    for one in files if pictures else ():
        field = _suffix(one.name)
        if field.rpartition(".")[2] in _SAYING and len(one.data or b"") <= _MOST_SAID:
            said = _said(field, one.data or b"")
            if said is not None:
                row.update(said)
                saying.add(one.name)
    main = [one.name for one in pictures if "." not in _suffix(one.name)] or [one.name for one in pictures[:1]]
    for one in files:
        if one.name in saying:
            continue
        has_record = one.name in main and (row or saying or (shard and "/" not in one.name))
        record = {"kind": WEBDATASET, "folder": one.name.rpartition("/")[0], "row": row, "names": NO_NAMES}
        yield replace(one, record=record if has_record else None)


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _said(field: str, data: bytes) -> dict[str, Any] | None:
    """Return what a small file of a sample says, by column; None where it is neither text nor a JSON object."""
    try:
        text = data.decode("utf-8-sig")
        if field.rpartition(".")[2] != "json":
            return {field: text.strip()[:MOST_TEXT]}
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return {field: _plain(parsed)}
    return {f"{field}:{key}": _plain(value) for key, value in list(parsed.items())[:MOST_COLUMNS]}


def _plain(value: Any) -> Any:
    """Return a value that a column may hold; None for what is no text, number, truth value or short list of these."""
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, list):
        plain = [one for one in value[:MOST_COLUMNS] if isinstance(one, str | int | float)]
        return plain if len(plain) == len(value) else None
    return value if isinstance(value, int | float) else None


# Tables


def _expand_table(name: str, stream: BinaryIO, limits: Limits, folder: Path | None) -> Iterator[Given]:
    row = 0
    try:
        schema, batches = _open_table(stream)
        images = _image_columns(schema)
        names = class_names(_features(schema))
        kept = [field.name for field in schema if _is_plain(field.type) and field.name not in images]
        if len(images) > 1:
            others = ", ".join(shown(one, 40) for one in images[1:])
            yield Refusal(shown(name), f"only the images of column “{shown(images[0], 40)}” are read; not {others}")
        kept = [one for one in kept if schema.names.count(one) == 1][:MOST_COLUMNS]
        seen: set[str] = set()
        for batch in batches([images[0], *kept]):
            batch.validate(full=True)
            for start in range(0, batch.num_rows, _ROWS):
                for cells in batch.slice(start, _ROWS).to_pylist():
                    yield _table_row(name, row, cells, images[0], names, seen, limits)
                    row += 1
    except _DAMAGED as error:
        yield Refusal(shown(name), f"the table is damaged or cut off after row {row:,}; the rest is not read "
                      f"({_words(error)})")  # fmt: skip


def _table_row(
    name: str, row: int, cells: dict[str, Any], column: str, names: Mapping[str, Any], seen: set[str], limits: Limits
) -> Member | Refusal:
    image = cells.pop(column)
    place = f"{shown(name)}, row {row:,}"
    data = image.get("bytes") if isinstance(image, dict) else image
    path = image.get("path") if isinstance(image, dict) else None
    path = path if isinstance(path, str) and path.strip() else ""
    record = {
        "kind": HUGGINGFACE, "folder": "", "row": {key: _plain(value) for key, value in cells.items()}, "names": names,
    }  # fmt: skip
    if data is None:
        return Member(path, None, record) if path else Refusal(place, "the row has no image")
    if not isinstance(data, bytes):
        return Refusal(place, "the row's image is not made of bytes")
    if len(data) > limits.entry_bytes:
        return Refusal(place, f"larger than {limits.entry_bytes // MEGABYTE} MB")
    base = path.replace("\\", "/").rpartition("/")[2]
    if not base or name_flaw(base) is not None or is_junk(base):
        base = f"{row:06}{next((ending for magic, ending in _MAGIC.items() if data.startswith(magic)), '')}"
    if base in seen:
        base = f"{row:06}_{base}"
    seen.add(base)
    return Member(base, data, record)


def _open_table(stream: BinaryIO) -> tuple[Any, Callable[[list[str]], Iterator[Any]]]:
    """Return a table's schema, and what reads the named columns of it batch by batch."""
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    if start.startswith(b"PAR1"):
        table = pq.ParquetFile(stream)
        return table.schema_arrow, lambda columns: table.iter_batches(_ROWS, columns=columns, use_threads=False)
    if start.startswith(b"ARROW1"):
        whole = pa.ipc.open_file(stream)
        return whole.schema, lambda columns: (
            whole.get_batch(number).select(columns) for number in range(whole.num_record_batches)
        )
    reader = pa.ipc.open_stream(stream)
    return reader.schema, lambda columns: (batch.select(columns) for batch in reader)


def _image_columns(schema: Any) -> list[str]:
    """Return the columns that hold pictures: with bytes and a path, or bytes alone under a telling name."""
    return [
        field.name
        for field in schema
        if (pa.types.is_struct(field.type) and _has_bytes(field.type))
        or (_is_bytes(field.type) and field.name.casefold() in _BYTES_COLUMNS)
    ]


def _has_bytes(struct: Any) -> bool:
    at = struct.get_field_index("bytes")
    return at >= 0 and _is_bytes(struct.field(at).type)


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_plain(kind: Any) -> bool:
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _features(schema: Any) -> Any:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def class_names(features: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by column, of the features as `datasets` writes them; other columns are absent.

    A list of classes has them under "feature", or is a list of one feature.
    """
    found: dict[str, tuple[str, ...]] = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        one = feature[0] if isinstance(feature, list) and feature else feature
        one = one["feature"] if isinstance(one, dict) and isinstance(one.get("feature"), dict) else one
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and isinstance(one.get("names"), list):
            found[column] = tuple(map(str, one["names"]))
    return found


def _parquet_holds_images(stream: BinaryIO) -> bool:
    try:
        return bool(_image_columns(_open_table(stream)[0]))
    except _DAMAGED:
        return False  # whoever reads tables says what is wrong with it


def _arrow_holds_images(stream: BinaryIO) -> bool:
    try:
        return bool(_image_columns(_open_table(stream)[0]))
    except _DAMAGED as error:
        raise DecodeError(f"The Arrow table cannot be read ({_words(error)})") from error


def _words(error: BaseException) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0], 120)


CONTAINERS: dict[str, Container] = {
    ZIP: Container(lambda stream: True, _expand_zip),
    **dict.fromkeys(TARS, Container(lambda stream: True, _expand_tar)),
    ".arrow": Container(_arrow_holds_images, _expand_table),
    ".parquet": Container(_parquet_holds_images, _expand_table),
}
"""By ending, in lower case."""
_ENDINGS = tuple(CONTAINERS)
