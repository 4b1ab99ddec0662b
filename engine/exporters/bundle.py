"""What exports of original images share: where the files go, their names, and what lies beside those of the format.

    table.csv               one row an image; `file_name` is its path here, `original_name` the one at import
    manifest.json           what this is, described by manifest.schema.json
    provenance.jsonl        the whole ledger, oldest entry first
    certificate.json, …     where the labels were audited; see `engine.exporters.evidence`

A format is a Layout: where each image goes, and the files of its own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol

from engine.errors import RESTORE_FILES, ConfigError, ExportError
from engine.exporters.evidence import LEDGER, TABLE_OF_OTHERS, beside, info, ledger_lines
from engine.exporters.names import class_folders, collision_key, distinct, file_name, stem_key
from engine.exporters.rows import COLUMNS, MEANING, ExportRow, as_text, cells
from engine.exporters.target import complete_or_nothing
from engine.images.files import original_path
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

FORMAT_VERSION = 1
UNLABELED = "_unlabeled"
MANIFEST = "manifest.json"
TORCHVISION_SKIPS_GIF = "torchvision's ImageFolder skips .gif by default."
_BATCH = 500
_MANY = 1_000_000  # lines that may be more than a zip entry holds without its 64-bit extension


class Files(Protocol):
    """Where the files of an export go, one after the other."""

    def add(self, path: str, data: bytes) -> None:
        """Write a whole file; the path is relative, with "/". One that ends with "/" makes an empty folder."""

    def open(self, path: str, *, huge: bool = False) -> AbstractContextManager[IO[bytes]]:
        """Open a file to be written as a stream; `huge`: it may be larger than 2 GB."""


class ZipFiles:
    """Files in a zip, stored uncompressed: images do not get smaller."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add(self, path: str, data: bytes) -> None:
        """See Files."""
        self._archive.writestr(info(path), data)

    def open(self, path: str, *, huge: bool = False) -> AbstractContextManager[IO[bytes]]:
        """See Files."""
        return self._archive.open(info(path), "w", force_zip64=huge)


class FolderFiles:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, path: str, data: bytes) -> None:
        """See Files."""
        if path.endswith("/"):
            (self._folder / path).mkdir(parents=True, exist_ok=True)
            return
        with self.open(path) as file:
            file.write(data)

    def open(self, path: str, *, huge: bool = False) -> AbstractContextManager[IO[bytes]]:
        """See Files."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return open(target, "xb")


@dataclass(frozen=True)
class Placed:
    """Where a format puts the images.

    Attributes:
        paths: in the export, one a row.
        splits: what the table calls the split of each row; "" for none.
        class_folders: folder of each class, where there are such.
        notes: what a reader of the export must know, for the manifest.
        empty: folders that are there without an image.
    """

    paths: Sequence[str]
    splits: Sequence[str]
    class_folders: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    empty: Sequence[str] = ()


@dataclass(frozen=True)
class Contents:
    """One export while it is written.

    Attributes:
        name: the name of the target without its suffix.
        root: the project's folder.
        classes: those of the project in their order, then labels that are none of them.
    """

    name: str
    rows: Sequence[ExportRow]
    placed: Placed
    root: Path
    classes: Sequence[str]

    def by_split(self) -> dict[str, list[int]]:
        """Return the positions of the rows by the name of their split, in the order in which they are met."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, split in enumerate(self.placed.splits):
            found[split].append(at)
        return dict(found)


Annotate = Callable[[Contents, Files], None]


