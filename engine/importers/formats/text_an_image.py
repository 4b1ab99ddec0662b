"""A text file an image: beside `0001.jpg` lies `0001.txt`, which holds the name of its class, or several, one a line.

Texts that differ from image to image are captions, and lines of numbers are boxes; neither is read as labels. A number
alone is named by a list of classes (classes.txt …) above the images.
"""

from __future__ import annotations

import re
from collections import Counter

from engine.errors import ImportRefused
from engine.importers.formats.base import POSSIBLE, Answers, Detection, Format
from engine.importers.formats.class_lists import NOTHING, names_of_numbers
from engine.importers.formats.gathering import Gathering
from engine.importers.formats.text_lists import stems_of
from engine.importers.labeling import Labeling
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView

TITLE = "text file an image"
_MOST_BYTES = 4096
_MOST_LINES = 20
_LOOKED_AT = 2_000
_BOX = re.compile(r"\S+(\s+[-+]?\d*\.?\d+){4,}")
_NUMBER = re.compile(r"\d{1,9}")
_FEW = 4
"""So many images may each have a class of their own."""


def detect(source: SourceView) -> Detection | None:
    """Return that most text files called like an image hold short texts that repeat."""
    files = texts_of_images(source)
    if not files:
        return None
    looked_at = list(files)[:_LOOKED_AT]
    said = [_lines(source, name) for name in looked_at]
    told = [lines for lines in said if lines is not None]
    counts = Counter(line for lines in told for line in lines)
    repeats = 2 * len(counts) <= counts.total() or counts.total() <= _FEW
    if not counts or 2 * len(told) < len(said) or not repeats:
        return None
    return Detection(f"{shown(looked_at[0], 80)} is called like an image and holds a short text", POSSIBLE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return what these files say; `answers` may hold "several" and "count_from".

    Raises:
        ImportRefused: there is none.
    """
    files = texts_of_images(source)
    if not files:
        raise ImportRefused(
            "No text file is called like an image", way_out="Put 1.txt beside 1.jpg, or choose another format."
        )
    said = {name: _lines(source, name) for name in files}
    numbers = all(_NUMBER.fullmatch(line) for lines in said.values() for line in lines or ())
    known = NOTHING
    if numbers:
        every = {int(line) for lines in said.values() for line in lines or ()}
        known = names_of_numbers(source, next(iter(files)), every, answers)
    names = known.names
    gathering = Gathering(source, list(files))
    for name, image in files.items():
        gathering.enter(name)
        lines = said[name]
        if lines is None:
            gathering.refuse("the file", "it holds no class name: a long text, boxes, or another encoding than UTF-8")
            continue
        for line in lines:
            if names and int(line) not in names:
                gathering.refuse("the file", f"class {line} is not among the {len(names):,} that are named")
            else:
                gathering.label(image, names[int(line)] if names else line, name)
    gathering.questions += known.questions
    if names:
        gathering.notices += [*known.notices, f"the names of the classes are read from {shown(known.file)}"]
        gathering.classes.update(dict.fromkeys(names.values()))
    return gathering.labeling(TITLE, answers)


def texts_of_images(source: SourceView) -> dict[str, str]:
    """Return, by text file that is called like one image, that image."""

    def look() -> dict[str, str]:
        texts = source.ending(".txt")
        images = stems_of(source) if texts else {}
        pairs = ((name, images.get(name.rpartition(".")[0], ())) for name in texts)
        return {name: alike[0] for name, alike in pairs if len(alike) == 1}

    return source.once("texts of images", look)


def _lines(source: SourceView, name: str) -> list[str] | None:
    """The class names that a file holds; None where it holds something else."""
    if source.files[name].stat().st_size > _MOST_BYTES:
        return None
    try:
        lines = [line for one in source.text(name).splitlines() if (line := one.strip())]
    except ImportRefused:
        return None
    fits = len(lines) <= _MOST_LINES and not any(_BOX.fullmatch(line) or label_flaw(line) for line in lines)
    return lines if fits else None


FORMAT = Format("text_an_image", TITLE, detect, read)
