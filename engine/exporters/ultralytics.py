"""A zip that Ultralytics trains a classifier on: {train,val,test}/<class>/<image>, images without a label apart.

Ultralytics numbers classes by the sorted folders of each split, so every split has the folders of all classes, also
empty ones: otherwise a class that is missing in one would shift the numbers of those after it. It needs a val or a test
folder: a split is made where the images came without one; see `engine.exporters.split`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.exporters.bundle import Layout, Placed, in_class_folders, zipped
from engine.exporters.rows import ExportRow
from engine.exporters.split import SPLITS, usual


def _place(rows: Sequence[ExportRow]) -> Placed:
    rows = [replace(row, split=usual(row.split)) for row in rows]
    placed = in_class_folders(rows)
    used = {tuple(path.split("/")[:2]) for path in placed.paths}
    splits = sorted({split for split in placed.splits if split})
    empty = [
        f"{split}/{folder}" for split in splits for folder in placed.class_folders.values()
        if split in SPLITS and (split, folder) not in used
    ]  # fmt: skip
    notes = [*placed.notes]
    if strange := [split for split in splits if split not in SPLITS]:
        notes.append(f"Ultralytics reads train, val and test; it leaves out {', '.join(strange)}.")
    return replace(placed, notes=notes, empty=empty)


LAYOUT = Layout("ultralytics", _place)
write = zipped(LAYOUT)
