"""Labels from a CSV or TSV beside the images. Every cell is text: "007" stays "007", nothing is trimmed.

Columns: one that names the file (`file_path_abs`, `file_name`, `filename`, `path`) and one with the label
(`label`, `class_name`). An empty label is unlabeled. A relative path counts from the table's folder, then from
those above it, then from anywhere if only one file ends so; of an absolute path the longest ending that exists
counts. Further columns may say which images belong together; one called `split` which are the test split, where it
names another one too.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.errors import ImportRefused
from engine.importers.contents import MEGABYTE
from engine.importers.formats.base import LIKELY, SIGNATURE, Answers, Detection, Format
from engine.importers.grouping import is_group_header
from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.name_index import NameIndex
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView
from engine.records.imports import Refusal

IMAGES_AND_CSV = "images + CSV"
PATH_COLUMNS = ("file_path_abs", "file_name", "filename", "path")
LABEL_COLUMNS = ("label", "class_name")
NO_GROUPS = (
    "label_source", "confidence", "annotation_source", "round", "model", "reviewed", "reviewed_by", "reviewed_at",
    "split", "id", "image_id", "sha256", "width", "height",
)  # fmt: skip
MOST_OTHERS = 20
MAX_BYTES = 64 * MEGABYTE
MAX_ROWS = 3_000_000
MAX_FIELD = 131_072
_SAVE_UTF8 = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”) and import again."


@dataclass(frozen=True)
class Table:
    """A table that names images and labels: its own name, and rows as (line number, file, label).

    columns: headers of its further columns; cells: their texts, a tuple a row. labeled: whether it has a column of
    labels at all; one without is there for what its other columns say. splits: what its column `split` says, one a row.
    """

    name: str
    rows: tuple[tuple[int, str, str], ...]
    refused: tuple[Refusal, ...]
    predicted: int
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    labeled: bool = True
    splits: tuple[str, ...] = ()


def is_table(name: str) -> bool:
    """Return whether a file may be a table of labels, by its ending."""
    return name.lower().endswith((".csv", ".tsv"))


def read_table(name: str, data: bytes) -> Table | None:
    """Return the table, None when its header has no column for the file, or neither one for the label nor one that says
    which images belong together.

    Raises:
        ImportRefused: too large, an unknown encoding, unclosed quotes, or an ambiguous header.
    """
    if len(data) > MAX_BYTES:
        raise ImportRefused(
            f"A table is larger than {MAX_BYTES // MEGABYTE} MB",
            value=shown(name),
            way_out="Split it, and import in parts.",
        )
    text = _decode(name, data)
    if text is None:
        return None
    delimiter = _delimiter(text.partition("\n")[0])
    if delimiter is None:
        return None
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = _lines(name, reader)
    _, header = next(lines)
    columns = [cell.strip().casefold() for cell in header]
    if not set(PATH_COLUMNS) & set(columns) or not (
        set(LABEL_COLUMNS) & set(columns) or any(map(is_group_header, header))
    ):
        raise ImportRefused(
            "The header of a table cannot be read: it has a quote after a space",
            value=shown(name),
            way_out="Remove the spaces after the separators, and import again.",
        )
    path_at = _column(columns, PATH_COLUMNS)
    label_at = _column(columns, LABEL_COLUMNS) if set(LABEL_COLUMNS) & set(columns) else None
    for column in (columns[path_at], *([] if label_at is None else [columns[label_at]])):
        if columns.count(column) > 1:
            raise ImportRefused(
                "A table has two columns of one name", value=f"{shown(name)}, {column}", way_out="Rename one of them."
            )
    source_at = columns.index("label_source") if "label_source" in columns else None
    split_at = columns.index("split") if "split" in columns else None
    others = [at for at, column in enumerate(columns) if at != label_at and _may_group(column, columns)][:MOST_OTHERS]
    once: dict[str, str] = {}  # cells of a group repeat: each text is kept once
    rows, cells, splits, refused, predicted = [], [], [], [], 0
    for line, row in lines:
        if len(row) != len(header):
            refused.append(Refusal(_place(name, line), f"{len(row)} columns where the header has {len(header)}"))
            continue
        label = "" if label_at is None else row[label_at]
        predicted += source_at is not None and row[source_at] == "pseudo" and bool(label)
        rows.append((line, row[path_at], label))
        splits.append("" if split_at is None else once.setdefault(row[split_at], row[split_at]))
        cells.append(tuple(once.setdefault(row[at], row[at]) for at in others))
    headers = tuple(header[at].strip() for at in others)
    return Table(
        name, tuple(rows), tuple(refused), predicted, headers, tuple(cells), label_at is not None, tuple(splits)
    )


def columns_of_tables(tables: Sequence[Table], images: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what the further columns of the tables say, by header: text by image name, the first where several do."""
    columns: dict[str, dict[str, str]] = {header: {} for table in tables for header in table.columns}
    if not columns:
        return {}
    index, taken = NameIndex(images), set(images)
    for table in tables:
        folder = table.name.rpartition("/")[0]
        for (_, path, _), cells in zip(table.rows, table.cells, strict=True):
            name = index.find(path, folder)[0]
            if name in taken:
                for header, text in zip(table.columns, cells, strict=True):
                    if text.strip():
                        columns[header].setdefault(name, text)
    return columns


