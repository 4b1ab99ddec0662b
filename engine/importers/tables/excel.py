"""Rows of Excel's workbooks, a table a sheet, as the cells are shown: 1 and not 1.0, 007 where the format says so."""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.escape import unescape

from engine.errors import ImportRefused
from engine.importers.names import shown
from engine.importers.tables import rows as limits
from engine.importers.tables.cell_files import CellFiles
from engine.importers.tables.rows import Row, Rows, make_rows, may_be_labels

OLD_ENDINGS = (".xls", ".ods", ".numbers", ".xlsb")
"""Spreadsheets that are not read, each of which can be saved as one that is."""
WAY_OUT = "Save it as .xlsx or as “CSV UTF-8”, and import again."
_NEVER_CALCULATED = re.compile(rb"</f>\s*(<v\s*/>|<v></v>)?\s*</c>|<f[^>]*/>\s*(<v\s*/>|<v></v>)?\s*</c>")
_MERGED = re.compile(rb'<mergeCell\b[^>]*\bref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')
Merged = tuple[int, int, int]
_ERRORS = frozenset({"#N/A", "#REF!", "#NAME?", "#DIV/0!", "#VALUE!", "#NULL!", "#NUM!"})


def read_workbook(name: str, data: bytes, files: CellFiles) -> list[Rows]:
    """Return the tables of a workbook that may be about images.

    Args:
        name: of the file.
        data: its bytes.
        files: of the source.

    Raises:
        ImportRefused: damaged, encrypted, too large, or its formulas were never calculated.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > limits.MAX_UNPACKED:
                raise ImportRefused("A spreadsheet is too large", value=shown(name), way_out="Save it as a CSV.")
            merged: dict[str, list[Merged]] = {}
            uncalculated = False
            for entry in entries:
                if entry.filename.startswith("xl/worksheets/sheet"):
                    sheet = archive.read(entry)
                    if ranges := _merged_downwards(sheet):
                        merged[entry.filename] = ranges
                    uncalculated = uncalculated or _NEVER_CALCULATED.search(sheet) is not None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise _damaged(name) from error
    tables = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            try:
                visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
                for page in visible:
                    title = name if len(visible) == 1 else f"{name}, sheet “{page.title}”"
                    ranges = merged.get(page._worksheet_path.lstrip("/"), [])  # nothing public says it
                    table = _read_sheet(name, title, page, files, ranges)
                    tables += [] if table is None else [table]
            finally:
                book.close()
    except ImportRefused:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part leads to
        raise _damaged(name) from error
    if tables and uncalculated:
        raise ImportRefused(
            "A spreadsheet has formulas that were never calculated", value=shown(name),
            way_out="Open it in a spreadsheet program, save it, and import again.",
        )  # fmt: skip
    return tables


def _merged_downwards(sheet: bytes) -> list[Merged]:
    """Return the merged cells of several rows in the XML of a sheet: the first column, and the first and last row."""
    found = []
    for match in _MERGED.finditer(sheet):
        left, top, _, bottom = range_boundaries(match[1].decode("ascii", "replace"))
        if left and top and bottom and bottom > top:
            found.append((left - 1, top, bottom))
    return found


def _read_sheet(name: str, title: str, sheet: Any, files: CellFiles, merged: Sequence[Merged]) -> Rows | None:
    head: list[Row] = []
    told = f"{shown(title)} has merged cells; what one says counts for each of its rows"
    notices: tuple[str, ...] = (told,) if merged else ()
    given = _filled(_lines(sheet), merged)
    for row in given:
        head.append(row)
        if len(head) == limits.SAMPLED:
            break
    start = next((at for at, (_, row) in enumerate(head) if sum(map(bool, row)) > 1), None)
    if start is None:
        return None
    width = max(len(row) for _, row in head)
    head = [(number, [*row, *[""] * (width - len(row))]) for number, row in head]
    if not may_be_labels([cell.strip() for cell in head[start][1]], [row for _, row in head[start:]], files, _at(name)):
        return None
    above = [" ".join(filter(None, row)) for _, row in head[:start] if any(row)]
    if above:
        notices = (*notices, f"{shown(title)}: “{shown(above[0], 60)}” above the table is left out")
    rest = ((number, [*row, *[""] * (width - len(row))]) for number, row in given)
    return make_rows(name, title, _chain(head[start:], rest), files, notices=notices)


def _chain(head: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
    yield from head
    yield from rest


def _at(name: str) -> str:
    return name.rpartition("/")[0]


def _filled(rows: Iterator[Row], merged: Sequence[Merged]) -> Iterator[Row]:
    """Yield rows in which a cell that is merged with one above it says the same."""
    ranges = sorted(merged, key=lambda one: one[1])
    at = 0
    open_ones: list[tuple[int, int, str]] = []
    for number, row in rows:
        open_ones = [one for one in open_ones if one[1] >= number]
        cells = list(row)
        for column, _, text in open_ones:
            cells += [""] * (column + 1 - len(cells))
            cells[column] = cells[column] or text
        while at < len(ranges) and ranges[at][1] <= number:
            column, top, bottom = ranges[at]
            if top == number and column < len(cells):
                open_ones.append((column, bottom, cells[column]))
            at += 1
        yield number, cells


def _lines(sheet: Any) -> Iterator[Row]:
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        row = [_text(cell) for cell in cells]
        while row and not row[-1]:
            row.pop()
        yield number, row


def _text(cell: Any) -> str:
    """A cell as it is shown."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        if cell.data_type == "e" or value in _ERRORS:
            return ""
        return unescape(value) if "_x" in value else value  # _x0041_ is how a workbook may hold an A
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        text = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
        zeros = cell.number_format
        return text.zfill(len(zeros)) if zeros and not zeros.strip("0") else text
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(sep=" ")
    return str(value)


def _damaged(name: str) -> ImportRefused:
    return ImportRefused("A spreadsheet is damaged or locked by a password", value=shown(name), way_out=WAY_OUT)
