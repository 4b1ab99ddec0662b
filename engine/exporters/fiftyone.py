"""A zip that FiftyOne reads as a FiftyOneImageClassificationDataset.

    data/<image>
    labels.json             {"classes": […], "labels": {name without suffix: position of the class, or null}}

A pseudo-label, and a label that came from a prediction, is {"label": position, "confidence": 0.93}.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from engine.exporters.bundle import Contents, Files, Layout, as_json, in_one_folder, write_lines, zipped


def _annotate(contents: Contents, files: Files) -> None:
    write_lines(files, "labels.json", _labels(contents))


def _labels(contents: Contents) -> Iterator[bytes]:
    number = {name: at for at, name in enumerate(contents.classes)}
    yield f'{{"classes": {as_json(contents.classes)},\n"labels": {{'.encode()
    before = "\n"
    for row, path in zip(contents.rows, contents.placed.paths, strict=True):
        target: object = None if row.label is None else number[row.label]
        if target is not None and row.confidence is not None:
            target = {"label": target, "confidence": row.confidence}
        yield f"{before}{as_json(PurePosixPath(path).stem)}: {as_json(target)}".encode()
        before = ",\n"
    yield b"\n}}\n"


LAYOUT = Layout("fiftyone", lambda rows: in_one_folder(rows, "data", by_stem=True), _annotate)
write = zipped(LAYOUT)
