"""Labels from Apple's CreateML: a JSON list of images with boxes; the class that all have in an image is its label."""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    has_object,
    json_files,
    no_such_file,
    objects,
    records_of,
    split_of_file,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

TITLE = "CreateML"
_NAMES = ("image", "imagefilename")
_LABELS = ("annotations", "annotation")


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a list."""
    files = json_files(source, _is_createml)
    return Detection(f"{shown(files[0][0], 80)} lists images with annotations", SIGNATURE) if files else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such lists together; `answers` may hold "several".

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_createml)
    if not files:
        raise no_such_file(TITLE)
    gathering = Gathering(source, [name for name, _ in files])
    for file, value in files:
        gathering.enter(file, split_of_file(file))
        for at, record in records_of(value):
            place = f"entry {at}"
            if record is None:
                gathering.refuse(place, "it is no object")
                continue
            image = gathering.image(next((record[key] for key in _NAMES if key in record), None), place)
            for one in objects(_boxes(record)) if image is not None else ():
                gathering.label(str(image), one.get("label"), place)
    gathering.notices.append("the class of its boxes is an image's label; where they lie in it is not taken in")
    return gathering.labeling(TITLE, answers)


def _boxes(record: Record) -> object:
    return next((record[key] for key in _LABELS if isinstance(record.get(key), list)), [])


def _is_createml(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return has_object(
        value,
        lambda one: (
            any(isinstance(one.get(key), str) for key in _NAMES)
            and any("label" in box and "coordinates" in box for box in objects(_boxes(one)))
        ),
    )


FORMAT = Format("createml", TITLE, detect, read)
