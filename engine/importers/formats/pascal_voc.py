"""Labels from Pascal VOC: an XML file an image, with a class for each object in it, and the lists in ImageSets/Main.

An image whose objects are all of one class has it as its label; where they are of several, a person decides. Boxes are
not taken in. The image is the one that the file names, or else the one that is called like the file.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import Gathering, no_such_file
from engine.importers.formats.voc_lists import find_lists, read_lists
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

TITLE = "Pascal VOC"
MAX_BYTES = 4 << 20
_HEAD = 4096


def detect(source: SourceView) -> Detection | None:
    """Return that there are XML files of Pascal VOC, or lists of its classes."""
    if found := _files(source):
        return Detection(f"{shown(found[0], 80)} is an XML file of Pascal VOC", SIGNATURE)
    if found := [one.name for one in find_lists(source) if one.label]:
        return Detection(f"{shown(found[0], 80)} lists the images of a class of Pascal VOC", SIGNATURE)
    return None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files together; `answers` may hold "several" and "difficult".

    Raises:
        ImportRefused: there is none, or a list is no text.
    """
    files, lists = _files(source), find_lists(source)
    if not files and not any(one.label for one in lists):
        raise no_such_file(TITLE)
    gathering = Gathering(source, [*files, *(one.name for one in lists)])
    boxes = 0
    for name in files:
        gathering.enter(name)
        root = _parse(source, name, gathering)
        if root is None:
            continue
        image = _image(root, name, gathering)
        if image is None:
            continue
        for label in root.findall("object/name"):
            gathering.label(image, label.text or "", name)
        boxes += root.find("object/bndbox") is not None
    if lists:
        read_lists(gathering, lists, answers)
    if boxes:
        gathering.notices.append("the class of its objects is an image's label; where they lie in it is not taken in")
    return gathering.labeling(TITLE, answers)


def _files(source: SourceView) -> list[str]:
    def look() -> list[str]:
        return [name for name in source.ending(".xml") if _is_voc(source, name)]

    return source.once("voc files", look)


def _is_voc(source: SourceView, name: str) -> bool:
    with source.files[name].open("rb") as file:
        head = file.read(_HEAD).replace(b"\0", b"")
    return b"<annotation>" in head or b"<annotation " in head


def _parse(source: SourceView, name: str, gathering: Gathering) -> Any | None:
    """Return the file's outermost element; None where it cannot be read, which is listed."""
    if source.files[name].stat().st_size > MAX_BYTES:
        gathering.refuse("the file", f"it is larger than {MAX_BYTES >> 20} MB")
        return None
    try:
        return fromstring(source.data(name), forbid_dtd=True)
    except DefusedXmlException:
        gathering.refuse("the file", "it defines entities or a document type, which is not read")
    except (ParseError, ValueError, LookupError, RecursionError):
        gathering.refuse("the file", "it is damaged XML")
    return None


def _image(root: Any, file: str, gathering: Gathering) -> str | None:
    """Return the image that a file is about; None where there is none, which is listed."""
    said = (root.findtext("filename") or "").strip()
    name, why = gathering.find(said, stem=True) if said else (None, "it names no file")
    if name is None:
        own = file.rpartition("/")[2].rpartition(".")[0]
        name, _ = gathering.find(own, stem=True)
    if name is None:
        gathering.refuse(said or "the file", why)
    return name


FORMAT = Format("pascal_voc", TITLE, detect, read)
