"""The tables of a source: every file that may be one, read once, with the columns that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import ImportRefused
from engine.importers.names import shown
from engine.importers.source_view import SourceView
from engine.importers.tables.cell_files import DECIMAL, NUMBER, OTHER_ENDING, OTHER_MARKS, CellFiles, settled
from engine.importers.tables.class_tables import ENDINGS as CLASS_TABLES
from engine.importers.tables.class_tables import is_called_so, names_in_table
from engine.importers.tables.columns import LABEL_COLUMN, Plan, plan_columns
from engine.importers.tables.excel import read_workbook
from engine.importers.tables.file_column import find_file, joined
from engine.importers.tables.folder_rows import of_images
from engine.importers.tables.label_columns import NO_COLUMN
from engine.importers.tables.parquet import read_parquet
from engine.importers.tables.records import read_records
from engine.importers.tables.rows import Answers, Rows
from engine.importers.tables.shares import NO_SHARES
from engine.importers.tables.text import encoding_key, read_text

TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".psv", ".txt")
RECORD_ENDINGS = (".jsonl", ".ndjson", ".json")
ENDINGS = (*TEXT_ENDINGS, *RECORD_ENDINGS, ".xlsx", ".xlsm", ".parquet")

_AS = {
    OTHER_ENDING: "with another ending", NUMBER: "without the zeros before their numbers",
    DECIMAL: "by numbers with a point", OTHER_MARKS: "with other marks between the words",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table whose columns are known; found: of each row the file it names, or None and why."""

    rows: Rows
    plan: Plan
    found: Sequence[tuple[str | None, str]]


def cell_files(source: SourceView) -> CellFiles:
    """Return what finds the files of a source by the cells of its tables."""
    return source.once("cell files", lambda: CellFiles(source.names))


def tables_of(
    source: SourceView, answers: Answers, names: Sequence[str] | None = None, files: CellFiles | None = None
) -> tuple[list[Table], Mapping[str, ImportRefused]]:
    """Return the tables of a source that name its images, and by name why a file that may be one cannot be read.

    Args:
        source: the staged source.
        answers: may hold "encoding:FILE", "file_column" and "label_column". Tables with one header share a question;
            where there are more headers, the keys of all but the first end in “:” and the first file that has it.
        names: of the files to look at; None takes all that may be tables.
        files: finds what the cells mean.
    """
    every_one = source.ending(*ENDINGS) if names is None else names
    looked_at = [name for name in every_one if not name.rpartition("/")[2].startswith("~$")]  # Excel's locks
    if not looked_at:
        return [], {}  # no index of all names is made for nothing: at 250,000 it takes 100 MB
    finder = files or cell_files(source)
    kind = type(finder).__name__
    said = sorted(answers.items())

    def look() -> tuple[list[Table], Mapping[str, ImportRefused]]:
        every: list[Rows] = []
        refusals: dict[str, ImportRefused] = {}
        for name in looked_at:
            try:
                every += (of_images(rows, finder) for rows in _rows_of(source, name, finder, answers))
            except ImportRefused as error:
                refusals[name] = error
        first: dict[tuple[str, ...], str] = {}
        tables = []
        for rows in every:
            suffix = first.setdefault(rows.header, f":{rows.title}" if first else "")
            try:
                plan = plan_columns(rows, finder, answers, suffix)
            except ImportRefused as error:
                refusals[rows.name] = error
                continue
            if plan is not None:
                found, notices = _found(rows, plan, finder)
                tables.append(Table(rows, replace(plan, notices=(*plan.notices, *notices)), found))
        return _weak_ones_put_back(_without_class_tables(source, tables), answers), refusals

    return source.once(f"tables {kind} {looked_at} {said}", look)


def _rows_of(source: SourceView, name: str, files: CellFiles, answers: Answers) -> list[Rows]:
    def look() -> list[Rows] | ImportRefused:
        ending = name.lower()
        try:
            if ending.endswith((".xlsx", ".xlsm")):
                return read_workbook(name, source.data(name), files)
            if ending.endswith(".parquet"):
                table = read_parquet(name, str(source.files[name]), files)
            elif ending.endswith(RECORD_ENDINGS):
                table = read_records(name, source.data(name), files, answers)
            else:
                table = read_text(name, source.data(name), files, answers)
        except ImportRefused as error:
            return error
        return [] if table is None else [table]

    read = source.once(f"rows {type(files).__name__} {name} {answers.get(encoding_key(name), '')}", look)
    if isinstance(read, ImportRefused):
        raise read
    return read


