"""Staged sources made by hand: names of images, and real small files beside them."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from engine.importers.formats import csv_table
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView
from engine.records.imports import Question

Answers = Mapping[str, str]
Read = Callable[[SourceView, Answers], Labeling]


def view(root: Path, files: Mapping[str, bytes], images: Sequence[str], refused: Collection[str] = ()) -> SourceView:
    """A source of these images, with these files beside them staged under `root`."""
    staged = {}
    for number, (name, data) in enumerate(files.items()):
        staged[name] = root / f"{number:03d}"
        staged[name].write_bytes(data)
    return SourceView(tuple(sorted(images)), frozenset({*images, *refused, *files}), staged)


def read_files(
    files: Mapping[str, bytes], images: Sequence[str], answers: Answers | None = None, read: Read = csv_table.read,
    refused: Collection[str] = (),
) -> Labeling:  # fmt: skip
    """What a format reads of such a source."""
    with tempfile.TemporaryDirectory() as root:
        return read(view(Path(root), files, images, refused), answers or {})


def read_text(
    text: str | bytes, images: Sequence[str], name: str = "labels.csv", answers: Answers | None = None
) -> Labeling:
    """What one table says."""
    return read_files({name: text.encode() if isinstance(text, str) else text}, images, answers)


def asked(labeling: Labeling, key: str) -> Question | None:
    """The question of this key."""
    return next((one for one in labeling.questions if one.key == key), None)


def doubts(labeling: Labeling) -> set[str]:
    """The keys of the questions that a person should look at."""
    return {one.key for one in labeling.questions if one.doubtful}
