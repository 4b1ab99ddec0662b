"""Labels from a FiftyOne image classification dataset: `labels.json` with `classes` and `labels`, and `data/`.

A key of `labels` is the path in `data/` without its ending. Its value is a class by number or name, an object with
`label` and perhaps `confidence`, a list of these, or null for an unlabeled image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    counted,
    damaged_files,
    json_files,
    no_such_file,
    refuse_damaged,
    split_of_file,
    text_of,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file, or one that by its name should be one and cannot be read."""
    names = [name for name, value in json_files(source, _is_labels)]
    if names:
        return Detection(f"{shown(names[0], 80)} has the keys classes and labels", SIGNATURE)
    damaged = damaged_files(source, _is_called_labels, ".json")
    return Detection(f"{shown(next(iter(damaged)), 80)} is called so", SIGNATURE) if damaged else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files in the source.

    Raises:
        ImportRefused: there is none, or none that can be read.
    """
    files = json_files(source, _is_labels)
    damaged = damaged_files(source, _is_called_labels, ".json")
    if not files:
        raise no_such_file(FORMAT.title, damaged)
    gathering = Gathering(source, [name for name, _ in files])
    scored = boxes = 0
    for file, value in files:
        gathering.enter(file, split_of_file(file))
        listed = value.get("classes")
        classes = [gathering.declare(one, f"class {at}") for at, one in enumerate(listed or ())]
        name_of = _namer(gathering, classes) if isinstance(listed, list) else gathering.class_name
        for key, target in value["labels"].items():
            name = gathering.image(key, key, under=("data",), stem=True)
            if name is None:
                continue
            for one in target if isinstance(target, list) else [target]:
                label = one
                if isinstance(one, dict):
                    if "label" not in one:
                        gathering.refuse(key, "it has no label")
                    label = one.get("label")
                    scored += one.get("confidence") is not None
                    boxes += "bounding_box" in one
                text = name_of(label, key)
                if text is not None:
                    gathering.labels[name].append(text)
    if scored:
        gathering.notices.append(
            f"taken as labels, though with a confidence as those of a model: {counted(scored, 'label')}"
        )
    if boxes:
        gathering.notices.append(f"an image takes the label that all its boxes share: {counted(boxes, 'box', 'boxes')}")
    refuse_damaged(gathering, damaged)
    return gathering.labeling(FORMAT.title, answers)


def _is_labels(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("labels"), dict):
        return False
    return "classes" in value and (value["classes"] is None or isinstance(value["classes"], list))


def _is_called_labels(name: str) -> bool:
    return name.rpartition("/")[2].casefold() == "labels.json"


def _namer(gathering: Gathering, classes: Sequence[str | None]) -> Callable[[object, str], str | None]:
    """Return what gives the class of a target: a number counts into the classes, a text is a name."""

    def name_of(target: object, key: str) -> str | None:
        if isinstance(target, bool) or not isinstance(target, int):
            return gathering.class_name(target, key)
        if not 0 <= target < len(classes):
            gathering.refuse(f"{key}: {text_of(target)}", "its class number is not among the classes")
            return None
        return classes[target]

    return name_of


FORMAT = Format("fiftyone", "FiftyOne image classification", detect, read)
