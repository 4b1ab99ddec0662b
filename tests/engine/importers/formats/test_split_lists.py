"""Lists of files that are called as splits: they give splits, to any labels that say none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.importers.formats import read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.views import view

IMAGES = [f"images/{label}/{at}.jpg" for label in ("cat", "dog") for at in range(3)]


def read(folder: Path, texts: dict[str, str], images: list[str] | None = None) -> Labeling:
    return read_labels(view(folder, images or IMAGES, texts)).labeling


def lines(*images: str) -> str:
    return "".join(f"{image}\n" for image in images)


@pytest.mark.parametrize("cut", ["", "images/", "endings"])
@pytest.mark.parametrize(
    ("train", "test"), [("train.txt", "test.txt"), ("meta/train_images.txt", "meta/test_images.txt")]
)
def test_lists_give_the_splits_of_class_folders(tmp_path: Path, cut: str, train: str, test: str) -> None:
    said = [
        image.removeprefix("images/" if cut else "").removesuffix(".jpg" if cut == "endings" else "")
        for image in IMAGES
    ]
    labeling = read(tmp_path, {train: lines(*said[:2], *said[3:5]), test: lines(said[2], said[5])})
    assert set(labeling.labels.values()) == {"cat", "dog"}
    assert [labeling.splits[image] for image in IMAGES] == ["train", "train", "test"] * 2
    assert labeling.test == {IMAGES[2], IMAGES[5]}
    assert {train, test} <= labeling.used
    assert any("taken from" in one for one in labeling.notices)
    assert any("they measure: 2 images" in one for one in labeling.notices)


def test_lists_give_the_splits_of_a_table(tmp_path: Path) -> None:
    table = "file,label\n" + "".join(f"{at}.jpg,{'cat' if at % 2 else 'dog'}\n" for at in range(4))
    texts = {"labels.csv": table, "train.txt": lines("0.jpg", "1.jpg"), "val.txt": lines("2.jpg", "3.jpg")}
    labeling = read(tmp_path, texts, [f"{at}.jpg" for at in range(4)])
    assert len(labeling.labels) == 4
    assert [labeling.splits[f"{at}.jpg"] for at in range(4)] == ["train", "train", "val", "val"]


@pytest.mark.parametrize(
    "texts",
    [
        {"train.txt": lines(*IMAGES[:3])},
        {"train.txt": lines(*IMAGES[:3]), "test.txt": lines("a word", "another", IMAGES[4])},
        {"train.txt": lines(*IMAGES), "trainval.txt": lines(*IMAGES)},
    ],
)
def test_a_single_list_and_texts_of_something_else_give_none(tmp_path: Path, texts: dict[str, str]) -> None:
    assert read(tmp_path, texts).splits == {}


def test_an_image_in_lists_of_two_splits_gets_none(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"train.txt": lines(*IMAGES[:4]), "test.txt": lines(*IMAGES[3:])})
    assert IMAGES[3] not in labeling.splits
    assert labeling.splits[IMAGES[0]] == "train"


def test_splits_that_the_folders_say_stay(tmp_path: Path) -> None:
    images = ["train/cat/1.jpg", "test/cat/2.jpg"]
    labeling = read(tmp_path, {"train.txt": lines(images[1]), "test.txt": lines(images[0])}, images)
    assert labeling.splits == {images[0]: "train", images[1]: "test"}
