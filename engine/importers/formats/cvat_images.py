"""CVAT for images 1.1: an annotations.xml in which each image has tags, and perhaps shapes.

A tag is the image's label. An image with tags of several labels has none until a person decides; one without tags, but
with shapes of one class alone, has that class. Labels that the task declares are classes, also without an image.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from engine.errors import ImportRefused, first_line
from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.several import settle
from engine.importers.formats.text_lists import find_file, split_in
from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.names import label_flaw, natural_key, shown
from engine.importers.source_view import SourceView, folder_of
from engine.records.imports import Refusal

TITLE = "CVAT for images"
SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton"})
MAX_BYTES = 512 << 20
_HEAD = 4096


@dataclass
class _Read:
    """What the files say so far, by image name."""

    tags: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    shapes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    splits: dict[str, str] = field(default_factory=dict)
    classes: dict[str, None] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    spelled: set[str] = field(default_factory=set)
    tracks: int = 0


def detect(source: SourceView) -> Detection | None:
    """Return that there is an XML file of CVAT."""
    found = _files(source)
    return Detection(f"{shown(found[0], 80)} is an XML file of CVAT", SIGNATURE) if found else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files together; `answers` may hold "several".

    Raises:
        ImportRefused: there is none, or one is damaged, too large, or has entities.
    """
    files = _files(source)
    if not files:
        raise ImportRefused(
            "There is no XML file of CVAT in the source",
            way_out="Export “CVAT for images 1.1” from CVAT, or choose another format.",
        )
    said = _Read()
    for name in files:
        _read_file(source, name, said)
    by_shape = {name: tuple(dict.fromkeys(said.shapes[name])) for name in said.shapes if not said.tags.get(name)}
    one_class = {name: labels for name, labels in by_shape.items() if len(labels) == 1}
    many = {name: labels for name, labels in by_shape.items() if len(labels) > 1}
    labels, conflicts, questions = settle({**said.tags, **one_class}, answers)
    refused = [
        *said.refused,
        *(Refusal(shown(name), f"shapes of several classes ({_listed(labels)}); imported without a label")
          for name, labels in many.items()),
    ]  # fmt: skip
    found = Labeling(TITLE, labels, splits=said.splits)
    return Labeling(
        TITLE, labels, tuple(refused), conflicts, _notices(said, len(one_class), len(found.test)), said.splits,
        (*said.classes, *sorted(said.met - said.classes.keys(), key=natural_key)), questions=questions,
        used=frozenset(files), spelled=frozenset(said.spelled),
    )  # fmt: skip


def _files(source: SourceView) -> list[str]:
    def look() -> list[str]:
        return [name for name in source.ending(".xml") if _is_cvat(source.files[name])]

    return source.once("cvat files", look)


def _is_cvat(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD).replace(b"\0", b"")
    return b"<annotations" in head and b"<annotation>" not in head


def _read_file(source: SourceView, name: str, said: _Read) -> None:
    if source.files[name].stat().st_size > MAX_BYTES:
        raise ImportRefused(
            f"An XML file is larger than {MAX_BYTES >> 20} MB", value=shown(name), way_out="Export it in parts."
        )
    folder = folder_of(name)
    task_split = split_in(name.rpartition("/")[2])  # Datumaro writes a file for each
    try:
        for element, parents in _elements(source.files[name]):
            if element.tag == "name" and parents[-2:] == ["labels", "label"]:
                label = _label(element.text or "", said)
                if label_flaw(label) is None:
                    said.classes.setdefault(label)
            elif element.tag == "subset" and parents[-1:] == ["task"]:
                task_split = split_of(element.text or "") or task_split
            elif element.tag == "track":
                said.tracks += 1
            elif element.tag == "image":
                _take(source, folder, name, element, task_split, said)
    except DefusedXmlException as error:
        raise ImportRefused(
            "An XML file defines entities or a document type, which is not read", value=shown(name),
            way_out="Export it from CVAT again.",
        ) from error  # fmt: skip
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise ImportRefused(
            f"An XML file is damaged ({shown(first_line(error), 120)})", value=shown(name),
            way_out="Export it from CVAT again.",
        ) from error  # fmt: skip


def _elements(path: Path) -> Iterator[tuple[Any, list[str]]]:
    """Yield each element as it ends, with the tags it lies in; an image or a track is dropped when it was seen."""
    parents: list[Any] = []
    with path.open("rb") as file:
        for event, element in iterparse(file, ("start", "end"), forbid_dtd=True):
            if event == "start":
                parents.append(element)
                if len(parents) > 64:
                    raise ValueError("elements lie too deep inside each other")
                continue
            parents.pop()
            yield element, [one.tag for one in parents[-3:]]
            if len(parents) == 1:
                parents[0].clear()


def _take(source: SourceView, folder: str, file: str, element: Any, task_split: str, said: _Read) -> None:
    path = element.get("name", "")
    subset = element.get("subset", "")
    name, missing = _find(source, path, subset, folder)
    if name is not None and name not in source.taken:
        missing = "its image was refused"
    if missing is not None or name is None:
        said.refused.append(Refusal(f"{shown(file, 100)}: {shown(path, 200)}", missing or "there is no such file"))
        return
    if split := split_of(subset) or task_split:
        said.splits[name] = split
    for one in element:
        if one.tag != "tag" and one.tag not in SHAPES:
            continue
        label = _label(one.get("label", ""), said)
        flaw = label_flaw(label)
        if flaw is not None:
            said.refused.append(Refusal(shown(name), flaw))
            continue
        said.met.add(label)
        (said.tags if one.tag == "tag" else said.shapes)[name].append(label)


def _find(source: SourceView, path: str, subset: str, folder: str) -> tuple[str | None, str | None]:
    """Return the image that CVAT calls so: images of a project lie in a folder of their subset."""
    if subset:
        name, missing = find_file(source, f"images/{subset}/{path}", folder)
        if name is not None:
            return name, missing
        name, missing = find_file(source, f"{subset}/{path}", folder)
        if name is not None:
            return name, missing
    return find_file(source, path, folder)


def _label(text: str, said: _Read) -> str:
    said.spelled.add(text)
    return unicodedata.normalize("NFC", text)


def _listed(labels: tuple[str, ...]) -> str:
    return ", ".join(shown(label, 40) for label in labels[:5]) + " …" * (len(labels) > 5)


def _notices(said: _Read, one_class: int, test: int) -> tuple[str, ...]:
    notices = []
    if one_class:
        images = f"{one_class:,} {'image has' if one_class == 1 else 'images have'}"
        notices.append(f"{images} no tag and shapes of one class: the class is taken as the label")
    shaped: Mapping[str, list[str]] = said.shapes
    both = sum(name in said.tags for name in shaped)
    if both:
        notices.append(f"the shapes of {both:,} images that have a tag are not read")
    if said.tracks:
        notices.append(f"{said.tracks:,} tracks of videos are not read")
    if test:
        notices.append(about_test(test))
    return tuple(notices)


FORMAT = Format("cvat_images", TITLE, detect, read)
