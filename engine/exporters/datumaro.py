"""A zip in the format of Datumaro.

    annotations/<split>.json
    images/<split>/<image>

An item's id is its name without the suffix; a label carries what an export knows of it as attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from engine.exporters.bundle import (
    Contents,
    Files,
    Layout,
    in_split_folders,
    split_folders,
    write_json,
    zipped,
)
from engine.exporters.provenance import told

_IMAGES = 2  # what Datumaro calls a data set of images


def _annotate(contents: Contents, files: Files) -> None:
    number = {name: at for at, name in enumerate(contents.classes)}
    labels = [{"name": name, "parent": "", "attributes": []} for name in contents.classes]
    head = {
        "dm_format_version": "1.0", "media_type": _IMAGES, "infos": {},
        "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
    }  # fmt: skip
    folders = split_folders(contents.rows)
    for split, positions in contents.by_split().items():
        write_json(
            files, f"annotations/{folders[split]}.json", head, items=_items(contents, positions, number)
        )  # fmt: skip


def _items(contents: Contents, positions: Sequence[int], number: dict[str, int]) -> Iterator[dict[str, Any]]:
    for at in positions:
        row, path = contents.rows[at], PurePosixPath(contents.placed.paths[at])
        annotations = []
        if row.label is not None:
            annotations.append(
                {"id": 0, "type": "label", "attributes": told(row), "group": 0, "label_id": number[row.label]}
            )
        yield {
            "id": path.stem, "annotations": annotations, "attr": {"original_name": row.name},
            "image": {"path": path.name, "size": [row.height, row.width]},
        }  # fmt: skip


LAYOUT = Layout("datumaro", lambda rows: in_split_folders(rows, "images/", by_stem=True), _annotate)
write = zipped(LAYOUT)