def _found(rows: Rows, plan: Plan, files: CellFiles) -> tuple[list[tuple[str | None, str]], tuple[str, ...]]:
    """Return the file of each row, or why it has none; and what a person should know of how they were found."""
    cells: Sequence[str] = rows.columns[plan.file]
    if plan.folder is not None:
        cells = [joined(*pair) for pair in zip(rows.columns[plan.folder], cells, strict=True)]
    once: dict[str, tuple[str | None, str]] = {}
    others: dict[str, dict[str, str]] = {how: {} for how in _AS}
    in_full: set[str] = set()
    for cell in cells:
        if cell not in once:
            name, how, why = find_file(cell, rows, files)
            once[cell] = (name, why)
            if name is not None and how in _AS:
                others[how][cell] = name
            elif name is not None:
                in_full.add(name)
    _without_rivals(once, others, in_full)
    once, by_name_alone = settled(once)
    notices = []
    for how, pairs in others.items():
        if pairs:
            cell, name = next(iter(pairs.items()))
            example = f"such as {shown(cell, 80)} for {shown(name, 80)}"
            notices.append(f"{shown(rows.title)} names {len(pairs):,} files {_AS[how]}, {example}")
    if by_name_alone:
        cell, name = min(by_name_alone.items())
        notices.append(
            f"{shown(rows.title)} names folders that are not here; {len(by_name_alone):,} files are found by their "
            f"names alone, such as {shown(name, 80)} for {shown(cell, 80)}"
        )
    return [once[cell] for cell in cells], tuple(notices)


def _without_rivals(
    once: dict[str, tuple[str | None, str]], others: Mapping[str, dict[str, str]], in_full: set[str]
) -> None:
    """Take from cells that do not name a file in full the file that another cell names in full, or names as well."""
    for pairs in others.values():
        times = Counter(pairs.values())
        for cell, name in [*pairs.items()]:
            if name in in_full:
                once[cell] = (None, f"there is no such file; the one most like it, {shown(name, 80)}, has its own row")
            elif times[name] > 1:
                once[cell] = (None, f"several rows could mean {shown(name, 80)}")
            else:
                continue
            del pairs[cell]


def _without_class_tables(source: SourceView, tables: Sequence[Table]) -> list[Table]:
    """Leave out tables that name classes instead of images: those that are called so, and those that name the numbers
    of another table."""

    def names(table: Table) -> Mapping[int, str]:
        name = table.rows.name
        return names_in_table(name, source.data(name)) if name.lower().endswith(CLASS_TABLES) else {}

    def numbers(table: Table) -> set[int]:
        cells = {cell.strip() for at in table.plan.labels for cell in set(table.rows.columns[at])} - {""}
        return set(map(int, cells)) if all(one.isascii() and one.isdigit() for one in cells) else set()

    kept = []
    for table in tables:
        known = names(table)
        others = [numbers(other) for other in tables if other is not table]
        if known and (is_called_so(table.rows.name) or any(one and one <= known.keys() for one in others)):
            continue
        kept.append(table)
    return kept


def _weak_ones_put_back(tables: Sequence[Table], answers: Answers) -> list[Table]:
    """A guess at labels does not count beside a table whose header says that it has them, and neither does a sample of
    what a competition wants to be handed in."""
    if not any(table.plan.says_labels and table.plan.strong and not _is_sample(table) for table in tables):
        return list(tables)
    kept = []
    for table in tables:
        plan = table.plan
        answered = any(one.key.startswith(LABEL_COLUMN) and answers.get(one.key) for one in plan.questions)
        if plan.labeled and not answered and (_is_sample(table) or not plan.strong):
            why = "it seems to be a sample to hand in" if _is_sample(table) else "its header names none"
            questions = tuple(
                replace(one, chosen=NO_COLUMN, doubtful=False) if one.key.startswith(LABEL_COLUMN) else one
                for one in plan.questions
            )
            plan = replace(
                plan, labels=(), one_hot=(), prediction=None, shares=NO_SHARES, likeliest=False,
                others=(*plan.others, *plan.labels), questions=questions,
                notices=(f"{shown(table.rows.title)} is not taken for labels: {why}",), put_back=True,
            )  # fmt: skip
        kept.append(replace(table, plan=plan))
    return kept


def _is_sample(table: Table) -> bool:
    return "submission" in table.rows.name.rpartition("/")[2].casefold()
