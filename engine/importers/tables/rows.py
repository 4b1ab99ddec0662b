"""The rows of a table, whatever file it is in. Every cell is text as a person would read it: "007" stays "007"."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import ImportRefused
from engine.importers.contents import MEGABYTE
from engine.importers.grouping import is_group_header
from engine.importers.name_index import SEVERAL
from engine.importers.names import shown
from engine.importers.tables.cell_files import CellFiles, looks_like_image
from engine.importers.tables.headers import is_file_header, is_label_header
from engine.records.imports import Question, Refusal

MAX_BYTES = 64 * MEGABYTE
MAX_UNPACKED = 8 * MAX_BYTES
MAX_ROWS = 3_000_000
MOST_COLUMNS = 20_000
MOST_CELLS = 60_000_000
SAMPLED, PEEKED = 400, 50
"""So many rows tell what a table is about; so many, whether the first is a header."""

Row = tuple[int, Sequence[str]]
Answers = Mapping[str, str]
"""What a person decided, by the key of the question, as formats are given it."""


@dataclass(frozen=True)
class Rows:
    """A table.

    Attributes:
        name: of the file it is in.
        title: for a person: the file's name, with the sheet where it has several.
        header: of each column, without spaces around it; "column 1" … where the table has none.
        headed: whether the table has a header.
        lines: the number of each row in its file.
        columns: the cells of each column, one a row.
        refused: rows that could not be read.
        questions: what a person may decide about how it was read.
        notices: what a person should know of how it was read.
    """

    name: str
    title: str
    header: tuple[str, ...]
    headed: bool
    lines: Sequence[int]
    columns: tuple[Sequence[str], ...]
    refused: tuple[Refusal, ...] = ()
    questions: tuple[Question, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder the table lies in, "" at the top."""
        return self.name.rpartition("/")[0]

    def sample(self) -> list[int]:
        """Return up to SAMPLED positions of rows, spread over all."""
        count = len(self.lines)
        return list(range(count)) if count <= SAMPLED else [at * count // SAMPLED for at in range(SAMPLED)]


def make_rows(
    name: str,
    title: str,
    rows: Iterable[Row],
    files: CellFiles,
    *,
    header: Sequence[str] | None = None,
    questions: tuple[Question, ...] = (),
    notices: tuple[str, ...] = (),
) -> Rows | None:
    """Return a table of the rows that a file gives; None where it has none.

    Rows with cells beyond the header, or with fewer, are refused one by one; cells beyond it that are empty do not
    count, and neither do rows that are empty.

    Args:
        name: of the file.
        title: of the table, for a person.
        rows: with their numbers; the first may be a header.
        files: tell whether the first row names a file already.
        header: of formats that have one apart.
        questions: about how it was read.
        notices: the same.

    Raises:
        ImportRefused: there are too many rows or cells.
    """
    columns: list[list[str]] = []
    lines: list[int] = []
    refused: list[Refusal] = []
    once: list[dict[str, str]] = []
    headed = True
    folder = name.rpartition("/")[0]
    count = 0
    given = iter(rows)
    if header is None:
        head = list(itertools.islice(given, PEEKED))
        told = [row for _, row in head if any(map(str.strip, row))]
        if not told:
            return None
        headed = has_header(told, files, folder)
        header = [cell.strip() for cell in told[0]] if headed else [f"column {at + 1}" for at in range(len(told[0]))]
        first = next(at for at, (_, row) in enumerate(head) if row is told[0])
        given = itertools.chain(head[first + headed :], given)
    for number, row in given:
        count += 1
        if count > MAX_ROWS:
            raise ImportRefused(f"A table has more than {MAX_ROWS:,} rows", value=shown(title), way_out="Split it.")
        if not any(map(str.strip, row)):
            continue
        if not columns:
            if len(header) > MOST_COLUMNS:
                raise ImportRefused(
                    f"A table has more than {MOST_COLUMNS:,} columns", value=shown(title),
                    way_out="Leave out columns that do not say what the images are.",
                )  # fmt: skip
            columns, once = [[] for _ in header], [{} for _ in header]
        width = len(header)
        if len(row) != width:
            if len(row) < width or any(map(str.strip, row[width:])):
                what = f"{len(row)} columns where the {'header' if headed else 'first row'} has {width}"
                refused.append(Refusal(place(title, number), what))
                continue
            row = row[:width]
        lines.append(number)
        if len(lines) * width > MOST_CELLS:
            raise ImportRefused("A table has too many cells", value=shown(title), way_out="Split it.")
        for column, known, cell in zip(columns, once, row, strict=True):
            if len(known) < 4096:
                cell = known.setdefault(cell, cell)  # cells repeat: each text is kept once
            column.append(cell)
    return Rows(
        name, title, tuple(header), headed, lines, tuple(columns or ([] for _ in header)), tuple(refused), questions,
        notices,
    )  # fmt: skip


def has_header(rows: Sequence[Sequence[str]], files: CellFiles, folder: str) -> bool:
    """Return whether the first of some rows is a header: it names no image as the rows below it do."""
    first, below = rows[0], rows[1:]
    if any(map(looks_like_image, first)):
        return False
    if any(is_file_header(cell) or is_label_header(cell) for cell in first):
        return True
    for at, cell in enumerate(first[:64]):
        if cell.strip() and files.find(cell, folder)[0] is not None:
            cells = [row[at] for row in below if len(row) > at]
            if 2 * sum(files.find(one, folder)[0] is not None for one in cells) >= len(cells):
                return False
    return True


def may_be_labels(header: Sequence[str], rows: Collection[Sequence[str]], files: CellFiles, folder: str) -> int:
    """Return how many files of the source the most telling column names, 1 at least where the header alone tells that
    the table is one of labels or groups, 0 where nothing does."""
    named = 0
    for at in range(min(len(header), 64)):
        cells = {row[at] for row in rows if len(row) > at and row[at].strip()}
        if len(cells) == 2 and cells <= {"0", "1"}:
            continue
        answers = {cell: files.find(cell, folder) for cell in cells}
        named = max(named, len({name or cell for cell, (name, _, why) in answers.items() if name or why == SEVERAL}))
    if named:
        return named + 1
    return int(says_labels(header)) or _names_folders(header, rows, files)


def _names_folders(header: Sequence[str], rows: Collection[Sequence[str]], files: CellFiles) -> int:
    """Return how many folders of the source the most telling column names, beside one that is called as one of labels;
    0 where there is none, or fewer than two."""
    if not any(map(is_label_header, header)):
        return 0
    named = 0
    for at in range(min(len(header), 64)):
        cells = {row[at] for row in rows if len(row) > at and row[at].strip()}
        if not is_label_header(header[at]):
            named = max(named, sum(map(files.is_folder, cells)))
    return named if named > 1 else 0


def says_labels(header: Sequence[str]) -> bool:
    """Return whether a header names a column for the file and one for labels or groups."""
    files = [cell for cell in header if is_file_header(cell)]
    return bool(files) and any(is_label_header(cell) or is_group_header(cell) for cell in header if cell not in files)


def place(title: str, line: int, cell: str | None = None) -> str:
    """Return where a row is, for a person."""
    where = f"{shown(title, 100)}, row {line}"
    return where if cell is None else f"{where}: {shown(cell, 200)}"
