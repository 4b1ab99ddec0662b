"""Writes the curated set in formats other tools read.

To add one: one file, one line in EXPORTERS, one test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.exporters import (
    coco,
    cvat,
    cvat_imagenet,
    datumaro,
    excel,
    fiftyone,
    huggingface,
    imagefolder_zip,
    label_studio,
    tables,
    ultralytics,
    webdataset,
)
from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

__all__ = ["EXPORTERS", "ExportRow", "Exporter"]


class Write(Protocol):
    """Writes an export."""

    def __call__(
        self,
        rows: Sequence[ExportRow],
        root: Path,
        target: Path,
        manifest: Mapping[str, Any],
        entries: Sequence[LedgerEntry],
        progress: Progress,
        evidence: Mapping[str, bytes] = ...,
    ) -> None:
        """Leave the complete target or, with ExportError, nothing.

        Args:
            rows: what is exported.
            root: the project's folder.
            target: the file to write.
            manifest: what the project says of the export.
            entries: the ledger, oldest first.
            progress: told how far it is.
            evidence: of an audit of these labels, by file name; see `engine.exporters.evidence`.
        """


@dataclass(frozen=True, slots=True)
class Exporter:
    """One export format.

    `title` and `summary` are shown to the person, `suffix` ends the file name. measures: its tool wants images to
    measure with, so that a split is made where the images came in none.
    """

    key: str
    title: str
    summary: str
    suffix: str
    write: Write
    measures: bool = False


_ALL = (
    Exporter(
        "imagefolder_zip",
        "Image folders (zip)",
        "train/<class>/<image> with the original files, a table, a manifest and the whole label history.",
        ".zip",
        imagefolder_zip.write,
    ),
    Exporter(
        "huggingface",
        "Hugging Face (zip)",
        "Images with their metadata in each split's folder; load_dataset reads all rows and columns.",
        ".zip",
        huggingface.write,
    ),
    Exporter(
        "csv",
        "CSV table",
        "One row an image: name, label, where it comes from, who saw it, what it was accepted with.",
        ".csv",
        tables.write_csv,
    ),
    Exporter("parquet", "Parquet table", "The CSV table with its types kept.", ".parquet", tables.write_parquet),
    Exporter("jsonl", "JSON Lines table", "The CSV table, a JSON object a line.", ".jsonl", tables.write_jsonl),
    Exporter("excel", "Excel table", "The CSV table as a workbook; every text stays as it is.", ".xlsx", excel.write),
    Exporter(
        "fiftyone",
        "FiftyOne (zip)",
        "An image classification dataset: data and labels.json, with the confidence of predictions.",
        ".zip",
        fiftyone.write,
    ),
    Exporter(
        "label_studio",
        "Label Studio (zip)",
        "Tasks with annotations and predictions, the images, and the labeling configuration.",
        ".zip",
        label_studio.write,
    ),
    Exporter(
        "cvat",
        "CVAT for images 1.1 (zip)",
        "annotations.xml with a tag an image, and the images. CVAT has no splits.",
        ".zip",
        cvat.write,
    ),
    Exporter(
        "cvat_imagenet",
        "CVAT ImageNet (zip)",
        "A folder a class, images without a label in no_label. CVAT has no splits.",
        ".zip",
        cvat_imagenet.write,
    ),
    Exporter(
        "coco",
        "COCO (zip)",
        "Labels of whole images: each annotation's box is its image.",
        ".zip",
        coco.write,
    ),
    Exporter("datumaro", "Datumaro (zip)", "Annotations and images by split.", ".zip", datumaro.write),
    Exporter(
        "ultralytics",
        "Ultralytics classify (zip)",
        "train, val and test with a folder a class; a split is made where the images came in none.",
        ".zip",
        ultralytics.write,
        measures=True,
    ),
    Exporter(
        "webdataset",
        "WebDataset (zip of tars)",
        "Shards by split with image, class number and JSON of each sample.",
        ".zip",
        webdataset.write,
    ),
)

EXPORTERS: dict[str, Exporter] = {exporter.key: exporter for exporter in _ALL}
