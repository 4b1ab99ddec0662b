"""The tools that an export is named after, and what each of them reads of one: labels by content, as the tool has them.

To add one: a function in `here` for a tool that is installed beside Starling, or a script here and a line in `apart`
for one that is not; and a line in JUDGES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.benchmarks.judges import apart, here
from app.benchmarks.judges.export import Export, Said

__all__ = ["JUDGES", "Export", "Judge", "Said"]


@dataclass(frozen=True)
class Judge:
    """One tool that reads one format.

    Attributes:
        tool: as it is installed.
        module: its import name.
        read: returns what it reads of an export; a tool apart is run by the Python that is given.
        splits: whether it says in which split an image is.
        unlabeled: whether it says that an image has no label.
    """

    tool: str
    module: str
    read: Callable[[Export, Path], Said]
    splits: bool = True
    unlabeled: bool = True


def _here(tool: str, read: Callable[[Export], Said], **about: bool) -> Judge:
    return Judge(tool, tool, lambda export, python: read(export), **about)


_DATUMARO = ("datumaro", "datumaro")

JUDGES: Mapping[str, tuple[Judge, ...]] = {
    "imagefolder_zip": (_here("torchvision", here.class_folders, unlabeled=False),),
    "huggingface": (_here("datasets", here.hugging_face),),
    "csv": (_here("pandas", here.csv_table),),
    "parquet": (_here("pandas", here.parquet_table),),
    "jsonl": (_here("pandas", here.lines_table),),
    "excel": (_here("openpyxl", here.workbook), _here("pandas", here.sheet)),
    "fiftyone": (Judge("fiftyone", "fiftyone", apart.fiftyone, splits=False),),
    "label_studio": (Judge("label-studio-sdk", "label_studio_sdk", apart.label_studio, splits=False),),
    "cvat": (Judge(*_DATUMARO, apart.datumaro("cvat"), splits=False),),
    "cvat_imagenet": (Judge(*_DATUMARO, apart.datumaro_class_folders, splits=False),),
    "coco": (_here("pycocotools", here.coco), Judge(*_DATUMARO, apart.datumaro("coco_instances"))),
    "datumaro": (Judge(*_DATUMARO, apart.datumaro("datumaro")),),
    "ultralytics": (
        _here("torchvision", here.class_folders_of_one_order, unlabeled=False),
        Judge("ultralytics", "ultralytics", apart.ultralytics, unlabeled=False),
    ),
    "webdataset": (
        _here("webdataset", here.webdataset_shards),
        _here("datasets", here.hugging_face_shards),
    ),
}
"""By key of the format. CVAT is a server: Datumaro reads its formats."""
