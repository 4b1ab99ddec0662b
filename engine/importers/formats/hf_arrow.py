"""Tables with images in them, as the `datasets` library writes them: Arrow of save_to_disk, and Parquet of the hub.

The column of class numbers is the label, else one called so; it can be chosen. Names come with the table, or from
dataset_info.json beside it. The split is what the folder or the file is called.
"""

from __future__ import annotations

from dataclasses import replace

from engine.importers.containers import HUGGINGFACE
from engine.importers.formats.base import ONLY, SIGNATURE, Answers, Detection, Format
from engine.importers.formats.records import read_records, records_of
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView

TITLE = "Hugging Face tables with images"
_DESCRIBING = ("dataset_dict.json", "state.json", "dataset_info.json", "dataset_infos.json")


def detect(source: SourceView) -> Detection | None:
    """Return that images came in tables."""
    records = records_of(source, HUGGINGFACE)
    if not records:
        return None
    why = f"{len(records):,} images came in Arrow or Parquet tables"
    return Detection(why, ONLY if len(records) == len(source.images) else SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of the rows; `answers` may hold "column" and "several"."""
    labeling = read_records(source, records_of(source, HUGGINGFACE), TITLE, answers)
    return replace(labeling, used=labeling.used | frozenset(source.called(*_DESCRIBING)))


FORMAT = Format("hf_arrow", TITLE, detect, read)
