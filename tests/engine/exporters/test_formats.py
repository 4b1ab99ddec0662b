"""Each format as its own tool reads it: every label, split and original file of odd rows comes back the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

import datasets
import defusedxml.ElementTree
import jsonschema
import openpyxl
import pandas as pd
import pytest
from openpyxl.utils.escape import unescape

import engine.exporters
from app.benchmarks.judges import here
from app.benchmarks.judges.export import Export
from engine.errors import ExportError
from engine.exporters import EXPORTERS, excel, huggingface
from engine.exporters import webdataset as shards
from engine.exporters.evidence import beside, open_export
from engine.exporters.names import file_name
from engine.exporters.rows import COLUMNS, ExportRow
from tests.engine.exporters.export_samples import ODD_LABELS, entry, manifest, quiet

Add = Callable[..., ExportRow]
Found = Mapping[str, tuple[str | None, str]]
ZIPS = [key for key, exporter in EXPORTERS.items() if exporter.suffix == ".zip"]
TABLES = [key for key in EXPORTERS if key not in ZIPS]


def unpacked(key: str, rows: Sequence[ExportRow], root: Path, tmp_path: Path) -> Path:
    """Export, unpack and return the folder."""
    target = tmp_path / f"{key}.zip"
    given = manifest(classes=sorted(ODD_LABELS), split_made=None)
    EXPORTERS[key].write(rows, root, target, given, [entry(1, 1, "cat")], quiet, {"certificate.txt": b"shown"})
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / key)
    if beside(target).exists():
        with zipfile.ZipFile(beside(target)) as archive:
            archive.extractall(tmp_path / key)
    return tmp_path / key


def said(
    rows: Sequence[ExportRow], *, splits: bool = True, unlabeled: bool = True
) -> dict[str, tuple[str | None, str]]:
    """Label and split of each image by its SHA-256, as the rows have them."""
    return {
        row.sha256: (row.label, (row.split or "train") if splits else "")
        for row in rows
        if unlabeled or row.label is not None
    }


def sha(data: bytes | Path) -> str:
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


@pytest.mark.parametrize("key", ZIPS)
def test_what_lies_beside_the_images_is_the_same_in_every_zip(
    key: str, odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    folder = unpacked(key, odd, root, tmp_path)
    about = json.loads((folder / "manifest.json").read_text())
    schema = json.loads((Path(engine.exporters.__file__).parent / "manifest.schema.json").read_text())
    jsonschema.validate(about, schema)
    assert sum(about["splits"].values()) == sum(bool(split) for split in _table_splits(folder))
    assert (folder / "certificate.txt").read_text() == "shown"
    assert json.loads((folder / "provenance.jsonl").read_text())["label"] == "cat"
    for path in (folder, tmp_path / f"{key}.zip"):
        with open_export(path) as files:
            back = files.rows()
            assert back is not None
            assert [(row.image_id, row.label, row.source, row.sha256) for row in back] == [
                (row.image_id, row.label or "", row.label_source or "", row.sha256) for row in odd
            ]
            assert all(sha(files.image(row.file_name) or b"") == row.sha256 for row in back)


def _table_splits(folder: Path) -> list[str]:
    name = "table.csv" if (folder / "table.csv").exists() else "metadata.csv"
    return pd.read_csv(folder / name, dtype=str, keep_default_na=False)["split"].tolist()


@pytest.mark.parametrize("key", [key for key in ZIPS if key != "webdataset"])
def test_a_file_keeps_its_name_and_of_two_equal_ones_the_later_gets_its_number(
    key: str, odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    folder = unpacked(key, odd, root, tmp_path)
    with open_export(folder) as files:
        for back, row in zip(files.rows() or (), odd, strict=True):
            name, wanted = back.file_name.rpartition("/")[2], Path(file_name(row.name, row.format))
            assert name in (wanted.name, f"{wanted.stem}-{row.image_id}{wanted.suffix}")


@pytest.mark.parametrize("key", ZIPS)
def test_nothing_to_export_is_a_sound_zip(key: str, root: Path, tmp_path: Path) -> None:
    with open_export(unpacked(key, [], root, tmp_path)) as files:
        assert files.rows() == []


@pytest.mark.parametrize("key", ZIPS)
def test_a_damaged_original_leaves_nothing(key: str, root: Path, add: Add, tmp_path: Path) -> None:
    row = add("bad.png", "cat")
    (root / "images" / row.sha256[:2] / row.sha256).write_bytes(b"other")
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="damaged"):
        EXPORTERS[key].write([row], root, tmp_path / "out" / "set.zip", manifest(), [], quiet)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "key", ["fiftyone", "label_studio", "cvat", "cvat_imagenet", "coco", "datumaro", "huggingface"]
)
def test_ten_thousand_classes_keep_apart(key: str, add: Add, root: Path, tmp_path: Path) -> None:
    row, target = add("x.png", "c"), tmp_path / "out.zip"
    wanted = [f"class {number}" for number in range(1, 10_001)]
    rows = [_other(row, number, label) for number, label in enumerate(wanted, 1)]
    EXPORTERS[key].write(rows, root, target, manifest(classes=wanted), [], quiet)
    with open_export(target) as files:
        assert [one.label for one in files.rows() or ()] == wanted
        if key == "cvat_imagenet":
            assert len(json.loads(files.read("manifest.json") or b"")["class_folders"]) == 10_000


def _other(row: ExportRow, number: int, label: str) -> ExportRow:
    return ExportRow(number, f"{number}/x.png", row.sha256, "PNG", label, "imported", width=4, height=3)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for `datasets` of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.parametrize("how", ["by its folders", "by its card"])
def test_datasets_loads_all_rows_and_all_columns(
    how: str, odd: list[ExportRow], root: Path, tmp_path: Path, hub: Path
) -> None:
    folder = unpacked("huggingface", odd, root, tmp_path)
    if how == "by its card":
        data = datasets.load_dataset(str(folder), cache_dir=str(hub))
        names = {"train": "train", "val": "val", "test": "test"}
    else:
        data = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(hub))
        names = {"train": "train", "validation": "val", "test": "test"}
    assert {len(part) for part in data.values()} == {
        sum((row.split or "train") == one for row in odd) for one in names.values()
    }
    by_id = {row.image_id: row for row in odd}
    seen = 0
    for split, part in data.items():
        assert set(part.column_names) == {"image", "original_name", *COLUMNS} - {"file_name"}
        for sample in part:
            row = by_id[sample["image_id"]]
            seen += 1
            assert sample["split"] == names[split] == (row.split or "train")
            assert sample["image"].size == (4, 3)
            assert sample["original_name"] == row.name
            for column in set(COLUMNS) - {"file_name", "split"}:
                assert sample[column] == getattr(row, column)
    assert seen == len(odd)


def test_datasets_loads_splits_of_any_name_and_folders_of_many_images(
    add: Add, root: Path, tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "IN_A_FOLDER", 4)
    rows = [add(f"{number}.png", None if number % 2 else "cat", split="field [a]") for number in range(7)]
    rows += [add("test/x.png", "dog", split="train")]
    folder = unpacked("huggingface", rows, root, tmp_path)
    data = datasets.load_dataset(str(folder), cache_dir=str(hub))
    assert data["field__a_"]["label"] == [row.label for row in rows[:7]]
    assert data["train"]["label"] == ["dog"]
    assert max(len(names) for _, _, names in os.walk(folder / "field [a]")) < 4


def test_fiftyone_labels_are_positions_of_classes_by_the_stem_of_the_file(
    odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    folder = unpacked("fiftyone", odd, root, tmp_path)
    about = json.loads((folder / "labels.json").read_text())
    files = {path.stem: path for path in (folder / "data").iterdir()}
    assert set(files) == set(about["labels"])
    found, confidence = {}, {}
    for key, target in about["labels"].items():
        number = target["label"] if isinstance(target, dict) else target
        found[sha(files[key])] = (None if number is None else about["classes"][number], "")
        if isinstance(target, dict):
            confidence[sha(files[key])] = target["confidence"]
    assert found == said(odd, splits=False)
    assert confidence == {row.sha256: row.confidence for row in odd if row.confidence is not None}


def test_label_studio_tasks_name_their_image_their_choice_and_what_was_predicted(
    odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    folder = unpacked("label_studio", odd, root, tmp_path)
    tasks = json.loads((folder / "tasks.json").read_text())
    config = defusedxml.ElementTree.parse(folder / "config.xml").getroot()
    (choices,) = config.iter("Choices")
    assert [one.get("value") for one in choices] == sorted(ODD_LABELS)
    assert len({task["id"] for task in tasks}) == len(tasks)
    found = {}
    for task, row in zip(tasks, odd, strict=True):
        place = urlsplit(task["data"]["image"])
        assert place.path == "/data/local-files/"
        image = tmp_path / parse_qs(place.query)["d"][0]
        assert task["data"]["original_name"] == row.name
        results = [one for part in (*task["annotations"], *task["predictions"]) for one in part["result"]]
        for one in results:
            assert (one["type"], one["from_name"], one["to_name"]) == (
                "choices",
                choices.get("name"),
                choices.get("toName"),
            )
        labels = {choice for one in results for choice in one["value"]["choices"]}
        assert len(labels) <= 1
        found[sha(image)] = (next(iter(labels), None), task["data"]["split"])
        assert bool(task["annotations"]) == (row.label is not None and row.label_source != "pseudo")
        assert [one["score"] for one in task["predictions"]] == ([row.confidence] if row.confidence else [])
    assert found == said(odd)
    assert "completed_by" not in json.dumps(tasks)


def test_cvat_images_have_one_tag_of_a_declared_label(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    folder = unpacked("cvat", odd, root, tmp_path)
    top = defusedxml.ElementTree.parse(folder / "annotations.xml").getroot()
    assert top.findtext("version") == "1.1"
    assert [one.text for one in top.iterfind("meta/task/labels/label/name")] == sorted(ODD_LABELS)
    found, sources = {}, set()
    for number, image in enumerate(top.iterfind("image")):
        tags = [tag.get("label") for tag in image.iterfind("tag")]
        sources |= {tag.get("source") for tag in image.iterfind("tag")}
        assert (image.get("id"), image.get("width"), image.get("height")) == (str(number), "4", "3")
        assert len(tags) <= 1
        found[sha(folder / "images" / str(image.get("name")))] = (next(iter(tags), None), "")
    assert found == said(odd, splits=False)
    assert sources == {"file", "manual", "auto"}
    stems = [path.stem.casefold() for path in (folder / "images").iterdir()]
    assert len(set(stems)) == len(stems)


def test_cvat_imagenet_has_a_folder_a_class_and_no_name_twice(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    folder = unpacked("cvat_imagenet", odd, root, tmp_path)
    class_of = {one: name for name, one in json.loads((folder / "manifest.json").read_text())["class_folders"].items()}
    images = [path for path in folder.glob("*/*") if path.is_file()]
    assert {sha(path): (class_of.get(path.parent.name), "") for path in images} == said(odd, splits=False)
    assert {path.parent.name for path in images} - set(class_of) == {"no_label"}
    assert len({path.stem.casefold() for path in images}) == len(images)
    with zipfile.ZipFile(tmp_path / "cvat_imagenet.zip") as archive:
        assert all(name.count("/") == 1 and not name.endswith((".txt", ".csv")) for name in archive.namelist())


def test_a_class_that_datumaro_takes_for_a_split_or_a_drive_is_noted(add: Add, root: Path, tmp_path: Path) -> None:
    rows = [add(f"{label}.png", label) for label in ("train", "A", "é", "AB")]
    folder = unpacked("cvat_imagenet", rows, root, tmp_path)
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    assert [" ".join(note.split()[:9]) for note in notes] == [
        "The class train has the name of a split:", "The class A has the name of a drive:",
    ]  # fmt: skip


def test_torchvision_reads_coco_as_one_whole_box_an_image(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    folder = unpacked("coco", odd, root, tmp_path)
    assert here.coco(Export(tmp_path / "coco.zip", folder)) == said(odd)
    scores = {}
    for file in (folder / "annotations").iterdir():
        about = json.loads(file.read_text())
        scores |= {one["image_id"]: one["score"] for one in about["annotations"] if "score" in one}
        assert "whole" in about["info"]["description"]
    assert scores == {row.image_id: row.confidence for row in odd if row.confidence is not None}


def test_datumaro_items_say_their_label_and_what_is_behind_it(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    folder = unpacked("datumaro", odd, root, tmp_path)
    found, attributes = {}, {}
    for file in (folder / "annotations").iterdir():
        about = json.loads(file.read_text())
        names = [one["name"] for one in about["categories"]["label"]["labels"]]
        assert names == sorted(ODD_LABELS)
        assert len({item["id"] for item in about["items"]}) == len(about["items"])
        for item in about["items"]:
            digest = sha(folder / "images" / file.stem / item["image"]["path"])
            assert item["image"]["size"] == [3, 4]
            labels = [names[one["label_id"]] for one in item["annotations"]]
            for one in item["annotations"]:
                attributes[digest] = one["attributes"]
            found[digest] = (next(iter(labels), None), file.stem)
    assert found == said(odd)
    assert attributes[odd[-1].sha256]["reviewed_by"] == "Zoë"
    assert attributes[odd[-2].sha256] == {
        "label_source": "pseudo", "confidence": 0.9375, "round": 3, "model": "round-3", "reviewed": False,
    }  # fmt: skip


def test_ultralytics_numbers_classes_alike_in_every_split(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    rows = [*odd, ExportRow(**{**_fields(odd[0]), "image_id": 999, "split": "pred"})]
    rows[0] = ExportRow(**{**_fields(odd[0]), "split": "training"})
    folder = unpacked("ultralytics", rows, root, tmp_path)
    assert here.class_folders_of_one_order(Export(tmp_path / "ultralytics.zip", folder)) == said(odd, unlabeled=False)
    suffixes = {path.suffix.lower() for split in ("train", "val", "test") for path in folder.glob(f"{split}/*/*")}
    assert suffixes <= {".png", ".jpg", ".jpeg", ".webp"}
    assert any("leaves out pred" in note for note in json.loads((folder / "manifest.json").read_text())["notes"])


def test_a_split_without_the_folders_of_all_classes_is_told(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    folder = unpacked("ultralytics", odd, root, tmp_path)
    shutil.rmtree(next((folder / "val").iterdir()))
    with pytest.raises(ValueError, match="different numbers"):
        here.class_folders_of_one_order(Export(tmp_path / "ultralytics.zip", folder))


def _fields(row: ExportRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_every_sample(
    odd: list[ExportRow], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "IN_A_SHARD", 10)
    folder = unpacked("webdataset", odd, root, tmp_path)
    assert len(list(folder.glob("*.tar"))) > 3
    assert here.webdataset_shards(Export(tmp_path / "webdataset.zip", folder)) == said(odd)
    for tar in folder.glob("*.tar"):
        with tarfile.open(tar) as archive:
            about = [json.load(_file(archive, name)) for name in archive.getnames() if name.endswith(".json")]
        assert {one["split"] for one in about} == {tar.name.rpartition("-")[0]}
        by_sha = {row.sha256: (row.label, row.name) for row in odd}
        assert all((one["label"], one["original_name"]) == by_sha[one["sha256"]] for one in about)


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    assert file is not None
    return file


@pytest.mark.parametrize("first", ["labeled", "unlabeled"])
def test_datasets_reads_the_shards_by_their_card(
    first: str, odd: list[ExportRow], root: Path, tmp_path: Path, hub: Path
) -> None:
    # it guesses fields by the first samples of one split: here they have another ending, no label or no confidence
    rows = sorted(odd, key=lambda row: (row.label is None) != (first == "unlabeled"))
    folder = unpacked("webdataset", rows, root, tmp_path)
    assert here.hugging_face_shards(Export(tmp_path / "webdataset.zip", folder)) == said(rows)


def test_jsonl_is_typed_and_pandas_reads_it(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    EXPORTERS["jsonl"].write(odd, root, target, manifest(), [], quiet)
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert [tuple(record) for record in records] == [COLUMNS] * len(odd)
    for record, row in zip(records, odd, strict=True):
        assert record["file_name"] == row.name
        assert all(record[column] == getattr(row, column) for column in COLUMNS if column != "file_name")
    frame = pd.read_json(target, lines=True, dtype=False)
    assert [None if pd.isna(label) else label for label in frame["label"]] == [row.label for row in odd]


@pytest.mark.parametrize("judge", ["openpyxl", "pandas"])
def test_excel_keeps_texts_as_texts(judge: str, odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    odd.append(ExportRow(1000, "line\x07 bell_x0007_.png", "0" * 64, "PNG", "cat", "imported"))
    target = tmp_path / "out.xlsx"
    EXPORTERS["excel"].write(odd, root, target, manifest(), [], quiet)
    if judge == "openpyxl":
        header, *values = openpyxl.load_workbook(target).active.iter_rows(values_only=True)
        records = [dict(zip(header, row, strict=True)) for row in values]
    else:
        frame = pd.read_excel(target, dtype=object, keep_default_na=False, na_values=[""])
        records = [{key: None if pd.isna(one) else one for key, one in row.items()} for row in frame.to_dict("records")]
    assert [tuple(record) for record in records] == [COLUMNS] * len(odd)
    for record, row in zip(records, odd, strict=True):
        texts = {key: unescape(one) if isinstance(one, str) else one for key, one in record.items()}
        assert texts["file_name"] == row.name
        assert texts["split"] == (row.split or None)
        assert all(texts[name] == getattr(row, name) for name in COLUMNS if name not in ("file_name", "split"))
        assert all(type(texts[name]) is type(getattr(row, name)) for name in ("label", "reviewed", "image_id"))


def test_a_sheet_has_its_limit(root: Path, add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "MOST_ROWS", 1)
    with pytest.raises(ExportError, match="at most 1 rows"):
        EXPORTERS["excel"].write([add("a.png"), add("b.png")], root, tmp_path / "a.xlsx", manifest(), [], quiet)
    assert not (tmp_path / "a.xlsx").exists()


@pytest.mark.parametrize("key", TABLES)
def test_a_table_is_read_back_with_its_evidence(key: str, odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out{EXPORTERS[key].suffix}"
    EXPORTERS[key].write(odd, root, target, manifest(), [entry(1, 1, "cat")], quiet, {"certificate.txt": b"shown"})
    with open_export(target) as files:
        assert files.read("certificate.txt") == b"shown"
        assert [(row.image_id, row.label, row.sha256) for row in files.rows() or ()] == [
            (row.image_id, row.label or "", row.sha256) for row in odd
        ]
