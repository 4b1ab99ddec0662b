"""Vertex AI's import file for image classification: `[set,]gs://bucket/path,label[,label…]` and no header.

The set is TRAINING, VALIDATION, TEST or UNASSIGNED. Of an address the longest ending that exists in the source counts.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from engine.errors import ImportRefused
from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView
from engine.importers.tables.encodings import decode
from engine.importers.tables.load import cell_files
from engine.importers.tables.rows import Row, place
from engine.importers.tables.text import about_encoding, check_size, encoding_key, parsed
from engine.records.imports import Question, Refusal

TITLE = "Vertex AI CSV"
SETS = frozenset({"train", "training", "validation", "test", "unassigned", ""})
_PEEKED = 20


def is_vertex(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first rows of a table are ones that Vertex AI imports for classification: a set or none, an
    address in Google's storage, and labels; not corners of boxes."""
    if not rows:
        return False
    for row in rows:
        at = _address_at(row)
        if at is None or (at == 1 and row[0].strip().casefold() not in SETS):
            return False
        if "" in row[at + 2 :] and any(map(_is_share, row[at + 2 :])):
            return False
    return True


def detect(source: SourceView) -> Detection | None:
    """Return that a CSV has addresses in Google's storage where Vertex AI wants them."""
    names = vertex_names(source)
    if not names:
        return None
    listed = ", ".join(shown(name, 80) for name in names[:3])
    return Detection(f"{listed} has rows of a set, a gs:// address and a label", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that all such files of the source say; images with several labels stay unlabeled.

    Raises:
        ImportRefused: there is no such file, or one cannot be read.
    """
    names = vertex_names(source)
    if not names:
        raise ImportRefused(
            "There is no CSV of Vertex AI in the source",
            way_out="Its rows are “set,gs://bucket/path,label”; choose another format.",
        )
    files = cell_files(source)
    given: dict[str, dict[str, None]] = defaultdict(dict)
    splits: dict[str, str] = {}
    refused: list[Refusal] = []
    questions: list[Question] = []
    spelled: set[str] = set()
    notices = [f"labels are read from {', '.join(map(shown, names))}; folder names do not count"]
    for table in names:
        data = source.data(table)
        check_size(table, len(data))
        decoded = decode(data, answers.get(encoding_key(table), ""))
        asked, told = about_encoding(table, decoded)
        questions += asked
        notices += told
        for line, row in parsed(table, decoded.text, ","):
            at = _address_at(row)
            if at is None:
                refused.append(Refusal(place(table, line), "there is no gs:// address in this row"))
                continue
            labels = [label for label in row[at + 1 :] if label.strip()]
            name, _, why = files.find(row[at], table.rpartition("/")[0])
            flaw = next((one for label in labels if (one := label_flaw(label)) is not None), None)
            if flaw is not None or name is None or name not in source.taken:
                refused.append(Refusal(place(table, line, row[at]), flaw or why or "its image was refused"))
                continue
            spelled.update(labels)
            given[name].update((unicodedata.normalize("NFC", label), None) for label in labels)
            if split := split_of(row[0]) if at else "":
                splits[name] = split
    many = {name: tuple(labels) for name, labels in given.items() if len(labels) > 1}
    single = {name: next(iter(labels)) for name, labels in given.items() if len(labels) == 1}
    found = Labeling(
        TITLE, single, tuple(refused), many, splits=splits, used=frozenset(names), spelled=frozenset(spelled)
    )
    if many:
        notices.append(f"{len(many):,} images have several labels and stay unlabeled")
    if found.test:
        notices.append(about_test(len(found.test)))
    return replace(found, notices=tuple(notices), questions=tuple(questions))


def vertex_names(source: SourceView) -> list[str]:
    """Return the names of the files of this format."""

    def look() -> list[str]:
        names = []
        for name in source.ending(".csv"):
            try:
                head = [row for _, row in _first(source, name)]
            except ImportRefused:
                continue
            if is_vertex(head):
                names.append(name)
        return names

    return source.once("vertex names", look)


def _first(source: SourceView, name: str) -> list[Row]:
    with source.files[name].open("rb") as file:
        start = file.read(1 << 16)
    whole = start if len(start) < 1 << 16 else start.rpartition(b"\n")[0]
    return [row for row, _ in zip(parsed(name, decode(whole).text, ","), range(_PEEKED), strict=False)]


def _address_at(row: Sequence[str]) -> int | None:
    return next((at for at in (0, 1) if len(row) > at and row[at].strip().startswith("gs://")), None)


def _is_share(cell: str) -> bool:
    return cell.strip().replace(".", "", 1).isdigit()


FORMAT = Format("vertex_csv", TITLE, detect, read)
