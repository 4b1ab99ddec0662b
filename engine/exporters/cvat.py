"""A zip that CVAT reads as “CVAT for images 1.1”.

    annotations.xml         one <image> an image, with one <tag> where it has a label
    images/<image>

A tag's `source` says how far people were behind it, in CVAT's words: file (came with an import), manual, semi-auto (an
accepted prediction), auto (a prediction that nobody accepted). A task of CVAT has no splits: the table has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from xml.sax.saxutils import escape, quoteattr

from engine.exporters.bundle import Contents, Files, Layout, in_one_folder, write_lines, zipped

_SOURCE = {
    "imported": "file", "human": "manual", "confirmed": "manual", "accepted_in_batch": "semi-auto",
    "accepted_by_threshold": "semi-auto", "pseudo": "auto",
}  # fmt: skip


def _annotate(contents: Contents, files: Files) -> None:
    write_lines(files, "annotations.xml", (piece.encode() for piece in _xml(contents)))


def _xml(contents: Contents) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
    yield f"      <name>{escape(contents.name)}</name>\n      <size>{len(contents.rows)}</size>\n"
    yield "      <mode>annotation</mode>\n      <labels>\n"
    for name in contents.classes:
        yield f"        <label><name>{escape(name)}</name><type>tag</type><attributes></attributes></label>\n"
    yield "      </labels>\n    </task>\n  </meta>\n"
    for number, (row, path) in enumerate(zip(contents.rows, contents.placed.paths, strict=True)):
        name = quoteattr(PurePosixPath(path).name)
        image = f'  <image id="{number}" name={name} width="{row.width}" height="{row.height}">'
        if row.label is not None:
            source = _SOURCE[str(row.label_source)]
            image += f'\n    <tag label={quoteattr(row.label)} source="{source}"></tag>\n  '
        yield f"{image}</image>\n"
    yield "</annotations>\n"


LAYOUT = Layout("cvat", lambda rows: in_one_folder(rows, "images", by_stem=True), _annotate)
write = zipped(LAYOUT)
