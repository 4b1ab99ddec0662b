"""Rows of JSON: a list of flat records, also the only one in an object, one record a line, or an object of a label by
file or of files by label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.importers.names import shown
from engine.importers.tables import rows as limits
from engine.importers.tables.cell_files import CellFiles, looks_like_image
from engine.importers.tables.encodings import decode
from engine.importers.tables.rows import Answers, Rows, make_rows, may_be_labels, place, says_labels
from engine.importers.tables.text import about_encoding, check_size, encoding_key
from engine.records.imports import Refusal

_FLAT_START = re.compile(rb'[\xef\xbb\xbf\s]*\{\s*"(?:[^"\\]|\\.){0,4096}"\s*:\s*(?:["\d.n-]|\[\s*["\]])')
"""How an object begins that holds no objects."""


def read_records(name: str, data: bytes, files: CellFiles, answers: Answers) -> Rows | None:
    """Return the table of a list of records, of lines of records, or of an object; None where there is none about
    images.

    Values that are lists of texts and numbers are written as lists; other nested values are left out, and told.

    Args:
        name: of the file; lines where it ends in .jsonl or .ndjson.
        data: its bytes.
        files: of the source.
        answers: "encoding:NAME" may hold an encoding.

    Raises:
        ImportRefused: it is too large.
    """
    lines = name.lower().endswith((".jsonl", ".ndjson"))
    if not lines and len(data) > limits.MAX_BYTES:
        return None
    held: list[Mapping[str, Any]] = []
    if not lines and data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        held = _only_list_in(data)
        if not held:
            return _read_object(name, data, files)
    if len(data) > limits.MAX_BYTES:
        start = read_records(name, data[: limits.MAX_BYTES // 8], files, answers)
        if start is not None and says_labels(start.header):
            check_size(name, len(data))
        return None
    decoded = decode(data, answers.get(encoding_key(name), ""))
    text = decoded.text
    refused: list[Refusal] = []
    numbered = list(_of_lines(name, text, refused) if lines else enumerate(held, start=1) if held else _of_list(text))
    if not numbered:
        return None
    header: dict[str, int] = {}
    nested: dict[str, None] = {}
    for _, record in numbered:
        for key, value in record.items():
            if _is_cell(value):
                header.setdefault(key, len(header))
            else:
                nested.setdefault(key)
    rows = [(number, _row(record, header)) for number, record in numbered]
    step = max(1, len(rows) // limits.SAMPLED)
    if held and not says_labels(list(header)):
        return None
    if not header or not may_be_labels(list(header), [row for _, row in rows[::step]], files, name.rpartition("/")[0]):
        return None
    left_out = [key for key in nested if key not in header]
    questions, notices = about_encoding(name, decoded)
    if left_out:
        notices = (
            *notices,
            f"{shown(name)}: {', '.join(shown(key, 40) for key in left_out[:5])} hold no plain values, not read",
        )
    table = make_rows(name, name, rows, files, header=list(header), questions=questions, notices=notices)
    if table is None or not refused:
        return table
    return Rows(
        table.name, table.title, table.header, table.headed, table.lines, table.columns,
        (*refused, *table.refused), table.questions, table.notices,
    )  # fmt: skip


def _read_object(name: str, data: bytes, files: CellFiles) -> Rows | None:
    """Return the table of {"1.png": "cat"} or {"cat": ["1.png"]}; a key that stands twice gives two rows."""
    if len(data) > limits.MAX_BYTES // 4 or _FLAT_START.match(data) is None:
        return None
    try:
        read = json.loads(data, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    values = [value for _, value in read] if isinstance(read, tuple) else []
    if values and all(isinstance(value, str) or value is None for value in values):
        rows = [(key, value or "") for key, value in read]
    elif values and all(isinstance(value, list) and all(isinstance(one, str) for one in value) for value in values):
        rows = [(one, key) for key, value in read for one in value]
    else:
        return None
    folder = name.rpartition("/")[0]
    sample = rows[:: max(1, len(rows) // limits.SAMPLED)]
    found = sum(files.find(file, folder)[0] is not None for file, _ in sample)
    told = 2 * sum(looks_like_image(file) for file, _ in sample) > len(sample)
    repeated = len({label for _, label in rows}) < len(rows)  # in a list of class names none is
    if not rows or 2 * found < len(sample) or not (told or repeated):
        return None
    return make_rows(name, name, enumerate(rows, start=1), files, header=("file", "label"))


def _only_list_in(data: bytes) -> list[Mapping[str, Any]]:
    """Return the records of {"version": 2, "data": [{…}]}: an object with one list of objects; [] for any other."""
    if len(data) > limits.MAX_BYTES // 4 or b"[" not in data:
        return []
    read = _parse(decode(data).text)
    values = read.values() if isinstance(read, dict) else ()
    lists = [value for value in values if isinstance(value, list) and any(isinstance(one, dict) for one in value)]
    return lists[0] if len(lists) == 1 and all(isinstance(one, dict) for one in lists[0]) else []


def _of_lines(name: str, text: str, refused: list[Refusal]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        record = _parse(line)
        if isinstance(record, dict):
            yield number, record
        else:
            refused.append(Refusal(place(name, number), "no JSON record"))


def _of_list(text: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    if text.lstrip()[:1] != "[":
        return ()
    read = _parse(text)
    if not isinstance(read, list) or not all(isinstance(one, dict) for one in read):
        return ()
    return enumerate(read, start=1)


def _parse(text: str) -> Any:
    """The JSON with its numbers as they are written; None for what is none."""
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda word: None)
    except (ValueError, RecursionError):
        return None


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(one, (list, dict)) for one in value)
    return not isinstance(value, dict) or list(value) == ["choices"]


def _row(record: Mapping[str, Any], header: Mapping[str, int]) -> list[str]:
    row = [""] * len(header)
    for key, value in record.items():
        if key in header and _is_cell(value):
            row[header[key]] = _text(value)
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
