"""Labels from Azure Machine Learning's JSON lines: `image_url` and `label`, a text or a list of several."""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    damaged_files,
    line_files,
    no_such_file,
    number,
    refuse_damaged,
    split_of_file,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file."""
    names = [name for name, _ in line_files(source, _is_entry)]
    return Detection(f"{shown(names[0], 80)} has the keys image_url and label", SIGNATURE) if names else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = line_files(source, _is_entry)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    boxes = unsure = 0
    for file, records in files:
        gathering.enter(file, split_of_file(file))
        for line, record in records:
            if not isinstance(record, dict) or not isinstance(record.get("image_url"), str):
                gathering.refuse(f"line {line}", "it has no image_url")
                continue
            name = gathering.image(record["image_url"], f"line {line}")
            if name is None:
                continue
            gathering.keep(name, record)
            said = record.get("label")
            for one in said if isinstance(said, list) else [said]:
                boxes += isinstance(one, dict)
                gathering.label(name, one.get("label") if isinstance(one, dict) else one, f"line {line}")
            unsure += _is_unsure(record.get("label_confidence"))
    if boxes:
        gathering.notices.append(f"an image takes the label that all its boxes share: {counted(boxes, 'box', 'boxes')}")
    if unsure:
        gathering.notices.append(
            f"taken as labels, though with a confidence below 1 as those of a model: {counted(unsure, 'record')}"
        )
    refuse_damaged(gathering, damaged_files(source, {name for name, _ in files}.__contains__))
    return gathering.labeling(FORMAT.title, answers)


def _is_entry(record: Record) -> bool:
    return isinstance(record.get("image_url"), str) and bool(
        record.keys() & {"label", "image_details", "label_confidence"}
    )


def _is_unsure(confidence: object) -> bool:
    scores = confidence if isinstance(confidence, list) else [confidence]
    return any(score is not None and score < 1 for score in map(number, scores))


FORMAT = Format("azure_ml", "Azure ML JSON lines", detect, read)
