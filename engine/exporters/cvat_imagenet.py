"""A zip that CVAT reads as “ImageNet 1.0”: <class>/<image>, images without a label in no_label, and nothing else.

A text at the top would make CVAT read another format, and Datumaro takes nothing but images: the table, the manifest
and the rest lie in a zip beside it.

CVAT matches images by their names, so no two have the same one, in whatever class. It takes class names from the
folders; the table and the manifest have the true ones where a folder cannot be called so. A task of CVAT has no splits:
the table has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.exporters.bundle import Layout, Placed, split_of, unique_paths, zipped
from engine.exporters.names import class_folders
from engine.exporters.rows import ExportRow
from engine.exporters.split import SPLITS

NO_LABEL = "no_label"


def _place(rows: Sequence[ExportRow]) -> Placed:
    folders = class_folders(row.label for row in rows if row.label is not None)
    placed = [NO_LABEL if row.label is None else folders[row.label] for row in rows]
    notes = [
        f"The class {label} has the name of a split: Datumaro does not read a folder called so as a class."
        for label, folder in folders.items() if folder in SPLITS
    ] + [
        f"The class {label} has the name of a drive: Datumaro does not read a folder called so."
        for label, folder in folders.items() if len(folder) == 1 and folder.isascii() and folder.isalpha()
    ]  # fmt: skip
    paths = unique_paths(rows, placed, by_stem=True, among_all=True)
    return Placed(paths, [split_of(row) for row in rows], folders, notes)


LAYOUT = Layout("cvat_imagenet", _place, apart=True)
write = zipped(LAYOUT)
