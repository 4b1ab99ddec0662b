"""What a reading of a source says of its images: the result that every format gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.records.imports import GivenPrediction, Question, Refusal

SPLIT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn", "seg_train", "train2017", "trainset", "train_set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "seg_val", "val2017", "valset", "val_set"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "seg_test", "test2017", "testset", "test_set"), "test"),
}
"""What people call the splits, casefolded, and which of the three each is."""
UNLABELED = frozenset({"_unlabeled", "unlabeled", "no_label"})
"""Folders of images without a label, casefolded."""


def split_of(word: str) -> str:
    """Return which split a word names: "train", "val", "test", or "" for none."""
    return SPLIT_WORDS.get(word.strip().casefold(), "")


@dataclass(frozen=True)
class Labeling:
    """Labels by image name; a name that is absent is unlabeled.

    Attributes:
        layout: the words a person reads: "class tree", "images + CSV", "images only", or a set's name.
        labels: label by image name, as the source writes it.
        refused: rows and names that were not taken, with the reason.
        conflicts: by image name, the different labels it was given; it stays unlabeled.
        notices: what a person should know.
        splits: "train", "val" or "test" by image name, where the source says it.
        classes: declared by the source, some perhaps without an image, in its order, which the project keeps; none that
            are only met among the labels.
        columns: what further columns say, by header: text by image name; groups are among them.
        predictions: by image name, what a model said.
        questions: what a person may decide about this reading, with what was taken.
        used: names of the files that were read for it.
    """

    layout: str
    labels: Mapping[str, str]
    refused: tuple[Refusal, ...] = ()
    conflicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    predictions: Mapping[str, GivenPrediction] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    used: frozenset[str] = frozenset()

    @property
    def test(self) -> frozenset[str]:
        """The labeled images of a test split that lies beside another split: their labels only measure."""
        if len({split for name, split in self.splits.items() if name in self.labels}) < 2:
            return frozenset()
        return frozenset(name for name, split in self.splits.items() if split == "test" and name in self.labels)


def about_test(count: int) -> str:
    """Return what a person should know of a test split of so many images."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    return f"the labels of the test split are never trained on, they measure: {images}"
