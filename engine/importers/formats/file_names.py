"""Labels from how the names of files begin: cat.12.jpg, great_dane_03.jpg. It is only offered, never taken by itself.

What stands before the number at the end is the label, if several images begin so and several beginnings are there.
Words of cameras and of what programs call any file (IMG, DSC, image, frame …) are none.
"""

from __future__ import annotations

import re
from collections import Counter

from engine.importers.formats.base import OFFERED, Answers, Detection, Format
from engine.importers.labeling import Labeling, split_of
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView

TITLE = "beginnings of the file names"
_NAME = re.compile(r"(?P<label>[^\W\d_](?:[^\d]*[^\W\d_])?)[\W_]*\d[\d\W_]*")
_ANY = frozenset(
    {"img", "imgp", "dsc", "dscn", "dscf", "dcim", "dji", "mvi", "mov", "vid", "gopr", "gp", "pxl", "p", "pic", "pict"}
    | {"image", "images", "photo", "picture", "bild", "foto", "frame", "scan", "scene", "shot", "screenshot", "video"}
    | {"file", "untitled", "page", "sample", "item", "id", "new", "copy", "camera", "cam", "capture", "clip", "view"}
    | {"whatsapp image", "signal", "export", "data", "mask", "label", "crop", "tile", "patch", "slice", "unlabeled"}
)


def detect(source: SourceView) -> Detection | None:
    """Return that most names begin with one of several words that stand before a number."""
    labels = _labels(source)
    counts = Counter(labels.values())
    if len(counts) < 2 or min(counts.values()) < 2 or 2 * len(labels) < len(source.images):
        return None
    listed = ", ".join(shown(one, 30) for one, _ in counts.most_common(4)) + " …" * (len(counts) > 4)
    return Detection(f"the names of files begin with {listed}", OFFERED)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the beginning of each name that has one as its label."""
    return Labeling(
        TITLE, _labels(source), notices=("labels are the beginnings of the file names; folder names do not count",)
    )


def _labels(source: SourceView) -> dict[str, str]:
    def look() -> dict[str, str]:
        found = {}
        for name in source.images:
            stem = name.rpartition("/")[2].rpartition(".")[0]
            match = _NAME.fullmatch(stem)
            label = "" if match is None else match["label"].strip()
            if len(label) > 1 and not (label.casefold() in _ANY or split_of(label) or label_flaw(label)):
                found[name] = label
        return found

    return source.once("beginnings of names", look)


FORMAT = Format("file_names", TITLE, detect, read)
