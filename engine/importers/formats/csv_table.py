"""Labels from a table beside the images: CSV and its kin, Excel, lists of records in JSON, Parquet.

Every cell is text: "007" stays "007", nothing is trimmed. `engine.importers.tables` says which columns count. An empty
label is unlabeled. A relative path counts from the table's folder, then from those above it, then from anywhere if only
one file ends so; of an absolute path and of an address the longest ending that exists counts. A name without its
ending, or behind the letters that an upload put before it, counts where one file alone can be meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.errors import ImportRefused
from engine.importers.formats.base import LIKELY, POSSIBLE, SIGNATURE, Answers, Detection, Format
from engine.importers.formats.class_lists import NOTHING, ClassNames, names_of_numbers, number_of
from engine.importers.formats.vertex_csv import vertex_names
from engine.importers.grouping import is_group_header
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView
from engine.importers.tables.labels import columns_of_tables, label_by_tables
from engine.importers.tables.load import TEXT_ENDINGS, Table, tables_of
from engine.records.imports import Refusal

IMAGES_AND_CSV, IMAGES_AND_TABLE = "images + CSV", "images + table"
NOT_KNOWN = "-1"
"""Stands among numbers of classes for none of them; what becomes of it is asked."""
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def detect(source: SourceView) -> Detection | None:
    """Return that there is a table with a column of labels, or one that would be and cannot be read."""
    tables, refusals = tables_of(source, {})
    labeled = [table for table in _own(tables, source) if table.plan.labeled]
    names = list(dict.fromkeys(table.rows.title for table in labeled)) or list(refusals)
    if not names:
        return None
    listed = ", ".join(shown(name, 80) for name in names[:3])
    if not labeled:
        return Detection(f"{listed} cannot be read", LIKELY)
    if not any(table.plan.says_labels for table in labeled):
        return Detection(f"{listed} says of files what a model predicts", LIKELY)
    why = f"{listed} has a column for the file and one for the label"
    if not any(table.plan.strong or len(table.rows.header) == 2 for table in labeled):
        return Detection(f"{listed} has a column that could hold labels", POSSIBLE)
    named = {name for table in labeled for name, _ in table.found if name is not None}
    said = sum(len(table.rows.lines) for table in labeled)
    covers = 2 * len(named) >= len(source.images) or (not named and 2 * said >= len(source.images))
    sure = any(table.plan.sure for table in labeled)
    return Detection(why, SIGNATURE if covers and sure else LIKELY)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that all such tables of the source say together.

    Raises:
        ImportRefused: there is none, or one cannot be read.
    """
    tables, refusals = tables_of(source, answers)
    own = _own(tables, source)
    labeled = [table for table in (own if own or refusals else tables) if table.plan.labeled]
    grave = {name: error for name, error in refusals.items() if name.lower().endswith(TEXT_ENDINGS) or not labeled}
    if grave:
        raise next(iter(grave.values()))
    # one without a column of labels asks for it
    counted = [*labeled, *(table for table in tables if table.plan.put_back)] if labeled else tables
    if not counted:
        raise ImportRefused(
            "There is no table of labels in the source",
            way_out="Add a CSV with the columns filename,label, or choose another format.",
        )
    by_cell, named = _class_names(labeled, source, answers)
    found = label_by_tables(_layout(counted), counted, source.taken, answers, by_cell)
    classes = dict.fromkeys((*found.classes, *by_cell.values()))
    found = replace(
        found, notices=(*found.notices, *named.notices), questions=(*found.questions, *named.questions),
        used=found.used | ({named.file} - {""}), classes=tuple(classes),
    )  # fmt: skip
    unread = tuple(Refusal(shown(name), str(error)) for name, error in refusals.items())
    return replace(found, refused=(*found.refused, *unread), used=found.used | refusals.keys())


def group_columns(source: SourceView) -> tuple[Mapping[str, Mapping[str, str]], frozenset[str]]:
    """Return what the further columns of all tables say, by header, and the names of the tables that say anything."""
    tables, _ = tables_of(source, {})
    told = [
        table for table in tables
        if table.plan.labeled or any(is_group_header(table.rows.header[at]) for at in table.plan.others)
    ]  # fmt: skip
    return columns_of_tables(told, source.taken), frozenset(table.rows.name for table in told)


def _class_names(tables: Sequence[Table], source: SourceView, answers: Answers) -> tuple[dict[str, str], ClassNames]:
    """Return the names of classes by the cells that stand for them, where a list beside the tables names all of them;
    and what a person should know and may decide about it."""
    cells = {cell for table in tables for at in table.plan.labels for cell in set(table.rows.columns[at])}
    numbers = {cell: number_of(cell) for cell in cells if cell.strip() not in ("", NOT_KNOWN)}
    said = {number for number in numbers.values() if number is not None}
    if not numbers or None in numbers.values():
        return {}, NOTHING
    found = names_of_numbers(source, tables[0].rows.name, said, answers)
    if not found.names:
        return {}, found
    if not said <= found.names.keys():
        told = f"{shown(found.file)} does not name all numbers that stand for labels; they stay numbers"
        return {}, ClassNames({}, notices=(told,), questions=found.questions)
    examples = ", ".join(f"{one} is {shown(found.names[one], 40)}" for one in sorted(said)[:3])
    by_cell = {str(number): name for number, name in sorted(found.names.items())}
    by_cell |= {cell: found.names[number] for cell, number in numbers.items() if number is not None}
    told = f"numbers are named by {shown(found.file)}: {examples}"
    return by_cell, replace(found, notices=found.notices or (told,))


def mute_tables(source: SourceView) -> frozenset[str]:
    """Return the names of the tables that name images and have no column that is known to hold labels."""
    tables, _ = tables_of(source, {})
    return frozenset(
        table.rows.name for table in tables
        if not table.plan.labeled and any(name in source.taken for name, _ in table.found)
    )  # fmt: skip


def _own(tables: Sequence[Table], source: SourceView) -> list[Table]:
    """The tables that no other format is for."""
    vertex = vertex_names(source)
    return [table for table in tables if not is_metadata(table) and table.rows.name not in vertex]


def is_metadata(table: Table) -> bool:
    """Return whether a table is one of Hugging Face's beside its images."""
    return table.rows.name.rpartition("/")[2].casefold() in METADATA and any(
        header.endswith("file_name") for header in table.rows.header
    )


def _layout(tables: Sequence[Table]) -> str:
    plain = all(table.rows.name.lower().endswith(TEXT_ENDINGS) for table in tables)
    return IMAGES_AND_CSV if plain else IMAGES_AND_TABLE


FORMAT = Format("table", IMAGES_AND_CSV, detect, read)
