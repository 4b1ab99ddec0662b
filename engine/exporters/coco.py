"""A zip in COCO's layout, of whole images: the box of each annotation is its image.

    annotations/instances_<split>.json
    images/<split>/<image>

An image has one annotation, with the class of the image; one without a label has none. All splits have the same
categories. Annotations carry what an export knows of the label, such as its source, beside COCO's own fields.
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

WHOLE = "Labels of whole images: the box of each annotation is the whole image, nothing was outlined."


def _annotate(contents: Contents, files: Files) -> None:
    number = {name: at for at, name in enumerate(contents.classes, 1)}
    categories = [{"id": at, "name": name, "supercategory": ""} for name, at in number.items()]
    folders = split_folders(contents.rows)
    for split, positions in contents.by_split().items():
        write_json(
            files, f"annotations/instances_{folders[split]}.json",
            {"info": {"description": WHOLE}, "licenses": [], "categories": categories},
            images=_images(contents, positions), annotations=_annotations(contents, positions, number),
        )  # fmt: skip


def _images(contents: Contents, positions: Sequence[int]) -> Iterator[dict[str, Any]]:
    for at in positions:
        row, name = contents.rows[at], PurePosixPath(contents.placed.paths[at]).name
        yield {
            "id": row.image_id, "file_name": name, "width": row.width, "height": row.height, "license": 0,
            "original_name": row.name,
        }  # fmt: skip


def _annotations(contents: Contents, positions: Sequence[int], number: dict[str, int]) -> Iterator[dict[str, Any]]:
    for at in positions:
        row = contents.rows[at]
        if row.label is not None:
            yield {
                "id": row.image_id, "image_id": row.image_id, "category_id": number[row.label],
                "bbox": [0, 0, row.width, row.height], "area": row.width * row.height, "segmentation": [],
                "iscrowd": 0, **({} if row.confidence is None else {"score": row.confidence}), "attributes": told(row),
            }  # fmt: skip


LAYOUT = Layout("coco", lambda rows: in_split_folders(rows, "images/", by_stem=True), _annotate)
write = zipped(LAYOUT)
