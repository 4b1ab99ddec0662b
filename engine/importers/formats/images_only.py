"""Images and no labels, whatever lies beside them."""

from __future__ import annotations

from engine.importers.formats.base import POSSIBLE, Answers, Detection, Format
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView


def detect(source: SourceView) -> Detection | None:
    """Return that any source can be taken so."""
    return Detection("any images can be taken without labels", POSSIBLE - 1)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return no labels."""
    return Labeling(FORMAT.title, {})


FORMAT = Format("images_only", "images only", detect, read)
