from pathlib import Path
from typing import Any

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import coco
from engine.importers.grouping import find_groupings
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.json_samples import COCO, IMAGES, view


def content(*files: tuple[str, str], categories: tuple[str, ...] = ("cat", "dog")) -> dict[str, Any]:
    """A file that gives each image the category of this name."""
    ids = {label: number for number, label in enumerate(categories, start=1)}
    return {
        "images": [{"id": at, "file_name": name} for at, (name, _) in enumerate(files)],
        "annotations": [{"id": at, "image_id": at, "category_id": ids[label]} for at, (_, label) in enumerate(files)],
        "categories": [{"id": at, "name": name, "supercategory": ""} for at, name in enumerate(categories, start=1)],
    }  # fmt: skip


def read(folder: Path, images: tuple[str, ...], files: dict[str, Any]) -> Labeling:
    return coco.read(view(folder, images, files), {})


def test_one_category_is_the_label_and_several_are_a_question(tmp_path: Path) -> None:
    found = read(tmp_path, IMAGES, {"instances.json": COCO})
    assert found.labels == {"000.png": "cat", "002.png": "dog"}
    assert found.conflicts == {"001.png": ("cat", "dog")}
    assert found.classes == ("cat", "dog", "owl")
    assert [question.key for question in found.questions] == ["several"]
    assert (found.refused, found.splits) == ((), {})
    assert any("all its boxes share: 2 boxes" in notice for notice in found.notices)


def test_camera_traps_keep_the_sequence_that_groups_them(tmp_path: Path) -> None:
    found = read(tmp_path, IMAGES, {"traps.json": COCO})
    assert found.columns["seq_id"] == {"000.png": "s1", "001.png": "s1", "002.png": "s2"}
    assert found.columns["location"] == {"000.png": "7", "001.png": "7", "002.png": "7"}
    assert find_groupings(IMAGES, {}, found.columns, {})[0].key == "column:seq_id"


def test_empty_is_a_class_like_others(tmp_path: Path) -> None:
    files = {"traps.json": content(("000.png", "empty"), categories=("empty", "deer"))}
    assert read(tmp_path, IMAGES, files).labels == {"000.png": "empty"}


def test_one_file_a_split_beside_folders_of_the_same_names(tmp_path: Path) -> None:
    images = ("train2017/1.jpg", "val2017/1.jpg", "train2017/2.jpg")
    files = {
        "annotations/instances_train2017.json": content(("1.jpg", "cat"), ("2.jpg", "cat")),
        "annotations/instances_val2017.json": content(("1.jpg", "dog"), ("2.jpg", "dog")),
    }
    found = read(tmp_path, images, files)
    assert found.labels == {"train2017/1.jpg": "cat", "train2017/2.jpg": "cat", "val2017/1.jpg": "dog"}
    assert found.splits == {"train2017/1.jpg": "train", "train2017/2.jpg": "train", "val2017/1.jpg": "val"}
    (refused,) = found.refused
    assert refused.reason == "the only file of this name belongs to another split or label file"


