"""What leaves a project beside the labels where they were audited: the certificate, and what it can be worked out from.

    certificate.json    what was shown, with every answer
    certificate.txt     the same for people to read
    frozen_labels.csv   the labels as they were frozen: image_id, sha256, label, source
    provenance.jsonl    the whole ledger, oldest entry first

A zip of images holds them beside its table. A table has no room for them, nor has a zip that may hold nothing but
images: they lie in a zip of their own beside it, whose name has .certificate.zip after the other's.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.parquet

from engine.errors import ExportError
from engine.exporters.target import complete_or_nothing
from engine.records.labels import LedgerEntry

CERTIFICATE, TEXT, FROZEN, LEDGER = "certificate.json", "certificate.txt", "frozen_labels.csv", "provenance.jsonl"
TABLE = "metadata.csv"
TABLE_OF_OTHERS = "table.csv"  # `datasets` takes a metadata.csv at the top for one of all splits
TABLES = (TABLE, TABLE_OF_OTHERS)
BESIDE = ".certificate.zip"
FROZEN_COLUMNS = ("image_id", "sha256", "label", "source")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANY_ENTRIES = 1_000_000


def frozen_csv(labels: Iterable[tuple[int, str, str, str]]) -> bytes:
    """Return frozen labels as CSV: image id, SHA-256 of the image, label and source of each."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FROZEN_COLUMNS)
    writer.writerows(labels)
    return text.getvalue().encode()


def read_frozen(data: bytes) -> list[tuple[int, str, str, str]]:
    """Return the frozen labels that `frozen_csv` wrote.

    Raises:
        ExportError: it is no such table.
    """
    try:
        header, *rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        if tuple(header) != FROZEN_COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [(int(number), sha, label, source) for number, sha, label, source in rows]
    except (ValueError, csv.Error) as error:
        raise ExportError("The frozen labels cannot be read", value=error) from error


def ledger_lines(entries: Iterable[LedgerEntry]) -> Iterator[bytes]:
    """Yield the ledger as JSON, an entry a line."""
    fields = LedgerEntry.__slots__
    for entry in entries:
        record = {name: getattr(entry, name) for name in fields}
        yield json.dumps(record, ensure_ascii=False).encode() + b"\n"


def read_ledger(data: bytes) -> list[LedgerEntry]:
    """Return the ledger that `ledger_lines` wrote.

    Raises:
        ExportError: a line is no entry.
    """
    try:
        return [LedgerEntry(**json.loads(line)) for line in data.splitlines()]
    except (ValueError, TypeError) as error:
        raise ExportError("The ledger cannot be read", value=error) from error


def info(path: str) -> zipfile.ZipInfo:
    """Return what a zip says of a file of this path: no time, so that equal contents are equal files."""
    about = zipfile.ZipInfo(path, _EPOCH)
    about.external_attr = 0o644 << 16
    return about


def beside(table: Path) -> Path:
    """Return the file in which the evidence of a table, or of a zip of nothing but images, lies."""
    return table.with_name(table.name + BESIDE)


def write_beside(table: Path, evidence: Mapping[str, bytes], entries: Sequence[LedgerEntry]) -> None:
    """Write the evidence of a table beside it; without any, remove that of an earlier table of this name.

    Raises:
        ExportError: it could not be written; nothing is left behind.
    """
    if not evidence:
        beside(table).unlink(missing_ok=True)
        return
    with complete_or_nothing(beside(table)) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in evidence.items():
            archive.writestr(info(name), data, zipfile.ZIP_DEFLATED)
        with archive.open(info(LEDGER), "w", force_zip64=len(entries) > _MANY_ENTRIES) as out:
            out.writelines(ledger_lines(entries))


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """One row of an export's table, as far as its label and its image go; label is "" for none."""

    image_id: int
    file_name: str
    label: str
    source: str
    sha256: str


class ReadBack:
    """The files of an export that was opened to be read.

    Attributes:
        has_images: whether the images are among them.
        twice: names that occur twice in the archive.
    """

    def __init__(self, evidence: _Files, table: tuple[str, bytes] | None, images: _Files | None) -> None:
        self._evidence, self._table, self._images = evidence, table, images
        self.has_images = images is not None
        self.twice = evidence.twice

    def read(self, name: str) -> bytes | None:
        """Return a file of the evidence, None where there is none of this name."""
        return self._evidence.read(name)

    def rows(self) -> list[ExportedRow] | None:
        """Return the rows of the table, None where there is none.

        Raises:
            ExportError: it cannot be read.
        """
        if self._table is None:
            return None
        name, data = self._table
        try:
            records = _READERS[Path(name).suffix](data)
            return [
                ExportedRow(
                    int(one["image_id"]), one["file_name"], one["label"] or "", one["label_source"] or "", one["sha256"]
                )
                for one in records
            ]
        except (ValueError, KeyError, TypeError, csv.Error, pyarrow.ArrowInvalid, zipfile.BadZipFile) as error:
            raise ExportError("The table of the export cannot be read", value=error) from error

    def image(self, name: str) -> bytes | None:
        """Return the bytes of an image of the export, None where it is not there."""
        return None if self._images is None else self._images.read(name)


