"""Which column of a table names the image of each row, and which the folder that it lies in."""

from __future__ import annotations

from collections.abc import Sequence

from engine.importers.labeling import split_of
from engine.importers.name_index import SEVERAL
from engine.importers.tables.cell_files import (
    DECIMAL,
    NAME,
    NUMBER,
    OTHER_ENDING,
    OTHER_MARKS,
    PREFIXED,
    CellFiles,
    looks_like_image,
)
from engine.importers.tables.headers import FOLDER_WORDS, SURE_FILE, file_rank, is_file_header, plain, says_folder
from engine.importers.tables.label_columns import BINARY
from engine.importers.tables.rows import Rows

_WEIGHT = {NAME: 1.0, PREFIXED: 0.9, OTHER_ENDING: 0.8, NUMBER: 0.4, DECIMAL: 0.4, OTHER_MARKS: 0.6}
"""How much it says that a column names images, where one of its cells names a file so; 0.5 for any other way."""


def find_file(cell: str, rows: Rows, files: CellFiles) -> tuple[str | None, str, str]:
    """Return what a cell of a table means, as `CellFiles.find` does; of several files of a name the one that lies in
    the folder of the split that the table is called after."""
    found = files.find(cell, rows.folder)
    if found[2] != SEVERAL:
        return found
    split = split_of(rows.name.rpartition("/")[2].rpartition(".")[0])
    places = files.folders_of(split) if split else ()
    inside = [one for place in places if (one := files.find(f"{place}/{cell.strip()}", ""))[0] is not None]
    return inside[0] if len(inside) == 1 else found


def file_column(
    rows: Rows, files: CellFiles, keys: Sequence[str], wanted: str
) -> tuple[int | None, bool, tuple[int, ...]]:
    """Return the column that names images, whether there is a doubt, and all that could."""
    scores: dict[int, float] = {}
    found: dict[int, list[str | None]] = {}
    sample = rows.sample()
    for at in range(len(rows.header)):
        cells = [rows.columns[at][row] for row in sample]
        if not any(cells) or (len(set(cells)) <= 2 and BINARY.issuperset(map(str.casefold, set(cells) - {""}))):
            continue
        answers = [find_file(cell, rows, files) if cell.strip() else (None, "", "") for cell in cells]
        weight = {name: _WEIGHT.get(how, 0.5) for name, how, _ in answers if name is not None}
        known = is_file_header(rows.header[at])
        numbers = all(cell.strip().isdigit() for cell in cells)
        if numbers and not known and len(weight) < 0.9 * len(cells):
            continue  # counts, that happen to be the numbers of some files
        if weight:
            scores[at] = sum(weight.values())
            found[at] = [name for name, _, _ in answers]
    possible = tuple(sorted(scores))
    if wanted in keys:
        return keys.index(wanted), False, tuple(sorted({*possible, keys.index(wanted)}))
    sure = [at for word in SURE_FILE for at, one in enumerate(rows.header) if one.strip().casefold() == word]
    if not scores:
        by_rank = sorted(range(len(rows.header)), key=lambda at: file_rank(rows.header[at]))
        said = [at for at in by_rank if is_file_header(rows.header[at])]
        looks = [
            at for at in range(len(rows.header))
            if sample and 2 * sum(looks_like_image(rows.columns[at][row]) for row in sample) > len(sample)
        ]  # fmt: skip
        first = next(iter([*sure, *looks, *said]), None)
        return first, False, () if first is None else (first,)
    best = max(scores, key=lambda at: (round(scores[at], 6), -file_rank(rows.header[at])))
    for at in sure:
        if scores.get(at, 0) >= 0.5 * scores[best]:
            best = at
            break
    rivals = [at for at in scores if at != best and scores[at] >= 0.5 * scores[best]]
    differ = any(
        one is not None and other is not None and one != other
        for at in rivals
        for one, other in zip(found[best], found[at], strict=True)
    )
    known = is_file_header(rows.header[best]) or not rows.headed
    share = sum(name is not None for name in found[best]) / max(1, len(sample))
    full = all(_WEIGHT.get(find_file(rows.columns[best][row], rows, files)[1]) for row in sample[:20])
    doubt = (differ and best not in sure) or not (known or (share >= 0.5 and full))
    return best, doubt, possible


def folder_column(rows: Rows, file: int, files: CellFiles) -> int | None:
    """The column that holds folders: with it more rows name a file, or another one."""
    sample = rows.sample()
    cells = [rows.columns[file][row] for row in sample]
    alone = _named(cells, rows, files)
    best, most = None, alone
    for at, header in enumerate(rows.header):
        if at == file:
            continue
        folders = [rows.columns[at][row] for row in sample]
        known = plain(header) in FOLDER_WORDS
        if not known and not any(folder.strip() and files.is_folder(folder) for folder in folders[:50]):
            continue
        named = _named([joined(folder, cell) for folder, cell in zip(folders, cells, strict=True)], rows, files)
        if named > most or (known and named == most and named and says_folder(header)):
            best, most = at, named
    return best


def joined(folder: str, cell: str) -> str:
    """Return the path of a file in a folder, as two cells say them."""
    folder = folder.strip().replace("\\", "/").rstrip("/")
    return f"{folder}/{cell.strip()}" if folder else cell


def _named(cells: Sequence[str], rows: Rows, files: CellFiles) -> int:
    return len({name for cell in cells if (name := find_file(cell, rows, files)[0]) is not None})