def test_roboflow_splits_and_its_category_above_all(tmp_path: Path) -> None:
    def roboflow(name: str, label: int) -> dict[str, Any]:
        return {
            "images": [{"id": 0, "file_name": name, "extra": {"name": "1.jpg"}}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": label, "bbox": [], "segmentation": []}],
            "categories": [
                {"id": 0, "name": "pets", "supercategory": "none"},
                {"id": 1, "name": "cat", "supercategory": "pets"},
                {"id": 2, "name": "dog", "supercategory": "pets"},
            ],
        }

    images = ("train/1_jpg.rf.0a.jpg", "valid/1_jpg.rf.0b.jpg", "test/1_jpg.rf.0c.jpg")
    files = {
        f"{split}/_annotations.coco.json": roboflow(name.partition("/")[2], label)
        for split, name, label in zip(("train", "valid", "test"), images, (1, 2, 1), strict=True)
    }
    found = read(tmp_path, images, files)
    assert found.labels == dict(zip(images, ("cat", "dog", "cat"), strict=True))
    assert found.splits == dict(zip(images, ("train", "val", "test"), strict=True))
    assert found.test == {"test/1_jpg.rf.0c.jpg"}
    assert found.classes == ("cat", "dog")


@pytest.mark.parametrize("said", ["a b/ü.png", "./a b/ü.png", "set\\a b\\ü.png", "/home/me/set/a b/ü.png", "ü.png"])
def test_file_names_relative_absolute_or_unique(tmp_path: Path, said: str) -> None:
    found = read(tmp_path, ("set/a b/ü.png",), {"set/annotations/all.json": content((said, "cat"))})
    assert found.labels == {"set/a b/ü.png": "cat"}


@pytest.mark.parametrize("folder", ["images/default", "images", "data", "default", "any/where"])
def test_folders_that_tools_put_the_images_in(tmp_path: Path, folder: str) -> None:
    files = {"annotations/instances_default.json": content(("1.jpg", "cat"))}
    assert read(tmp_path, (f"{folder}/1.jpg", "x.jpg"), files).labels == {f"{folder}/1.jpg": "cat"}


def test_images_of_a_split_file_may_lie_in_one_folder(tmp_path: Path) -> None:
    files = {"train.json": content(("1.jpg", "cat")), "val.json": content(("2.jpg", "dog"))}
    found = read(tmp_path, ("train/1.jpg", "train/2.jpg"), files)
    assert found.labels == {"train/1.jpg": "cat", "train/2.jpg": "dog"}
    assert found.splits == {"train/1.jpg": "train", "train/2.jpg": "val"}


def test_what_names_nothing_is_listed(tmp_path: Path) -> None:
    broken = content(("000.png", "cat"), ("gone.png", "dog"))
    broken["annotations"] += [{"image_id": 99, "category_id": 1}, {"image_id": 0, "category_id": 9}, 3]
    broken["images"].append({"id": 0, "file_name": "001.png"})
    found = read(tmp_path, IMAGES, {"c.json": broken})
    assert found.labels == {"000.png": "cat"}
    assert {one.name: one.reason for one in found.refused} == {
        "c.json, image 1: gone.png": "there is no such file",
        "c.json, image 3": "another image has the same id",
        "c.json, annotation 3": "its image_id is not among the images",
        "c.json, annotation 4": "its category_id is not among the categories",
        "c.json, annotation 5": "it is no object",
    }


def test_an_image_that_was_refused_is_said_so(tmp_path: Path) -> None:
    source = view(tmp_path, ("000.png",), {"c.json": content(("bad.png", "cat"), ("000.png", "cat"))})
    source = type(source)(source.images, source.names | {"bad.png"}, source.files)
    assert [one.reason for one in coco.read(source, {}).refused] == ["its image was refused"]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    files = {"train/_annotations.coco.json": "{", "valid/_annotations.coco.json": content(("000.png", "cat"))}
    source = view(tmp_path, IMAGES, files)
    found = coco.read(source, {})
    assert found.labels == {"000.png": "cat"}
    assert found.refused[0].name == "train/_annotations.coco.json, the file"
    with pytest.raises(ImportRefused, match="nested too deeply"):
        coco.read(view(tmp_path, IMAGES, {"instances_val.json": "[" * 100_000}), {})


def test_detections_of_a_model_are_not_coco(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"md.json": {"images": [{"file": "1"}], "detection_categories": {}}})
    assert coco.detect(source) is None


def test_two_categories_of_one_name_are_told(tmp_path: Path) -> None:
    files = {"c.json": content(("000.png", "other"), categories=("other", "cat"))}
    files["c.json"]["categories"][1]["name"] = "other"
    found = read(tmp_path, IMAGES, files)
    assert found.classes == ("other",)
    assert "several classes of one name are taken as one: “other”" in found.notices
