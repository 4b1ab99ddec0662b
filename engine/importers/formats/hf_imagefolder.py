"""Hugging Face's image folders: metadata.csv, .jsonl or .parquet beside the images, one in each split's folder.

`file_name` counts from the folder of the metadata and nowhere else. Folder names do not count, and images that no
metadata names are unlabeled. Labels that are numbers take the names that README.md or dataset_info.json gives them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from engine.errors import ImportRefused
from engine.importers.formats.base import LIKELY, SIGNATURE, Answers, Detection, Format
from engine.importers.formats.csv_table import METADATA, is_metadata
from engine.importers.labeling import Labeling
from engine.importers.name_index import MISSING
from engine.importers.names import name_key, shown
from engine.importers.source_view import SourceView, folder_of
from engine.importers.tables.cell_files import NAME, CellFiles
from engine.importers.tables.columns import FILE_COLUMN
from engine.importers.tables.labels import label_by_tables
from engine.importers.tables.load import Table, tables_of

TITLE = "Hugging Face image folder"


class RelativeFiles(CellFiles):
    """Finds files by a path from the table's own folder alone."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(names)
        self._by_key = {name_key(name): name for name in names}

    def find(self, cell: str, folder: str) -> tuple[str | None, str, str]:
        """Return (name of the file, how it was named, "") or (None, "", why there is none)."""
        parts = [part for part in cell.strip().replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            return None, "", "the file name is empty"
        if ".." in parts:
            return None, "", "the path points outside the source (“..”)"
        path = "/".join([*([folder] if folder else []), *parts])
        name = path if path in self.names else self._by_key.get(name_key(path))
        return (None, "", MISSING) if name is None else (name, NAME, "")


def detect(source: SourceView) -> Detection | None:
    """Return that there is a metadata table with a column file_name."""
    tables, refusals = _tables(source, {})
    if not tables and not refusals:
        return None
    names = [table.rows.name for table in tables] or list(refusals)
    listed = ", ".join(shown(name, 80) for name in names[:3])
    strength = SIGNATURE if any(table.plan.labeled for table in tables) else LIKELY
    return Detection(f"{listed} has a column file_name", strength)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that all metadata tables of the source say.

    Raises:
        ImportRefused: there is none, or one cannot be read.
    """
    tables, refusals = _tables(source, answers)
    if refusals:
        raise next(iter(refusals.values()))
    if not tables:
        raise ImportRefused(
            "There is no metadata table of Hugging Face in the source",
            way_out="Add a metadata.csv with the columns file_name,label, or choose another format.",
        )
    classes: dict[str, str] = {}
    for table in tables:
        classes |= _class_names(source, table)
    found = label_by_tables(TITLE, tables, source.taken, answers, classes)
    named = {name for table in tables for name, _ in table.found}
    left = sum(name not in named for name in source.images)
    told = [f"{left:,} images that no metadata names are unlabeled"] if left else []
    if classes:
        told.append(f"labels are numbers; they take their names from beside them, such as {_example(classes)}")
    return replace(found, notices=(*found.notices, *told), classes=tuple(classes.values()))


def _tables(source: SourceView, answers: Answers) -> tuple[list[Table], Mapping[str, ImportRefused]]:
    names = source.called(*METADATA)
    if not names:
        return [], {}
    files = source.once("relative files", lambda: RelativeFiles(source.names))
    tables, refusals = tables_of(source, answers, names, files)
    kept = [table for table in tables if is_metadata(table)]
    if kept and FILE_COLUMN not in answers and not kept[0].rows.header[kept[0].plan.file].endswith("file_name"):
        column = next(header for header in kept[0].rows.header if header.endswith("file_name"))
        return _tables(source, {**answers, FILE_COLUMN: column})
    return kept, refusals


def _class_names(source: SourceView, table: Table) -> dict[str, str]:
    """The names of classes by their numbers, as texts; none where the labels are no numbers or nothing names them."""
    rows, plan = table.rows, table.plan
    if len(plan.labels) != 1:
        return {}
    cells = {cell.strip() for cell in rows.columns[plan.labels[0]]} - {""}
    if not cells or not all(cell.isdigit() for cell in cells):
        return {}
    column = rows.header[plan.labels[0]]
    for folder in _upwards(rows.folder):
        for base in ("dataset_info.json", "README.md"):
            name = f"{folder}/{base}".lstrip("/")
            if name in source.files and (names := _names_in(source, name, column)):
                classes = {str(number): one for number, one in enumerate(names)}
                return classes if cells <= classes.keys() else {}
    return {}


def _names_in(source: SourceView, name: str, column: str) -> list[str]:
    """The class names that a file gives a column."""
    if name.endswith(".json"):
        read = source.json(name)
    else:
        try:
            _, mark, rest = source.text(name).replace("\r\n", "\n").partition("---\n")
            read = yaml.safe_load(rest.partition("\n---")[0]) if mark else None
        except (ImportRefused, yaml.YAMLError, ValueError, RecursionError):
            read = None
    for features in _all_features(read):
        one = _feature(features, column)
        names = one.get("names") or _dict(_dict(one.get("dtype")).get("class_label")).get("names")
        if isinstance(names, dict) and all(str(number) in map(str, names) for number in range(len(names))):
            by_number = {str(number): str(word) for number, word in names.items()}
            names = [by_number[str(number)] for number in range(len(by_number))]
        if isinstance(names, list) and names:
            return list(map(str, names))
    return []


def _all_features(read: Any) -> list[Any]:
    """The descriptions of columns in a file about a data set, be it of one configuration or of several."""
    top = _dict(read)
    inside = top.get("dataset_info", top)
    several = inside if isinstance(inside, list) else [inside, *_dict(inside).values()]
    return [_dict(one)["features"] for one in several if "features" in _dict(one)]


def _feature(features: Any, column: str) -> dict[str, Any]:
    if isinstance(features, list):
        return next((_dict(one) for one in features if _dict(one).get("name") == column), {})
    return _dict(_dict(features).get(column))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _upwards(folder: str) -> Sequence[str]:
    folders = [folder]
    while folders[-1]:
        folders.append(folder_of(folders[-1]))
    return folders


def _example(classes: Mapping[str, str]) -> str:
    return ", ".join(f"{number} = {shown(name, 40)}" for number, name in list(classes.items())[:3])


FORMAT = Format("hf_imagefolder", TITLE, detect, read)
