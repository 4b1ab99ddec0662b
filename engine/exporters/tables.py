"""CSV, Parquet and JSON Lines: one row an image, no image files. `file_name` is the original relative path, unaltered.

What an audit of the labels has shown lies in a zip of its own beside the table; see `engine.exporters.evidence`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.exporters.evidence import write_beside
from engine.exporters.rows import COLUMNS, ExportRow, as_text, cells
from engine.exporters.target import complete_or_nothing
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

BATCH = 10_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With what a cell begins that some spreadsheet computes; the last four are the wide forms of the first."""
_TYPES = {
    "confidence": pa.float64(), "round": pa.int32(), "reviewed": pa.bool_(), "seen_seconds": pa.float64(),
    "audit": pa.int32(), "bound": pa.float64(), "image_id": pa.int64(),
}  # fmt: skip
SCHEMA = pa.schema([pa.field(column, _TYPES.get(column, pa.string())) for column in COLUMNS])


def write_csv(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a UTF-8 CSV with a header; cells hold what was stored, also when they begin with "=".

    Raises:
        ExportError: the target could not be written; nothing is left behind.
    """
    _write_csv(rows, target, entries, progress, evidence, str)


def write_guarded_csv(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the CSV for a spreadsheet: an apostrophe stands before what it would take for a formula.

    Raises:
        ExportError: the target could not be written; nothing is left behind.
    """
    _write_csv(rows, target, entries, progress, evidence, guarded)


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _write_csv(
    rows: Sequence[ExportRow],
    target: Path,
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes],
    cell: Callable[[str], str],
) -> None:
    with complete_or_nothing(target) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for batch in batches(rows, progress):
            writer.writerows({name: cell(value) for name, value in as_text(values).items()} for values in batch)
        text.flush()
        text.detach()
        write_beside(target, evidence, entries)


def write_parquet(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a Parquet file with the columns of the CSV, typed; absent values are null.

    Raises:
        ExportError: the target could not be written; nothing is left behind.
    """
    with complete_or_nothing(target) as file, pq.ParquetWriter(file, SCHEMA) as writer:
        for batch in batches(rows, progress):
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
        write_beside(target, evidence, entries)


def write_jsonl(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a UTF-8 JSON object a line with the columns of the CSV, typed; absent values are null.

    Raises:
        ExportError: the target could not be written; nothing is left behind.
    """
    with complete_or_nothing(target) as file:
        for batch in batches(rows, progress):
            file.writelines(json.dumps(values, ensure_ascii=False).encode() + b"\n" for values in batch)
        write_beside(target, evidence, entries)


def batches(rows: Sequence[ExportRow], progress: Progress) -> Iterator[list[dict[str, Any]]]:
    """Yield the values of the rows by column, BATCH rows at a time."""
    remaining, done = iter(rows), 0
    while batch := list(islice(remaining, BATCH)):
        yield [cells(row, row.name, row.split) for row in batch]
        done += len(batch)
        progress("Writing rows", done, len(rows))
