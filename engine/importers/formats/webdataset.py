"""WebDataset: samples in tar shards, one after the other; `000000.png` with `000000.cls`, `.json` or `.txt` beside it.

Which of these fields is the label can be chosen. Numbers are named by a list of classes beside the shards or in them.
An unpacked shard, with `.cls` files beside the images, is read the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.importers.containers import NO_NAMES, WEBDATASET
from engine.importers.formats.base import ONLY, SIGNATURE, Answers, Detection, Format
from engine.importers.formats.records import read_records, records_of
from engine.importers.formats.text_lists import stems_of
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView

TITLE = "WebDataset shards"
_MOST_BYTES = 4096


def detect(source: SourceView) -> Detection | None:
    """Return that images came in shards, or have `.cls` files beside them."""
    records = records_of(source, WEBDATASET)
    if records:
        why = f"{len(records):,} images came as samples of tar shards"
        all_flat = len(records) == len(source.images) and not any(record["folder"] for record in records.values())
        return Detection(why, ONLY if all_flat else SIGNATURE)
    beside, _ = _beside(source)
    return Detection(f"{len(beside):,} images have a .cls file beside them", SIGNATURE) if beside else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of the samples; `answers` may hold "column" and "several"."""
    beside, used = _beside(source)
    labeling = read_records(source, {**beside, **records_of(source, WEBDATASET)}, TITLE, answers)
    return replace(labeling, used=labeling.used | used)


def _beside(source: SourceView) -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
    """Return a record of each image that has a `.cls` file beside it, and the names of these files."""

    def look() -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
        found: dict[str, Mapping[str, Any]] = {}
        files = source.ending(".cls")
        for name in files:
            with source.files[name].open("rb") as file:
                text = file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
            for image in stems_of(source).get(name[: -len(".cls")], ()):
                found[image] = {"kind": WEBDATASET, "folder": "", "row": {"cls": text}, "names": NO_NAMES}
        return found, frozenset(files) if found else frozenset()

    return source.once("cls files", look)


FORMAT = Format("webdataset", TITLE, detect, read)
