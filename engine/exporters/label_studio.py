"""A zip that Label Studio imports: tasks with annotations and predictions, and the configuration that fits them.

    tasks.json              one task an image, with its original name and all columns in `data`
    config.xml              the labeling configuration: one choice of the classes
    images/<image>          to be unpacked below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT
    README.txt              how

A label that a person or an import gave is an annotation; a prediction, accepted or not, is a prediction with its score.
Annotations name no user: Label Studio refuses those it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from engine.exporters.bundle import Contents, Files, Layout, in_one_folder, json_list, write_lines, zipped
from engine.exporters.rows import ExportRow, cells

FROM_NAME, TO_NAME = "choice", "image"


def _annotate(contents: Contents, files: Files) -> None:
    write_lines(files, "tasks.json", json_list(_tasks(contents)))
    files.add("config.xml", _config(contents.classes).encode())
    files.add("README.txt", _HOW.format(name=contents.name).encode())


def _tasks(contents: Contents) -> Iterator[dict[str, Any]]:
    for row, path, split in zip(contents.rows, contents.placed.paths, contents.placed.splits, strict=True):
        task: dict[str, Any] = {
            "id": row.image_id,
            "data": {
                "image": f"/data/local-files/?d={quote(f'{contents.name}/{path}')}",
                **cells(row, path, split),
                "original_name": row.name,
            },
            "annotations": [],
            "predictions": [],
        }
        if row.label is not None and row.label_source != "pseudo":
            task["annotations"].append(_annotation(row))
        if row.label is not None and row.confidence is not None:
            task["predictions"].append(
                {"model_version": row.model or "unknown", "score": row.confidence, "result": [_choice(row)]}
            )
        elif row.label_source == "pseudo":
            task["predictions"].append({"model_version": row.model or "unknown", "result": [_choice(row)]})
        yield task


def _annotation(row: ExportRow) -> dict[str, Any]:
    seen = {} if row.seen_seconds is None else {"lead_time": row.seen_seconds}
    given = {} if row.reviewed_at is None else {"created_at": row.reviewed_at}
    return {
        "id": row.image_id, "result": [_choice(row)], "was_cancelled": False, "ground_truth": False, **seen, **given,
    }  # fmt: skip


def _choice(row: ExportRow) -> dict[str, Any]:
    return {
        "id": f"{row.image_id:010}", "type": "choices", "from_name": FROM_NAME, "to_name": TO_NAME,
        "value": {"choices": [row.label]},
    }  # fmt: skip


def _config(classes: list[str] | tuple[str, ...] | Any) -> str:
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    return (
        f'<View>\n  <Image name="{TO_NAME}" value="$image"/>\n'
        f'  <Choices name="{FROM_NAME}" toName="{TO_NAME}" choice="single" showInLine="true">\n{choices}'
        "  </Choices>\n</View>\n"
    )


_HOW = """\
1. Set LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/some/folder.
2. Unpack this zip into /some/folder/{name}, and start Label Studio.
3. In a new project, paste config.xml as the labeling interface (Code), and add /some/folder/{name}/images as source
   storage of the kind “Local files”, without synchronizing it.
4. Import tasks.json.
"""


LAYOUT = Layout("label_studio", lambda rows: in_one_folder(rows, "images"), _annotate)
write = zipped(LAYOUT)