def some(count: int, one: str, more: str = "") -> str:
    """Return “1 image” or “2 images”; `more` is the plural where an s does not make it."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def write_images(contents: Contents, files: Files, progress: Progress) -> None:
    """Write each image to its path, one in memory at a time, each checked against its SHA-256.

    Raises:
        ExportError: an original is missing or damaged.
    """
    rows, total = contents.rows, len(contents.rows)
    for done, (row, path) in enumerate(zip(rows, contents.placed.paths, strict=True)):
        if done % _BATCH == 0:
            progress("Writing images", done, total)
        files.add(path, original(contents.root, row))


@dataclass(frozen=True)
class Layout:
    """How a format lays out an export.

    Attributes:
        key: names it in the manifest, after "starling/".
        place: says where the images of the rows go.
        annotate: writes the files of the format that hold labels.
        images: writes the images; most formats put each at its path.
        table: name of the table with all columns.
        apart: whether the tool takes nothing but images in its zip, so that all else lies in a zip beside it.
    """

    key: str
    place: Callable[[Sequence[ExportRow]], Placed]
    annotate: Annotate = lambda contents, files: None
    images: Callable[[Contents, Files, Progress], None] = write_images
    table: str = TABLE_OF_OTHERS
    apart: bool = False


def zipped(layout: Layout) -> Callable[..., None]:
    """Return what writes a zip of this layout; see `engine.exporters.Write`.

    The zip depends on the rows, the manifest and the ledger alone; its file names depend on the image ids, not on the
    order of the rows. On any error nothing is left at the target.
    """

    def write(
        rows: Sequence[ExportRow],
        root: Path,
        target: Path,
        manifest: Mapping[str, Any],
        entries: Sequence[LedgerEntry],
        progress: Progress,
        evidence: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        with ExitStack() as stack:
            files = stack.enter_context(_zip_at(target))
            rest = stack.enter_context(_zip_at(beside(target))) if layout.apart else files
            fill(layout, files, rest, target.stem, rows, root, manifest, entries, progress, evidence)

    return write


@contextmanager
def _zip_at(target: Path) -> Iterator[Files]:
    with complete_or_nothing(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        yield ZipFiles(archive)


def fill(
    layout: Layout,
    files: Files,
    rest: Files,
    name: str,
    rows: Sequence[ExportRow],
    root: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write an export of a layout into a zip or a folder.

    Args:
        layout: of the format.
        files: where the images and the files of the format go.
        rest: where the table, the manifest, the ledger and the evidence go.
        name: of the export.
        rows: what is exported.
        root: the project's folder.
        manifest: what the project says of this export; format, folder names and notes are added.
        entries: the ledger, oldest first.
        progress: told every 500 images.
        evidence: further files, by name.

    Raises:
        ExportError: an original is missing or damaged.
    """
    placed = layout.place(rows)
    contents = Contents(name, rows, placed, root, all_classes(rows, manifest))
    rest.add(MANIFEST, _manifest_text(layout, contents, manifest))
    write_lines(rest, layout.table, _table_lines(contents), huge=len(rows) > _MANY)
    layout.annotate(contents, files)
    for folder in placed.empty:
        files.add(f"{folder}/", b"")
    layout.images(contents, files, progress)
    for path, data in evidence.items():
        rest.add(path, data)
    write_lines(rest, LEDGER, ledger_lines(entries), huge=len(entries) > _MANY)
    progress("Writing images", len(rows), len(rows))


def write_lines(files: Files, path: str, lines: Iterable[bytes], *, huge: bool = False) -> None:
    """Write a file piece by piece."""
    with files.open(path, huge=huge) as out:
        out.writelines(lines)


def write_json(files: Files, path: str, head: Mapping[str, Any], **lists: Iterable[Any]) -> None:
    """Write a JSON object: what `head` holds, then the lists, an entry a line and none of them in memory."""
    write_lines(files, path, json_lines(head, lists))


