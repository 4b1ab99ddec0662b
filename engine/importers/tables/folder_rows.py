"""Tables whose rows name folders, one of a patient or a scene: what a row says counts for all images in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.importers.names import shown
from engine.importers.tables.cell_files import CellFiles, looks_like_image
from engine.importers.tables.file_column import joined
from engine.importers.tables.headers import is_label_header
from engine.importers.tables.rows import Rows

FILE = "file"
"""Header of the column of images that takes the place of the one of folders, which is kept at the end."""
_SHARE = 0.5
"""Of the cells must name a folder, or the folders that they name must hold so much of all images."""


def of_images(rows: Rows, files: CellFiles) -> Rows:
    """Return a table whose rows name folders as one whose rows name the images in them; any other as it is.

    Its labels must stand in a column that is called so, no cell may name an image, and at least two cells of the column
    of folders must each name one; see _SHARE.
    """
    at = _column(rows, files)
    if at is None:
        return rows
    inside = {cell: files.images_in(cell, rows.folder) for cell in set(rows.columns[at])}
    places = [(row, name) for row, cell in enumerate(rows.columns[at]) for name in inside[cell]]
    lost = [row for row, cell in enumerate(rows.columns[at]) if not inside[cell]]
    columns = [[column[row] for row, _ in places] for column in rows.columns]
    folders, columns[at] = columns[at], [f"/{name}" for _, name in places]
    header = [*rows.header]
    header[at] = FILE if FILE not in header else f"{FILE} in {header[at]}"
    example = next(cell for cell in rows.columns[at] if inside[cell])
    told = (
        f"{shown(rows.title)} names folders; what it says of one counts for all images in it, such as "
        f"{shown(example, 60)}: {len(inside[example]):,}"
    )
    if lost:
        none = "1 row names" if len(lost) == 1 else f"{len(lost):,} rows name"
        told += f"; {none} no folder that is here, such as row {rows.lines[lost[0]]:,}"
    return replace(
        rows, header=(*header, rows.header[at]), lines=[rows.lines[row] for row, _ in places],
        columns=(*columns, folders), notices=(*rows.notices, told),
    )  # fmt: skip


def _column(rows: Rows, files: CellFiles) -> int | None:
    """The column of folders, None where there is none or another one names images."""
    if not rows.headed or not any(map(is_label_header, rows.header)):
        return None
    sample = rows.sample()
    best = None
    for at, header in enumerate(rows.header):
        cells = {cell for row in sample if (cell := rows.columns[at][row].strip())}
        if any(map(looks_like_image, cells)):
            return None
        if len(cells) < 2 or is_label_header(header):
            continue
        if _names_files(list(cells), rows, files):
            return None
        inside = [len(images) for cell in cells if (images := files.images_in(cell, rows.folder))]
        many = len(inside) >= _SHARE * len(cells) or sum(inside) >= _SHARE * files.images
        if best is None and len(inside) > 1 and many:
            best = at
    return None if best is None or _has_files_too(rows, best, files) else best


def _has_files_too(rows: Rows, folder: int, files: CellFiles) -> bool:
    """Whether another column names the file in each folder."""
    sample = rows.sample()
    folders = [rows.columns[folder][row] for row in sample]
    others = ([rows.columns[at][row] for row in sample] for at in range(len(rows.header)) if at != folder)
    return any(
        _names_files([joined(*pair) for pair in zip(folders, cells, strict=True)], rows, files) for cells in others
    )


def _names_files(cells: Sequence[str], rows: Rows, files: CellFiles) -> bool:
    return 2 * sum(files.find(cell, rows.folder)[0] is not None for cell in cells) >= len(cells)
