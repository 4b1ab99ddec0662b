"""Classes of a preview that a person should look at: their names or numbers say that they may be none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.importers.formats.tree_shape import GENERIC
from engine.importers.labeling import is_pool, split_of
from engine.importers.names import shown, twins
from engine.records.imports import ImportPreview

_DATE = re.compile(r"(\d{1,2}[-_. ]){0,2}(19|20)\d\d([-_. ]\d{1,2}|\d\d){0,2}")


def doubts_of(preview: ImportPreview) -> dict[str, str]:
    """Return why a class of a preview is doubtful, in words, by class; one that a model alone names is not."""
    said = {image.predicted.label for image in preview.found if image.predicted is not None}
    return {
        label: why for label, why in class_doubts(preview.counts).items() if preview.counts[label] or label not in said
    }


def class_doubts(counts: Mapping[str, int]) -> dict[str, str]:
    """Return why a class is doubtful, in words, by class; the others are left out.

    Args:
        counts: number of labeled images by class.
    """
    spelled = {name: group for group in twins(counts) for name in group}
    found = {}
    for label, count in counts.items():
        if count == 0:
            found[label] = "no image that can be read"
        elif _DATE.fullmatch(label):
            found[label] = "looks like a date"
        elif split_of(label):
            found[label] = "the name of a split, such as train and test"
        elif label.casefold() in GENERIC or is_pool(label):
            found[label] = "the name of a folder, rather than of what is on the images"
        elif label in spelled:
            others = ", ".join(f"“{shown(other, 40)}”" for other in spelled[label] if other != label)
            found[label] = f"almost the same as {others}"
        elif count == 1:
            found[label] = "a single image; a round needs 2"
    return found