def detect(source: SourceView) -> Detection | None:
    """Return that there is a table with a column of labels, or one that would be and cannot be read."""
    tables, refusals = _tables(source)
    names = [table.name for table in tables if table.labeled] or list(refusals)
    if not names:
        return None
    listed = ", ".join(shown(name, 80) for name in names[:3])
    named = sum(len(table.rows) for table in tables if table.labeled)
    strength = SIGNATURE if 2 * named >= len(source.images) else LIKELY
    return Detection(f"{listed} has a column for the file and one for the label", strength)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that all such tables of the source say together.

    Raises:
        ImportRefused: there is none, or one cannot be read.
    """
    tables, refusals = _tables(source)
    if refusals:
        raise next(iter(refusals.values()))
    tables = [table for table in tables if table.labeled]
    if not tables:
        raise ImportRefused(
            "There is no table of labels in the source",
            way_out="Add a CSV with the columns filename,label, or choose another format.",
        )
    return label_by_tables(tables, source.images, source.names)


def _tables(source: SourceView) -> tuple[list[Table], dict[str, ImportRefused]]:
    """The tables of a source, and by name why a file that would be one cannot be read."""

    def look() -> tuple[list[Table], dict[str, ImportRefused]]:
        tables: list[Table] = []
        refusals: dict[str, ImportRefused] = {}
        for name in source.ending(".csv", ".tsv"):
            try:
                table = read_table(name, source.data(name))
            except ImportRefused as error:
                refusals[name] = error
            else:
                tables += [] if table is None else [table]
        return tables, refusals

    return source.once("tables", look)


def group_columns(source: SourceView) -> tuple[dict[str, dict[str, str]], frozenset[str]]:
    """Return what the further columns of all tables say (see `columns_of_tables`), and the names of these tables."""
    tables, _ = _tables(source)
    return columns_of_tables(tables, source.images), frozenset(table.name for table in tables)


def _may_group(column: str, columns: Sequence[str]) -> bool:
    """Return whether a column may say which images belong together: not the file, not what an export adds."""
    return bool(column) and columns.count(column) == 1 and column not in (*PATH_COLUMNS, *LABEL_COLUMNS, *NO_GROUPS)


def label_by_tables(tables: Sequence[Table], images: Collection[str], names: Collection[str]) -> Labeling:
    """Return the labels that the tables say.

    Args:
        tables: from `read_table`.
        images: names of the images that can be imported.
        names: names of all files of the source, refused ones too.
    """
    index, taken = NameIndex(names), set(images)
    given: dict[str, dict[str, None]] = defaultdict(dict)
    refused: list[Refusal] = []
    for table in tables:
        refused.extend(table.refused)
        folder = table.name.rpartition("/")[0]
        for line, path, label in table.rows:
            reason = label_flaw(label) if label.strip() else None
            name, missing = index.find(path, folder)
            reason = reason or missing
            if reason is None and name not in taken:
                reason = "its image was refused"
            if reason is not None or name is None:
                refused.append(Refusal(_place(table.name, line, path), reason or "there is no such file"))
            elif label.strip():
                given[name][unicodedata.normalize("NFC", label)] = None
    conflicts = {name: tuple(labels) for name, labels in given.items() if len(labels) > 1}
    labels = {name: next(iter(labels_given)) for name, labels_given in given.items() if len(labels_given) == 1}
    splits = _splits(tables, index)
    found = Labeling(IMAGES_AND_CSV, labels, tuple(refused), conflicts, splits=splits)
    return replace(
        found, notices=_notices(tables, len(found.test)), used=frozenset(table.name for table in tables),
    )  # fmt: skip


def _splits(tables: Sequence[Table], index: NameIndex) -> dict[str, str]:
    """The split of each file that the tables put into one."""
    splits: dict[str, str] = {}
    for table in tables:
        folder = table.name.rpartition("/")[0]
        for (_, path, _), word in zip(table.rows, table.splits, strict=True):
            split = split_of(word)
            name = index.find(path, folder)[0] if split else None
            if name is not None:
                splits[name] = split
    return splits


def _notices(tables: Sequence[Table], test: int) -> tuple[str, ...]:
    listed = ", ".join(shown(table.name) for table in tables)
    notices = [f"labels are read from {listed}; folder names do not count"]
    if test:
        notices.append(about_test(test))
    predicted = sum(table.predicted for table in tables)
    if predicted:
        notices.append(f"{predicted:,} of the labels are pseudo-labels of a model; they are taken as labels")
    return tuple(notices)


def _decode(name: str, data: bytes) -> str | None:
    """Return the text; None for a table whose header cannot be one of labels anyway."""
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        head = data.partition(b"\n")[0].replace(b"\0", b"").decode("latin-1")
        if _delimiter(head) is None:
            return None
        raise ImportRefused(
            "A table is neither UTF-8 nor UTF-16 with a byte order mark", value=shown(name), way_out=_SAVE_UTF8
        ) from error


def _delimiter(header: str) -> str | None:
    """Return the separator with which the header names a file and a label column, or one of groups."""
    for delimiter in (",", "\t", ";"):
        cells = [cell.strip().strip('"') for cell in header.rstrip("\r").split(delimiter)]
        columns = {cell.casefold() for cell in cells}
        if columns & set(PATH_COLUMNS) and (columns & set(LABEL_COLUMNS) or any(map(is_group_header, cells))):
            return delimiter
    return None


def _column(columns: Sequence[str], wanted: Sequence[str]) -> int:
    return next(columns.index(name) for name in wanted if name in columns)


def _lines(name: str, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the number of their record, leaving out blank lines."""
    try:
        for number, row in enumerate(reader, start=1):
            if number > MAX_ROWS:
                raise ImportRefused(f"A table has more than {MAX_ROWS:,} rows", value=shown(name), way_out="Split it.")
            if row:
                yield number, row
    except csv.Error as error:
        raise ImportRefused(
            f"A table cannot be read ({error})",
            value=shown(name),
            way_out="Look for a quote that is not closed, or a very long cell, and import again.",
        ) from error


def _place(name: str, line: int, path: str | None = None) -> str:
    where = f"{shown(name, 100)}, row {line}"
    return where if path is None else f"{where}: {shown(path, 200)}"


FORMAT = Format("table", IMAGES_AND_CSV, detect, read)
