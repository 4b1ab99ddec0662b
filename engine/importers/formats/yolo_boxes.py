"""Labels from YOLO's text files of boxes: one file an image, a line a box that begins with the number of its class.

An image whose boxes are all of one class has it as its label; where they are of several, a person decides. The file is
called like its image and lies beside it, or in `labels` where the image lies in `images`. Numbers count from 0 and are
named by data.yaml, or by a list such as classes.txt. A file without a box is of an image that shows no class.
"""

from __future__ import annotations

import re

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.class_lists import ClassNames, counted_right, nearest_list
from engine.importers.formats.gathering import Gathering, counted, no_such_file
from engine.importers.formats.text_lists import stems_of
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView
from engine.importers.tables.encodings import decode

TITLE = "YOLO boxes"
MAX_BYTES = 4 << 20
_BOX = re.compile(r"(\d{1,9})((?:\s+[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?){4,})")
_LOOKED_AT = 200


def detect(source: SourceView) -> Detection | None:
    """Return that text files called like images hold numbers of classes and corners."""
    files = list(_files(source))
    looked_at = files[:: max(1, len(files) // _LOOKED_AT)]
    boxed = [name for name in looked_at if _numbers(source, name)]
    empty = sum(not source.files[name].stat().st_size for name in looked_at)
    if not boxed or 2 * (len(boxed) + empty) < len(looked_at):
        return None
    return Detection(f"{shown(boxed[0], 80)} is called like an image and holds boxes in it", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files together; `answers` may hold "several".

    Raises:
        ImportRefused: there is none.
    """
    files = _files(source)
    said = {name: _numbers(source, name) for name in files}
    if not any(said.values()):
        raise no_such_file(TITLE)
    numbers = {number for one in said.values() for number in one or ()}
    found = nearest_list(source, next(name for name, one in said.items() if one), numbers)
    known = ClassNames(found.names, found.file)
    if found.counted and max(numbers) == len(found.names):  # counted from 1, as YOLO does not
        known = counted_right(found, numbers, answers)
    gathering = Gathering(source, [*files, *([known.file] if known.file else [])])
    for label in known.names.values():
        gathering.declare(label, "its list of classes")
    without = 0
    for name, image in files.items():
        gathering.enter(name)
        own = said[name]
        if own is None:
            gathering.refuse("the file", "its lines are no numbers of a class and a box")
            continue
        without += not own
        for number in dict.fromkeys(own):
            if known.names and number not in known.names:
                gathering.refuse("the file", f"class {number} is not among the {len(known.names):,} that are named")
            else:
                gathering.label(image, known.names.get(number, str(number)), name)
    gathering.notices += known.notices
    gathering.notices.append(
        f"numbers are named by {shown(known.file)}" if known.names
        else "the classes are numbers: no data.yaml or list of class names, as classes.txt, is beside the files"
    )  # fmt: skip
    gathering.notices.append("the class of its boxes is an image's label; where they lie in it is not taken in")
    if without:
        gathering.notices.append(f"{counted(without, 'image')} without a box: unlabeled")
    return gathering.labeling(TITLE, answers)


def _files(source: SourceView) -> dict[str, str]:
    """The text files that are called like an image, each with that image."""

    def look() -> dict[str, str]:
        texts = source.ending(".txt")
        images = stems_of(source) if texts else {}
        found = {}
        for name in texts:
            beside = name.rpartition(".")[0]
            alike = next((images[one] for one in (beside, *_among_images(beside)) if one in images), ())
            if len(alike) == 1:
                found[name] = alike[0]
        return found

    return source.once("texts of boxes", look)


def _among_images(path: str) -> list[str]:
    """The paths that the image of a file in `labels` may have, without its ending."""
    parts = path.split("/")
    places = [at for at, part in enumerate(parts[:-1]) if part.casefold() == "labels"]
    return [
        "/".join(part for part in (*parts[:at], images, *parts[at + 1 :]) if part)
        for at in reversed(places)
        for images in ("images", "Images", "")
    ]


def _numbers(source: SourceView, name: str) -> list[int] | None:
    """The number of the class of each box in a file; None where it holds something else."""

    def look() -> list[int] | None:
        if source.files[name].stat().st_size > MAX_BYTES:
            return None
        lines = [line for one in decode(source.data(name)).text.splitlines() if (line := one.strip())]
        matches = [_BOX.fullmatch(line) for line in lines]
        return [int(match[1]) for match in matches if match is not None] if all(matches) else None

    return source.once(f"boxes {name}", look)


FORMAT = Format("yolo_boxes", TITLE, detect, read)
