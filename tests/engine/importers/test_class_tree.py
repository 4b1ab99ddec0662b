import unicodedata

import pytest

from engine.importers.class_tree import label_by_folder


def found(*names: str) -> dict[str, str | None]:
    labeling = label_by_folder(names)
    return {name: labeling.labels.get(name) for name in names}


def test_the_first_folder_is_the_class() -> None:
    assert found("cat/1.png", "dog/2.png") == {"cat/1.png": "cat", "dog/2.png": "dog"}


def test_deeper_folders_do_not_change_the_class() -> None:
    assert found("cat/young/1.png", "dog/2.png")["cat/young/1.png"] == "cat"


@pytest.mark.parametrize("wrapping", ["set", "set/images", "data/v1/set"])
def test_folders_that_hold_the_whole_set_are_stripped(wrapping: str) -> None:
    names = [f"{wrapping}/cat/1.png", f"{wrapping}/dog/2.png"]
    assert list(found(*names).values()) == ["cat", "dog"]


@pytest.mark.parametrize("pool", ["_unlabeled", "unlabeled", "no_label", "Unlabeled"])
def test_unlabeled_pools_are_unlabeled_at_every_level(pool: str) -> None:
    names = ["train/cat/1.png", f"{pool}/2.png", f"train/{pool}/3.png", f"{pool}/sub/4.png"]
    assert list(found(*names).values()) == ["cat", None, None, None]


def test_images_outside_the_class_folders_are_unlabeled() -> None:
    assert found("cat/1.png", "dog/2.png", "3.png")["3.png"] is None


def test_splits_are_stripped_and_named_in_a_notice() -> None:
    labeling = label_by_folder(["train/cat/1.png", "val/cat/2.png", "test/dog/3.png", "train/4.png"])
    assert labeling.labels == {"train/cat/1.png": "cat", "val/cat/2.png": "cat", "test/dog/3.png": "dog"}
    assert any("test, train, val" in notice for notice in labeling.notices)


def test_a_test_split_beside_others_is_there_to_measure() -> None:
    names = ["set/train/cat/1.png", "set/Test/cat/2.png", "set/val/dog/3.png", "set/Test/4.png"]
    labeling = label_by_folder(names)
    assert labeling.test == {"set/Test/cat/2.png"}
    assert any("they measure: 1 image" in notice for notice in labeling.notices)
    assert label_by_folder(["test/cat/1.png", "test/dog/2.png"]).test == frozenset()
    assert label_by_folder(["cat/1.png", "test/2.png"]).test == frozenset()


def test_a_train_folder_alone_is_a_split() -> None:
    assert list(found("set/train/cat/1.png", "set/train/dog/2.png").values()) == ["cat", "dog"]
    assert list(found("train/cat/1.png").values()) == ["cat"]


def test_a_class_called_test_among_others_is_a_class() -> None:
    assert list(found("cat/1.png", "test/2.png").values()) == ["cat", "test"]


def test_one_flat_folder_is_not_taken_as_a_class() -> None:
    labeling = label_by_folder(["holiday/1.png", "holiday/2.png"])
    assert (labeling.labels, labeling.layout) == ({}, "images only")
    assert any("holiday" in notice for notice in labeling.notices)


def test_the_layout_is_named() -> None:
    assert label_by_folder(["cat/1.png", "dog/2.png"]).layout == "class tree"
    assert label_by_folder(["1.png", "2.png"]).layout == "images only"


def test_accents_written_in_two_ways_are_one_class() -> None:
    names = [f"{unicodedata.normalize(form, 'café')}/{form}.png" for form in ("NFC", "NFD")]
    assert set(found(*names, "tea/1.png").values()) == {"café", "tea"}


def test_classes_that_differ_in_case_are_two_and_noticed_once() -> None:
    labeling = label_by_folder(["Cat/1.png", "cat/2.png", "cat/3.png"])
    assert set(labeling.labels.values()) == {"Cat", "cat"}
    assert [notice for notice in labeling.notices if "case" in notice] == ["classes that differ only in case: Cat, cat"]


def test_a_folder_name_too_long_for_a_class_leaves_its_images_unlabeled() -> None:
    labeling = label_by_folder([f"{'x' * 201}/1.png", "dog/2.png"])
    assert list(labeling.labels.values()) == ["dog"]
    assert "longer than 200" in labeling.refused[0].reason


def test_names_of_digits_stay_text() -> None:
    assert list(found("007/1.png", "7/2.png").values()) == ["007", "7"]
