"""Tables that are no table of images but name classes: a number and a name of each, as `class_id,class_name`."""

from __future__ import annotations

import csv
import re

from engine.importers.contents import MEGABYTE
from engine.importers.names import label_flaw
from engine.importers.tables.cell_files import looks_like_image
from engine.importers.tables.encodings import decode
from engine.importers.tables.headers import plain

ENDINGS = (".csv", ".tsv")
MAX_BYTES = MEGABYTE
_CALLED = re.compile(
    r"(classes|class(_?(names?|list|labels?|map(ping)?|info|ids?|index))?|categories|category_?(names?|map(ping)?)"
    r"|label_?(names?|map(ping)?|list|encod\w+|index|key|ids?)|sign_?names|species_?list|legend|codebook)(_\w+)?"
)
_NUMBERS = frozenset(
    {"id", "class_id", "classid", "label_id", "labelid", "category_id", "index", "idx", "class_index", "class_idx"}
    | {"label_index", "label_idx", "number", "no", "nr", "code", "class", "label", "target", "value", "category", "key"}
    | {"class_no", "class_number", "class_code", "label_code", "label_num", "y", "klasse", "classe", "clase"}
)
_NAMES = frozenset(
    {"name", "class_name", "classname", "label_name", "labelname", "category_name", "class", "label", "category"}
    | {"description", "title", "species", "breed", "common_name", "text", "meaning", "sign_name", "signname"}
    | {"target_name", "bezeichnung", "klasse", "klassenname", "nom", "nombre", "nome"}
)


def is_called_so(name: str) -> bool:
    """Return whether the name of a file says that it lists classes."""
    return _CALLED.fullmatch(plain(name.rpartition("/")[2].rpartition(".")[0])) is not None


def names_in_table(name: str, data: bytes) -> dict[int, str]:
    """Return the names of classes by number that a text table holds, {} where it is no table of classes.

    Each number and each name stands once, and no cell is the name of an image. The header says which columns these are;
    without one, the name of the file must say that it lists classes.

    Args:
        name: of the file.
        data: its bytes.
    """
    if len(data) > MAX_BYTES:
        return {}
    lines = [line for line in decode(data).text.splitlines() if line.strip()]
    if len(lines) < 2:
        return {}
    separator = max("\t,;|", key=lines[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, strict=True)]
    except csv.Error:
        return {}
    width = len(rows[0])
    cells = [cell for row in rows for cell in row]
    if width < 2 or any(len(row) != width for row in rows) or any(map(looks_like_image, cells)):
        return {}
    header = [plain(cell) for cell in rows[0]]
    numbers = [at for at in range(width) if header[at] in _NUMBERS and _are_numbers([row[at] for row in rows[1:]])]
    if numbers:
        at, below = numbers[0], rows[1:]
    elif is_called_so(name) and width == 2 and _are_numbers([row[0] for row in rows]):
        at, below = 0, rows
    else:
        return {}
    named = [one for one in range(width) if one != at and _are_names([row[one] for row in below])]
    told = [one for one in named if header[one] in _NAMES]
    if not told and width > 2 and not is_called_so(name):
        return {}
    best = next(iter([*told, *named]), None)
    return {} if best is None else {int(row[at]): row[best] for row in below}


def _are_numbers(cells: list[str]) -> bool:
    whole = all(cell.isascii() and cell.isdigit() and len(cell) < 10 for cell in cells)
    return whole and len(set(map(int, cells))) == len(cells)


def _are_names(cells: list[str]) -> bool:
    fine = all(cell and not cell.replace(".", "").isdigit() and label_flaw(cell) is None for cell in cells)
    return fine and len(set(cells)) == len(cells)
