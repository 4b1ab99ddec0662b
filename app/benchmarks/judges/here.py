"""What tools read of an export that are installed beside Starling. They are imported when they are asked."""

from __future__ import annotations

import contextlib
import gc
import io
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from app.benchmarks.judges.export import Export, Said, only, sha, unescaped
from engine.exporters.split import SPLITS

_IMAGES = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "avif")


def class_folders(export: Export) -> Said:
    """Return what torchvision's ImageFolder reads of train, val and test."""
    return {digest: said for _, found in _splits(export) for digest, said in found.items()}


def class_folders_of_one_order(export: Export) -> Said:
    """Return what Ultralytics reads by its own rule: an ImageFolder each split, empty folders allowed.

    Raises:
        ValueError: there is nothing to train on or to measure with, or a class has another number in another split.
    """
    splits = _splits(export)
    if not (export.folder / "train").is_dir() or len(splits) < 2:
        raise ValueError("it wants train, and val or test")
    if len({classes for classes, _ in splits}) > 1:
        raise ValueError("the classes of two splits have different numbers")
    return {digest: said for _, found in splits for digest, said in found.items()}


def _splits(export: Export) -> list[tuple[tuple[str, ...], Said]]:
    """The folders of each split in the order that numbers them, and what they say."""
    from torchvision.datasets import ImageFolder

    found: list[tuple[tuple[str, ...], Said]] = []
    for split in SPLITS:
        if (export.folder / split).is_dir():
            data = ImageFolder(str(export.folder / split), allow_empty=True)
            said: Said = {sha(Path(path)): (export.class_of[data.classes[at]], split) for path, at in data.samples}
            found.append((tuple(data.classes), said))
    return found


def hugging_face(export: Export) -> Said:
    """Return what `datasets.load_dataset` reads of the folder, after it has decoded every image."""
    with _datasets() as (datasets, cache):
        data = datasets.load_dataset(str(export.folder), cache_dir=cache)
        found: Said = {}
        for part in data.values():
            images = part.cast_column("image", datasets.Image(decode=False))
            for sample, decoded in zip(images, part, strict=True):
                decoded["image"].load()
                found[_sha_of_image(sample["image"])] = (sample["label"], sample["split"])
        return found


def webdataset_shards(export: Export) -> Said:
    """Return what webdataset reads of the shards; the number of a class counts in classes.txt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
        found = _samples(export)
        gc.collect()
    return found


def _samples(export: Export) -> Said:
    import webdataset

    classes = _classes(export)
    found: Said = {}
    tars = sorted(str(tar) for tar in export.folder.glob("*.tar"))
    for sample in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False):
        label = classes[int(sample["cls"])] if "cls" in sample else None
        split = Path(sample["__url__"]).name.rpartition("-")[0]
        found[sha(next(sample[end] for end in _IMAGES if end in sample))] = (label, split)
    return found


def hugging_face_shards(export: Export) -> Said:
    """Return what `datasets.load_dataset` reads of the folder of shards, by its card."""
    classes = _classes(export)
    found: Said = {}
    with _datasets() as (datasets, cache):
        for split, part in datasets.load_dataset(str(export.folder), cache_dir=cache).items():
            endings = [end for end in _IMAGES if end in part.column_names]
            for end in endings:
                part = part.cast_column(end, datasets.Image(decode=False))
            for sample in part:
                label = None if sample["cls"] is None else classes[sample["cls"]]
                if label != sample["json"]["label"]:
                    raise ValueError(f"cls says {label!r} and json {sample['json']['label']!r}")
                image = next(sample[end] for end in endings if sample[end] is not None)
                found[_sha_of_image(image)] = (label, str(split))
    return found


def coco(export: Export) -> Said:
    """Return what torchvision's CocoDetection, which is pycocotools, reads of each split.

    Raises:
        ValueError: a box is not the whole image, or an image has several categories.
    """
    from torchvision.datasets import CocoDetection

    found: Said = {}
    for file in sorted((export.folder / "annotations").iterdir()):
        split = file.stem.removeprefix("instances_")
        with contextlib.redirect_stdout(io.StringIO()):
            data = CocoDetection(str(export.folder / "images" / split), str(file))
        for number, (image, targets) in zip(data.ids, data, strict=True):
            name = data.coco.loadImgs(number)[0]["file_name"]
            labels = [data.coco.loadCats(one["category_id"])[0]["name"] for one in targets]
            if any(one["bbox"] != [0, 0, *image.size] for one in targets):
                raise ValueError(f"a box is not its whole image: {name}")
            found[sha(export.folder / "images" / split / name)] = (only(labels), split)
    return found


def csv_table(export: Export) -> Said:
    """Return what pandas reads of the CSV, all cells as text."""
    frame = pd.read_csv(export.file, dtype=str, keep_default_na=False)
    return _by_row(frame.to_dict("records"))


def parquet_table(export: Export) -> Said:
    """Return what pandas reads of the Parquet file."""
    return _by_row(pd.read_parquet(export.file).to_dict("records"))


def lines_table(export: Export) -> Said:
    """Return what pandas reads of the JSON lines."""
    return _by_row(pd.read_json(export.file, lines=True, dtype=False).to_dict("records"))


def sheet(export: Export) -> Said:
    """Return what pandas reads of the workbook."""
    frame = pd.read_excel(export.file, dtype=object, keep_default_na=False, na_values=[""]).map(unescaped)
    return _by_row(frame.to_dict("records"))


def workbook(export: Export) -> Said:
    """Return what openpyxl reads of the workbook."""
    import openpyxl

    header, *rows = openpyxl.load_workbook(export.file, read_only=True).active.iter_rows(values_only=True)
    return _by_row(dict(zip(header, map(unescaped, row), strict=False)) for row in rows)


def _by_row(records: Iterable[Mapping[Any, Any]]) -> Said:
    """The label and split of each row; an absent cell is what the tool has for it."""
    return {
        str(row["sha256"]): (None if pd.isna(row["label"]) or row["label"] == "" else row["label"], _text(row["split"]))
        for row in records
    }


def _text(cell: Any) -> str:
    return "" if cell is None or pd.isna(cell) else str(cell)


def _classes(export: Export) -> list[str]:
    return (export.folder / "classes.txt").read_text(encoding="utf-8").split("\n")[:-1]


def _sha_of_image(value: Mapping[str, Any]) -> str:
    return sha(value["bytes"] if value["bytes"] is not None else Path(value["path"]))


@contextlib.contextmanager
def _datasets() -> Any:
    """Yield the library `datasets`, silent, and a folder for its cache."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory() as cache:
            yield datasets, cache
    finally:
        if shown:
            datasets.enable_progress_bars()
