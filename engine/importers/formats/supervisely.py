"""Labels from Supervisely: `ann/1.jpg.json` for each `img/1.jpg`, with tags of the image, and objects in it.

Where an image has a tag, tags are the labels; else the class that all objects of an image have. An image of several is
left to decide.
"""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import Gathering, Record, json_files, no_such_file, objects
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

TITLE = "Supervisely"


def detect(source: SourceView) -> Detection | None:
    """Return that there are such files."""
    files = json_files(source, _is_annotation)
    return Detection(f"{shown(files[0][0], 80)} has tags and objects", SIGNATURE) if files else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files together; `answers` may hold "several".

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_annotation)
    if not files:
        raise no_such_file(TITLE)
    meta = [name for name, _ in json_files(source, _is_meta)]
    gathering = Gathering(source, [*(name for name, _ in files), *meta])
    by_tags = any(_tags(value) for _, value in files)
    for name, value in files:
        gathering.enter(name)
        folder, _, base = name.rpartition("/")
        stem = base.rpartition(".")[0]
        above = folder.rpartition("/")[0]
        beside = f"{above}/img/{stem}" if above else f"img/{stem}"
        image, why = (beside, "") if beside in source.taken else gathering.find(stem, stem="." not in stem)
        if image is None:
            gathering.refuse(stem, why)
            continue
        for label in _tags(value) if by_tags else [one.get("classTitle") for one in objects(value["objects"])]:
            gathering.label(image, label, name)
    if by_tags:
        gathering.notices.append("the tags of images are the labels; objects are not taken in")
    else:
        gathering.notices.append("the class of its objects is an image's label; where they lie in it is not taken in")
    return gathering.labeling(TITLE, answers)


def _tags(value: Record) -> list[object]:
    return [one.get("name") for one in objects(value["tags"])]


def _is_annotation(value: object) -> bool:
    lists = isinstance(value, dict) and isinstance(value.get("tags"), list) and isinstance(value.get("objects"), list)
    return lists and isinstance(value, dict) and isinstance(value.get("size"), dict)


def _is_meta(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("classes"), list) and isinstance(value.get("tags"), list)


FORMAT = Format("supervisely", TITLE, detect, read)
