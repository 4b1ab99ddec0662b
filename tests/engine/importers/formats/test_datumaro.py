import copy
from pathlib import Path

from engine.importers.formats import datumaro
from tests.engine.importers.formats.json_samples import DATUMARO, view


def test_labels_splits_and_declared_classes(tmp_path: Path) -> None:
    test = copy.deepcopy(DATUMARO)
    test["items"][0]["annotations"][0]["label_id"] = 1
    images = ("images/train/000.png", "images/train/006.png", "images/test/000.png", "images/test/006.png")
    source = view(tmp_path, images, {"annotations/train.json": DATUMARO, "annotations/test.json": test})
    assert datumaro.detect(source) is not None
    found = datumaro.read(source, {})
    assert found.labels == {"images/train/000.png": "cat", "images/test/000.png": "dog"}
    assert found.splits == {name: name.split("/")[1] for name in images}
    assert found.classes == ("cat", "dog")
    assert found.test == {"images/test/000.png"}
    assert found.refused == ()


def test_a_subset_that_is_no_split_gives_none(tmp_path: Path) -> None:
    images = ("set/images/default/000.png", "set/images/default/006.png")
    found = datumaro.read(view(tmp_path, images, {"set/annotations/default.json": DATUMARO}), {})
    assert (found.labels, found.splits) == ({"set/images/default/000.png": "cat"}, {})


def test_without_a_path_the_id_names_the_image(tmp_path: Path) -> None:
    content = copy.deepcopy(DATUMARO)
    for item, key in zip(content["items"], ("a b/ü", "gone"), strict=True):
        item["id"] = key
        del item["image"]
    found = datumaro.read(view(tmp_path, ("images/train/a b/ü.png",), {"annotations/train.json": content}), {})
    assert found.labels == {"images/train/a b/ü.png": "cat"}
    assert [one.name for one in found.refused] == ["annotations/train.json, item gone: gone"]


def test_boxes_count_where_there_is_no_label(tmp_path: Path) -> None:
    content = copy.deepcopy(DATUMARO)
    boxes = [{"type": "bbox", "label_id": number, "bbox": [0, 0, 1, 1]} for number in (1, 1)]
    content["items"][0]["annotations"] += boxes
    content["items"][1]["annotations"] = boxes
    images = ("images/train/000.png", "images/train/006.png")
    found = datumaro.read(view(tmp_path, images, {"annotations/train.json": content}), {})
    assert found.labels == {"images/train/000.png": "cat", "images/train/006.png": "dog"}
    assert any("4 annotations" in notice for notice in found.notices)


def test_several_labels_are_a_question_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(DATUMARO)
    content["items"][0]["annotations"] += [{"type": "label", "label_id": 1}]
    content["items"][1]["annotations"] = [{"type": "label", "label_id": 2}]
    images = ("images/train/000.png", "images/train/006.png")
    found = datumaro.read(view(tmp_path, images, {"annotations/train.json": content}), {})
    assert (found.labels, found.conflicts) == ({}, {"images/train/000.png": ("cat", "dog")})
    assert found.refused[0].reason == "its label_id is not among the labels"
