"""Whether what goes out in a format comes back: a project's labels, splits, classes and names of files, compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from app.benchmarks.judges.export import Export, Said, unescaped
from engine.exporters.evidence import TABLES, open_export
from engine.images.files import original_path
from engine.importers.names import shown, tidy_label
from engine.importers.scan import ImportSource
from engine.project.opened import Project

_LISTED = 3


@dataclass(frozen=True)
class Carried:
    """What of a project comes back from an export.

    Attributes:
        reading: what the import takes the export for, a key of FORMATS.
        splits: of "all" images, of the "labeled" ones, or "none".
        classes: "all" in their order, or those "used".
        folders: whether a class is said by the name of its folder alone, which cannot be any text.
    """

    reading: str
    splits: str = "all"
    classes: str = "used"
    folders: bool = False


CARRIED: Mapping[str, Carried] = {
    "imagefolder_zip": Carried("hf_imagefolder", splits="labeled"),
    "huggingface": Carried("hf_imagefolder"),
    "csv": Carried("table"),
    "parquet": Carried("table"),
    "jsonl": Carried("table"),
    "excel": Carried("table"),
    "fiftyone": Carried("fiftyone", splits="none", classes="all"),
    "label_studio": Carried("label_studio", classes="all"),
    "cvat": Carried("cvat_images", splits="none", classes="all"),
    "cvat_imagenet": Carried("class_tree", splits="none", folders=True),
    "coco": Carried("coco", classes="all"),
    "datumaro": Carried("datumaro", classes="all"),
    "ultralytics": Carried("table", splits="labeled"),
    "webdataset": Carried("webdataset", classes="all"),
}
"""By key of the export."""


@dataclass(frozen=True)
class Content:
    """What of a project must come back, by SHA-256 of each image.

    Attributes:
        labels: of each image, None without one.
        splits: as its source says, of those of which it does.
        names: all names that it was imported under.
        classes: in their order.
    """

    labels: Mapping[str, str | None]
    splits: Mapping[str, str]
    names: Mapping[str, frozenset[str]]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What the table of an export says, by SHA-256 of each image.

    said: its label and split. names: all that it was imported under.
    """

    said: Said
    names: Mapping[str, frozenset[str]]


def content(project: Project) -> Content:
    """Return what of a project must come back."""
    items, table, store = project.workspace.items(), project.store.label_table(), project.store
    shas = {item.id: item.sha256 for item in items}
    others = store.other_names()
    splits = store.given_splits() | dict.fromkeys(store.test_split().tolist(), "test")
    return Content(
        {shas[one]: label for one, label in zip(table.image_ids.tolist(), table.label.tolist(), strict=True)},
        {shas[one]: split for one, split in splits.items()},
        {item.sha256: frozenset((item.name, *others.get(item.id, ()))) for item in items},
        tuple(store.classes()),
    )


def told_by(file: Path) -> Told:
    """Return what the table of an export says, be it the export itself or in its zip or in the one beside it."""
    if file.suffix == ".zip":
        with open_export(file) as files:
            data = next(data for name in TABLES if (data := files.read(name)) is not None)
        records: Iterable[Mapping[Any, Any]] = csv.DictReader(io.StringIO(data.decode(), newline=""))
        name = "original_name"
    else:
        records, name = _frame(file).to_dict("records"), "file_name"
    said: Said = {}
    names: dict[str, frozenset[str]] = {}
    for row in records:
        cells = {key: None if pd.isna(cell) or cell == "" else cell for key, cell in row.items()}
        said[row["sha256"]] = (cells["label"], cells["split"] or "")
        names[row["sha256"]] = frozenset((row[name], *json.loads(cells["other_names"] or "[]")))
    return Told(said, names)


def _frame(file: Path) -> pd.DataFrame:
    if file.suffix == ".csv":
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    if file.suffix == ".jsonl":
        return pd.read_json(file, lines=True, dtype=False)
    return pd.read_excel(file, dtype=object, keep_default_na=False, na_values=[""]).map(unescaped)


def source_of(file: Path, root: Path, folder: Path) -> ImportSource:
    """Return an export as a person imports it again: a zip as it is, a table beside the images under their names.

    Args:
        file: the export.
        root: of the project that it came from.
        folder: where the images are linked to and the table is moved, for a table; it is made.
    """
    if file.suffix == ".zip":
        return ImportSource("zip", file)
    with Project.open(root, read_only=True) as project:
        for item in project.workspace.items():
            path = folder / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(original_path(root, item.sha256))
    (folder / f"exported{file.suffix}").hardlink_to(file)
    return ImportSource("folder", folder)


def not_told(carried: Carried, told: Told, before: Content) -> Iterator[str]:
    """Yield in words what the table of an export does not say as the project has it."""
    yield from unlike("label", before.labels, {sha: label for sha, (label, _) in told.said.items()})
    yield from unlike("name", before.names, told.names)
    splits = {
        sha: split for sha, split in before.splits.items()
        if carried.splits != "labeled" or before.labels[sha] is not None
    }  # fmt: skip
    yield from unlike("split", splits, {sha: told.said.get(sha, (None, ""))[1] for sha in splits})


def not_back(carried: Carried, export: Export, before: Content, after: Content, told: Told) -> Iterator[str]:
    """Yield in words what did not come back as it was.

    Args:
        carried: what should.
        export: that was imported.
        before: the project that was exported.
        after: the project that it was imported into.
        told: what its table says; an image of no split may lie in one where a format needs it.
    """
    labels: Mapping[str, str | None] = before.labels
    if carried.folders:
        folder_of = {label: tidy_label(folder) for folder, label in export.class_of.items()}
        labels = {sha: None if label is None else folder_of[label] for sha, label in labels.items()}
    yield from unlike("label", labels, after.labels)
    if carried.splits != "none":
        wanted = {
            sha: split for sha, (label, split) in told.said.items() if label is not None or carried.splits == "all"
        }
        yield from unlike("split", wanted, {sha: after.splits.get(sha, "") for sha in wanted})
    classes = before.classes if carried.classes == "all" else {label for label in labels.values() if label is not None}
    if missing := set(classes) - set(after.classes):
        yield f"missing classes: {_some(missing)}"
    if more := set(after.classes) - set(classes):
        yield f"classes too many: {_some(more)}"
    if carried.classes == "all" and not missing and not more and before.classes != after.classes:
        at = next(at for at, (one, other) in enumerate(zip(before.classes, after.classes, strict=True)) if one != other)
        yield f"another order of classes: “{before.classes[at]}” was at {at + 1}, now “{after.classes[at]}” is"


def unlike(what: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words how values by image differ from those wanted: images missing, too many, other values."""
    if missing := len(wanted.keys() - found.keys()):
        yield f"no {what} of {missing:,} images"
    if more := len(found.keys() - wanted.keys()):
        yield f"a {what} of {more:,} unknown images"
    other = [(wanted[sha], found[sha]) for sha in wanted if sha in found and wanted[sha] != found[sha]]
    if other:
        examples = "; ".join(f"{_shown(one)} → {_shown(now)}" for one, now in dict.fromkeys(other[:_LISTED]))
        yield f"{len(other):,} {what}s differ: {examples}"


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return _some(value)
    return "none" if value in (None, "") else f"“{shown(str(value), 60)}”"


def _some(values: Iterable[str]) -> str:
    listed = sorted(values)
    return ", ".join(f"“{shown(one, 60)}”" for one in listed[:_LISTED]) + " …" * (len(listed) > _LISTED)