class _Files:
    """Files by path, in a folder or in a zip; one in a tar there has the tar's path before its own."""

    def __init__(self, where: Path | zipfile.ZipFile, stack: ExitStack) -> None:
        self._where, self._stack = where, stack
        self._tar: tuple[str, tarfile.TarFile, dict[str, tarfile.TarInfo]] | None = None
        names = [] if isinstance(where, Path) else where.namelist()
        self.twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, None where it is not there or not as it was written."""
        shard, inside, member = name.partition(".tar/")
        if inside:
            return self._in_tar(f"{shard}.tar", member)
        try:
            with self._open(name) as file:
                return file.read()
        except (KeyError, OSError, zipfile.BadZipFile):
            return None

    def _open(self, name: str) -> IO[bytes]:
        if isinstance(self._where, zipfile.ZipFile):
            return self._where.open(name)
        path = self._where / name
        if not path.resolve().is_relative_to(self._where.resolve()):
            raise KeyError(name)
        return open(path, "rb")

    def _in_tar(self, shard: str, member: str) -> bytes | None:
        try:
            if self._tar is None or self._tar[0] != shard:
                file = self._stack.enter_context(self._open(shard))
                opened = self._stack.enter_context(tarfile.open(fileobj=file, mode="r:"))  # noqa: SIM115
                self._tar = shard, opened, {one.name: one for one in opened}
            _, opened, members = self._tar
            found = opened.extractfile(members[member])
            return None if found is None else found.read()
        except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile):
            return None


@contextmanager
def open_export(path: Path) -> Iterator[ReadBack]:
    """Open an export to be read: a zip or the folder it was unpacked into, or a table with its evidence beside it.

    Raises:
        ExportError: there is no export at this path.
    """
    with ExitStack() as stack:
        try:
            yield _opened(path, stack)
        except (OSError, zipfile.BadZipFile) as error:
            raise ExportError("The export cannot be read", value=f"{path} ({error})") from error


def _opened(path: Path, stack: ExitStack) -> ReadBack:
    if path.is_dir():
        return _with_images(_Files(path, stack))
    if not path.is_file():
        raise ExportError("There is no export here", value=path, way_out="Give a zip, a table or a folder.")
    if path.name.endswith(BESIDE):
        path = path.with_name(path.name.removesuffix(BESIDE))
    if path.suffix in _READERS:
        evidence = beside(path)
        if not evidence.is_file():
            raise ExportError(
                "There is no certificate beside this table", value=evidence, way_out="Export it with its audit anew."
            )
        table = path.read_bytes() if path.is_file() else None
        files = _Files(stack.enter_context(zipfile.ZipFile(evidence)), stack)
        return ReadBack(files, None if table is None else (path.name, table), None)
    files = _Files(stack.enter_context(zipfile.ZipFile(path)), stack)
    if _table(files) is None and beside(path).is_file():
        rest = _Files(stack.enter_context(zipfile.ZipFile(beside(path))), stack)
        return ReadBack(rest, _table(rest), files)
    return _with_images(files)


def _with_images(files: _Files) -> ReadBack:
    table = _table(files)
    return ReadBack(files, table, files if table is not None else None)


def _table(files: _Files) -> tuple[str, bytes] | None:
    return next(((name, data) for name in TABLES if (data := files.read(name)) is not None), None)


def _csv(data: bytes) -> Iterable[dict[str, str]]:
    return csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)


def _parquet(data: bytes) -> Iterable[dict[str, str]]:
    columns = ["image_id", "file_name", "label", "label_source", "sha256"]
    rows: list[dict[str, str]] = pyarrow.parquet.read_table(io.BytesIO(data), columns=columns).to_pylist()
    return rows


def _jsonl(data: bytes) -> Iterable[dict[str, str]]:
    return [json.loads(line) for line in data.splitlines()]


def _excel(data: bytes) -> Iterable[dict[str, str]]:
    import openpyxl  # slow to import, and read by nothing else here
    from openpyxl.utils.escape import unescape

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    header, *rows = book.worksheets[0].iter_rows(values_only=True)
    texts = ([unescape(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return [dict(zip(header, row, strict=True)) for row in texts]


_READERS: dict[str, Callable[[bytes], Iterable[dict[str, str]]]] = {
    ".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl, ".xlsx": _excel,
}  # fmt: skip
