"""Labels from a Datumaro dataset: `annotations/<subset>.json` beside `images/<subset>/`.

The class of an item is that of its annotations of type label, or else the only one of its boxes and shapes. A subset
that is named as a split is one.
"""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    json_files,
    no_such_file,
    objects,
    records_of,
    split_of_file,
    text_of,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file."""
    names = [name for name, _ in json_files(source, _is_datumaro)]
    return Detection(f"{shown(names[0], 80)} has items and categories as Datumaro writes", SIGNATURE) if names else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all subsets in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_datumaro)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    shapes = 0
    for file, value in files:
        gathering.enter(file, split_of_file(file))
        subset = file.rpartition("/")[2].rpartition(".")[0]
        labels = value["categories"].get("label")
        listed = labels.get("labels") if isinstance(labels, dict) else None
        classes = [
            None if one is None else gathering.declare(one.get("name"), f"class {at}") for at, one in records_of(listed)
        ]
        for at, item in records_of(value["items"]):
            if item is None:
                gathering.refuse(f"item {at}", "it is no object")
                continue
            key = text_of(item.get("id")) or str(at)
            name = _image(gathering, item, f"item {shown(key, 200)}", subset)
            if name is None:
                continue
            annotations = [one for one in objects(item.get("annotations")) if "label_id" in one]
            whole = [one for one in annotations if one.get("type") == "label"]
            shapes += len(annotations) - len(whole)
            for one in whole or annotations:
                number = one["label_id"]
                if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(classes):
                    if number is not None:
                        gathering.refuse(f"item {shown(key, 200)}", "its label_id is not among the labels")
                elif (label := classes[number]) is not None:
                    gathering.labels[name].append(label)
    if shapes:
        gathering.notices.append(
            f"boxes and shapes count only where an image has no label of its own: {counted(shapes, 'annotation')}"
        )
    return gathering.labeling(FORMAT.title, answers)


def _is_datumaro(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("items"), list)
        and isinstance(value.get("categories"), dict)
        and ("dm_format_version" in value or "infos" in value)
    )


def _image(gathering: Gathering, item: Record, place: str, subset: str) -> str | None:
    """The image of an item: as its path names it, or else its id, which lacks the ending."""
    under = (f"images/{subset}", "images")
    for medium in (item.get("image"), item.get("media")):
        path = medium.get("path") if isinstance(medium, dict) else None
        if isinstance(path, str) and path:
            return gathering.image(path, place, under=under)
    return gathering.image(text_of(item.get("id")), place, under=under, stem=True)


FORMAT = Format("datumaro", "Datumaro", detect, read)