def json_lines(head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> Iterator[bytes]:
    """Yield a JSON object in pieces: what `head` holds, then the lists, an entry a line."""
    start = "{"
    for key, value in head.items():
        yield f"{start}{as_json(key)}: {as_json(value)}".encode()
        start = ",\n"
    for key, values in lists.items():
        yield f"{start}{as_json(key)}: ".encode()
        yield from json_list(values)
        start = ",\n"
    yield b"}\n"


def json_list(values: Iterable[Any]) -> Iterator[bytes]:
    """Yield a JSON list in pieces, an entry a line."""
    before = b"[\n"
    for value in values:
        yield before + as_json(value).encode()
        before = b",\n"
    yield b"[]" if before == b"[\n" else b"\n]"


def as_json(value: Any) -> str:
    """Return a value as JSON on one line, in the characters it has."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def all_classes(rows: Iterable[ExportRow], manifest: Mapping[str, Any]) -> list[str]:
    """Return the classes of the project in their order, then the labels that are none of them, sorted."""
    classes = [str(name) for name in manifest["classes"]]
    return [*classes, *sorted({row.label for row in rows if row.label is not None} - set(classes))]


def split_of(row: ExportRow) -> str:
    """Return the split in which a row lies where a layout needs one."""
    return row.split or "train"


def split_folders(rows: Iterable[ExportRow]) -> dict[str, str]:
    """Return a folder for each split."""
    return class_folders(split_of(row) for row in rows)


def unique_paths(
    rows: Sequence[ExportRow], folders: Sequence[str], *, by_stem: bool = False, among_all: bool = False
) -> list[str]:
    """Return a path for each row: its folder and its original file name, made distinct.

    Of two equal names the image with the larger id is renamed.

    Args:
        rows: what is exported.
        folders: that of each row; "" for the top.
        by_stem: whether names without their suffix must differ too.
        among_all: whether names must differ among all folders, not only within each.
    """
    key = stem_key if by_stem else collision_key
    taken: dict[str, set[str]] = defaultdict(set)
    paths = [""] * len(rows)
    for position in sorted(range(len(rows)), key=lambda at: rows[at].image_id):
        row, folder = rows[position], folders[position]
        names = taken["" if among_all else folder]
        name = distinct(file_name(row.name, row.format), names, str(row.image_id), key)
        names.add(key(name))
        paths[position] = f"{folder}/{name}" if folder else name
    return paths


def in_split_folders(rows: Sequence[ExportRow], before: str = "", *, by_stem: bool = False) -> Placed:
    """Place each image, labeled or not, in the folder of its split; `before` is the folder of these, with "/"."""
    splits = split_folders(rows)
    folders = [f"{before}{splits[split_of(row)]}" for row in rows]
    return Placed(unique_paths(rows, folders, by_stem=by_stem), [split_of(row) for row in rows])


def in_one_folder(rows: Sequence[ExportRow], folder: str, *, by_stem: bool = False) -> Placed:
    """Place all images in one folder."""
    return Placed(unique_paths(rows, [folder] * len(rows), by_stem=by_stem), [split_of(row) for row in rows])


def in_class_folders(rows: Sequence[ExportRow]) -> Placed:
    """Place labeled images in <split>/<class>, the others in UNLABELED and in no split."""
    folders, splits = class_folders(row.label for row in rows if row.label is not None), split_folders(rows)
    placed = [
        UNLABELED if row.label is None else f"{splits[split_of(row)]}/{folders[row.label]}" for row in rows
    ]  # fmt: skip
    gifs = sum(row.format.upper() == "GIF" and row.label is not None for row in rows)
    notes = [f"{some(gifs, 'labeled GIF image')}: {TORCHVISION_SKIPS_GIF}"] if gifs else []
    return Placed(
        unique_paths(rows, placed), ["" if row.label is None else split_of(row) for row in rows], folders, notes
    )


def original(root: Path, row: ExportRow) -> bytes:
    """Return an image's original bytes after checking them.

    Raises:
        ExportError: they are missing, unreadable, or not what was imported.
    """
    who = f"{row.name} (image {row.image_id})"
    try:
        data = original_path(root, row.sha256).read_bytes()
    except (OSError, ConfigError) as error:
        why = error.strerror if isinstance(error, OSError) else "its checksum is not one"
        raise ExportError(f"An original cannot be read, {why}", value=who, way_out=_REPAIR) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        cause = "An original is damaged, its bytes are not those imported"
        raise ExportError(cause, value=who, way_out=_REPAIR)
    return data


_REPAIR = f"Import this image again, or take it from a backup: {RESTORE_FILES}. `starling doctor` lists all damage."


def _manifest_text(layout: Layout, contents: Contents, manifest: Mapping[str, Any]) -> bytes:
    placed = contents.placed
    by_split = Counter(split for split in placed.splits if split)
    full = {
        **manifest,
        "format": f"starling/{layout.key}",
        "format_version": FORMAT_VERSION,
        "images": len(contents.rows),
        "splits": dict(sorted(by_split.items())),
        "columns": {**MEANING, "original_name": "the image's path as it was imported"},
        "class_folders": dict(placed.class_folders),
        "notes": [*manifest.get("notes", ()), *placed.notes],
    }
    return json.dumps(full, ensure_ascii=False, indent=2, allow_nan=False).encode()


def _table_lines(contents: Contents) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, (*COLUMNS, "original_name"))
    writer.writeheader()
    placed = contents.placed
    for row, path, split in zip(contents.rows, placed.paths, placed.splits, strict=True):
        writer.writerow(as_text({**cells(row, path, split), "original_name": row.name}))
        if text.tell() > 1 << 20:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
