"""Labels from the JSON files of LabelMe, one an image: its flags that are set, or the class that all its shapes have.

Flags are of the whole image; where no file has one that is set, the classes of the shapes count. An image of several is
left to decide. The image is the one that the file names, or else the one that is called like the file.
"""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import Gathering, Record, json_files, no_such_file, objects
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

TITLE = "LabelMe"


def detect(source: SourceView) -> Detection | None:
    """Return that there are such files."""
    files = json_files(source, _is_labelme)
    return Detection(f"{shown(files[0][0], 80)} has shapes and an imagePath", SIGNATURE) if files else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files together; `answers` may hold "several".

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_labelme)
    if not files:
        raise no_such_file(TITLE)
    gathering = Gathering(source, [name for name, _ in files])
    by_flags = any(_set_flags(value) for _, value in files)
    for name, value in files:
        gathering.enter(name)
        for flag in _flags(value) if by_flags else ():
            gathering.declare(flag, f"flag {flag}")
        image, why = gathering.find(value.get("imagePath"), stem=False)
        if image is None:
            image, _ = gathering.find(name.rpartition("/")[2].rpartition(".")[0], stem=True)
        if image is None:
            gathering.refuse(str(value.get("imagePath") or "the file"), why)
            continue
        labels = _set_flags(value) if by_flags else [one.get("label") for one in objects(value["shapes"])]
        for label in labels:
            gathering.label(image, label, name)
    if by_flags:
        gathering.notices.append("the flags that are set are the labels; shapes are not taken in")
    else:
        gathering.notices.append("the class of its shapes is an image's label; where they lie in it is not taken in")
    return gathering.labeling(TITLE, answers)


def _is_labelme(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("shapes"), list) and "imagePath" in value


def _flags(value: Record) -> list[str]:
    flags = value.get("flags")
    return [*flags] if isinstance(flags, dict) else []


def _set_flags(value: Record) -> list[str]:
    return [flag for flag in _flags(value) if value["flags"][flag] is True]


FORMAT = Format("labelme", TITLE, detect, read)
