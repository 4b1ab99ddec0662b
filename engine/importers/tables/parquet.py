"""Rows of Parquet files: columns of texts, numbers, yes and no, dates, and lists of these."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import ImportRefused
from engine.importers.names import shown
from engine.importers.tables import rows as limits
from engine.importers.tables.cell_files import CellFiles
from engine.importers.tables.rows import Row, Rows, make_rows, may_be_labels

_BATCH = 8192


def read_parquet(name: str, path: str, files: CellFiles) -> Rows | None:
    """Return the table of a Parquet file; None where it is not about images beside it.

    Args:
        name: of the file.
        path: where it is staged.
        files: of the source.

    Raises:
        ImportRefused: damaged or too large.
    """
    try:
        with pq.ParquetFile(path) as file:
            texts = [one.name for one in file.schema_arrow if pa.types.is_string(one.type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            kept = [one.name for one in file.schema_arrow if _is_plain(one.type)]
            if not kept:
                return None
            if file.metadata.num_rows > limits.MAX_ROWS:
                raise ImportRefused(
                    f"A table has more than {limits.MAX_ROWS:,} rows", value=shown(name), way_out="Split it."
                )
            first = next(iter(file.iter_batches(limits.SAMPLED, columns=kept)), None)
            if first is None:
                return None
            header = list(first.schema.names)
            sample = [row for _, row in _batch(first, 1)]
            if not may_be_labels(header, sample, files, name.rpartition("/")[0]):
                return None
            others = [one.name for one in file.schema_arrow if one.name not in kept]
            notices: tuple[str, ...] = ()
            if others:
                notices = (f"{shown(name)}: {', '.join(shown(one, 40) for one in others[:5])} hold no text, not read",)
            return make_rows(name, name, _rows(file, kept), files, header=header, notices=notices)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ImportRefused(
            "A Parquet file is damaged", value=shown(name), way_out="Write it again, or save it as a CSV."
        ) from error


def _is_plain(kind: Any) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_plain(kind.value_type) and not pa.types.is_list(kind.value_type)
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
                or pa.types.is_fixed_size_binary(kind))  # fmt: skip


def _rows(file: Any, kept: list[str]) -> Iterator[Row]:
    start = 1
    for batch in file.iter_batches(_BATCH, columns=kept):
        yield from _batch(batch, start)
        start += batch.num_rows


def _batch(batch: Any, start: int) -> Iterator[Row]:
    columns = []
    for column in batch.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            words = [*map(_text, column.dictionary.to_pylist()), ""]  # a missing one is at -1
            texts = [words[at] for at in column.indices.fill_null(-1).to_pylist()]
        elif pa.types.is_floating(kind):
            single = pa.types.is_float32(kind) or pa.types.is_float16(kind)
            values = column.to_numpy(zero_copy_only=False)
            missing = column.is_null().to_pylist()
            texts = ["" if none else _number(value, single) for value, none in zip(values, missing, strict=True)]
        else:
            texts = [_text(value) for value in column.to_pylist()]
        columns.append(texts)
    for at, row in enumerate(zip(*columns, strict=True)):
        yield start + at, row


def _number(value: Any, single: bool) -> str:
    """A number as a person sees it: 1 for 1.0, and no more digits than its type has."""
    if value != value:
        return ""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return str(value) if single else repr(float(value))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps([_text(one) for one in value], ensure_ascii=False)
    if isinstance(value, float):
        return _number(value, False)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(sep=" ")
    return str(value)
