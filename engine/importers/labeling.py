"""What a layout says of the images: the result that class_tree, csv_table and the sets by name all give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.records.imports import Refusal

TEST = frozenset({"test", "testing"})
"""Names of a test split, casefolded."""


@dataclass(frozen=True)
class Labeling:
    """Labels by image name; a name that is absent is unlabeled.

    Attributes:
        layout: the words a person reads: "class tree", "images + CSV", "images only", or a set's name.
        labels: label by image name.
        refused: rows and names that were not taken, with the reason.
        conflicts: by image name, the different labels it was given; it stays unlabeled.
        notices: what a person should know.
        test: names of the images that the source sets apart as its test split.
    """

    layout: str
    labels: Mapping[str, str]
    refused: tuple[Refusal, ...] = ()
    conflicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    test: frozenset[str] = frozenset()


def about_test(count: int) -> str:
    """Return what a person should know of a test split of so many images."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    return f"the labels of the test split are never trained on, they measure: {images}"
