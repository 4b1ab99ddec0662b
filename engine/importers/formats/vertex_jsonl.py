"""Labels from Vertex AI's JSON lines: `imageGcsUri`, `classificationAnnotation` or a list `classificationAnnotations`,
and the split as `aiplatform.googleapis.com/ml_use`.
"""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    damaged_files,
    line_files,
    no_such_file,
    objects,
    refuse_damaged,
    split_of_file,
    text_of,
)
from engine.importers.labeling import Labeling, split_of
from engine.importers.names import shown
from engine.importers.source_view import SourceView

_USE = "aiplatform.googleapis.com/ml_use"


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file."""
    names = [name for name, _ in line_files(source, _is_entry)]
    return Detection(f"{shown(names[0], 80)} has the key imageGcsUri", SIGNATURE) if names else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels and splits of all such files in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = line_files(source, _is_entry)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    boxes = 0
    for file, records in files:
        gathering.enter(file, split_of_file(file))
        for line, record in records:
            if not isinstance(record, dict) or not isinstance(record.get("imageGcsUri"), str):
                gathering.refuse(f"line {line}", "it has no imageGcsUri")
                continue
            name = gathering.image(record["imageGcsUri"], f"line {line}")
            if name is None:
                continue
            several = objects(record.get("classificationAnnotations"))
            for one in [*objects([record.get("classificationAnnotation")]), *several]:
                gathering.label(name, one.get("displayName"), f"line {line}")
            boxes += len(objects(record.get("boundingBoxAnnotations")))
            use = record.get("dataItemResourceLabels")
            split = split_of(text_of(use.get(_USE)) or "") if isinstance(use, dict) else ""
            if split:
                gathering.splits[name] = split
    if boxes:
        gathering.notices.append(f"left out: {counted(boxes, 'box', 'boxes')}")
    refuse_damaged(gathering, damaged_files(source, {name for name, _ in files}.__contains__))
    return gathering.labeling(FORMAT.title, answers)


def _is_entry(record: Record) -> bool:
    return isinstance(record.get("imageGcsUri"), str)


FORMAT = Format("vertex_jsonl", "Vertex AI JSON lines", detect, read)
