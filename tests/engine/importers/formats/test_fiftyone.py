from pathlib import Path

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import fiftyone, read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.json_samples import FIFTYONE, view

IMAGES = ("data/000.png", "data/001.png", "data/002.png", "data/006.png")


def read(folder: Path, content: object, images: tuple[str, ...] = IMAGES) -> Labeling:
    return fiftyone.read(view(folder, images, {"labels.json": content}), {})


def test_numbers_count_into_the_classes_and_null_is_unlabeled(tmp_path: Path) -> None:
    found = read(tmp_path, FIFTYONE)
    assert found.labels == {"data/000.png": "cat", "data/002.png": "dog"}
    assert found.conflicts == {"data/001.png": ("dog", "owl")}
    assert found.classes == ("cat", "dog", "owl")
    assert (found.refused, found.used) == ((), {"labels.json"})
    assert any("with a confidence as those of a model: 1 label" in notice for notice in found.notices)


def test_without_classes_targets_are_names(tmp_path: Path) -> None:
    found = read(tmp_path, {"classes": None, "labels": {"000": "cat", "001": ["dog", "owl"], "002": None}})
    assert (found.labels, found.conflicts, found.classes) == (
        {"data/000.png": "cat"}, {"data/001.png": ("dog", "owl")}, (),
    )  # fmt: skip


def test_names_with_folders_spaces_dots_and_accents(tmp_path: Path) -> None:
    images = ("data/a b/ü.1.png", "data/a b/ü.2.png")
    labels = {"a b/ü.1": "größe", "a b/u\u0308.2": "größe"}
    assert read(tmp_path, {"classes": None, "labels": labels}, images).labels == dict.fromkeys(images, "größe")


def test_a_number_outside_the_classes_is_refused_with_its_key(tmp_path: Path) -> None:
    found = read(tmp_path, {"classes": ["cat"], "labels": {"000": 1, "001": -1, "002": 0}})
    assert found.labels == {"data/002.png": "cat"}
    assert [one.name for one in found.refused] == ["labels.json, 000: 1", "labels.json, 001: -1"]


def test_two_files_of_one_stem_are_never_guessed(tmp_path: Path) -> None:
    found = read(tmp_path, {"classes": None, "labels": {"000": "cat"}}, ("data/000.png", "data/000.jpg"))
    assert found.labels == {}
    assert found.refused[0].reason == "several files have this name"


def test_each_split_has_its_own_images(tmp_path: Path) -> None:
    images = ("train/data/1.png", "train/data/2.png", "test/data/1.png")
    files = {
        "train/labels.json": {"classes": None, "labels": {"1": "cat", "2": "cat"}},
        "test/labels.json": {"classes": None, "labels": {"1": "dog", "2": "dog"}},
    }
    found = fiftyone.read(view(tmp_path, images, files), {})
    assert found.labels == {"train/data/1.png": "cat", "train/data/2.png": "cat", "test/data/1.png": "dog"}
    assert found.splits == {"train/data/1.png": "train", "train/data/2.png": "train", "test/data/1.png": "test"}
    assert found.test == {"test/data/1.png"}
    assert [one.name for one in found.refused] == ["test/labels.json, 2"], "not the image of the other split"


def test_labels_of_one_folder_are_not_those_of_its_neighbour(tmp_path: Path) -> None:
    files = {
        "north/labels.json": {"classes": None, "labels": {"1": "cat"}},
        "south/labels.json": {"classes": None, "labels": {"1": "dog"}},
    }
    found = fiftyone.read(view(tmp_path, ("north/data/1.png",), files), {})
    assert (found.labels, found.conflicts) == ({"north/data/1.png": "cat"}, {})
    assert "another split or label file" in found.refused[0].reason


def test_a_damaged_labels_json_is_named_with_the_place(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"labels.json": '{"classes": ["cat"],\n "labels": {"000": 0'})
    with pytest.raises(ImportRefused, match=r"damaged JSON at line 2, column 21: labels.json") as caught:
        read_labels(source)
    assert "Export it again" in caught.value.way_out
    assert source.unparsed == {"labels.json": "it is damaged JSON at line 2, column 21"}


def test_beside_class_folders_a_damaged_labels_json_is_told(tmp_path: Path) -> None:
    source = view(tmp_path, ("cat/1.png", "dog/2.png"), {"labels.json": "{"})
    found = read_labels(source)
    assert (found.key, set(found.failed)) == ("class_tree", {"fiftyone"})


def test_labels_that_are_no_objects_are_not_mine(tmp_path: Path) -> None:
    assert fiftyone.detect(view(tmp_path, IMAGES, {"labels.json": {"labels": ["cat"]}})) is None
    assert fiftyone.detect(view(tmp_path, IMAGES, {"labels.json": {"000.png": "cat"}})) is None


def test_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, '{"classes": null, "labels": {"000": "cat", "001": "cat", "000": "dog"}}')
    assert found.labels == {"data/000.png": "dog", "data/001.png": "cat"}
    assert "labels.json has 1 key twice, the last counts: “000”" in found.notices


def test_a_label_that_cannot_be_a_class_is_refused_with_its_key(tmp_path: Path) -> None:
    found = read(tmp_path, {"classes": None, "labels": {"000": "x" * 201, "001": "a\nb", "002": " ", "006": {"a": 1}}})
    assert (found.labels, found.conflicts) == ({}, {})
    assert {one.name: one.reason for one in found.refused} == {
        "labels.json, 000": "the label is longer than 200 characters",
        "labels.json, 001": "the label contains a control character",
        "labels.json, 006": "it has no label",
    }


def test_a_key_lacks_its_ending_though_another_file_is_called_so(tmp_path: Path) -> None:
    images = ("data/CAT.png", "data/cat.png.png")
    found = read(tmp_path, {"classes": ["a", "b"], "labels": {"CAT": 0, "cat.png": 1}}, images)
    assert (found.labels, found.conflicts) == ({"data/CAT.png": "a", "data/cat.png.png": "b"}, {})


def test_a_key_may_have_its_ending(tmp_path: Path) -> None:
    assert read(tmp_path, {"classes": ["a"], "labels": {"000.png": 0}}).labels == {"data/000.png": "a"}
