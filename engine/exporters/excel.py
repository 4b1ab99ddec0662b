"""An Excel workbook of one sheet: one row an image, the columns of the CSV. Every text is stored as text.

"007" and "=1+1" stay what they are, and dates are not guessed. Written by hand: the rows stream, and a workbook of
100,000 rows takes a second. Absent values are empty cells.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape

from engine.errors import ExportError
from engine.exporters.evidence import info, write_beside
from engine.exporters.rows import COLUMNS, ExportRow
from engine.exporters.tables import batches
from engine.exporters.target import complete_or_nothing
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

MOST_ROWS = 1_048_575  # of a sheet, below the header
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="images" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
# Excel reads _x0041_ in a text as one character: this is how it holds those that XML has not, and itself
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")


def write(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the workbook.

    Raises:
        ExportError: there are more rows than a sheet has, or the target could not be written; nothing is left behind.
    """
    if len(rows) > MOST_ROWS:
        raise ExportError(
            f"An Excel sheet has at most {MOST_ROWS:,} rows of images",
            value=f"{len(rows):,}",
            way_out="Export a CSV or Parquet table.",
        )
    with complete_or_nothing(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for path, text in _PARTS.items():
            book.writestr(info(path), _XML + text, zipfile.ZIP_DEFLATED)
        sheet = info("xl/worksheets/sheet1.xml")
        sheet.compress_type = zipfile.ZIP_DEFLATED
        with book.open(sheet, "w", force_zip64=True) as out:
            out.writelines(piece.encode() for piece in _sheet(rows, progress))
        write_beside(target, evidence, entries)


def _sheet(rows: Sequence[ExportRow], progress: Progress) -> Iterator[str]:
    yield f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    yield '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    yield f"<sheetData>{_row(COLUMNS)}"
    for batch in batches(rows, progress):
        yield "".join(_row([values[column] for column in COLUMNS]) for values in batch)
    yield "</sheetData></worksheet>"


def _row(values: Sequence[object]) -> str:
    return f"<row>{''.join(map(_cell, values))}</row>"


def _cell(value: object) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>"
    text = escape(_ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", str(value)))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
