"""YOLO's text files of boxes: one class is the label of an image, several are asked about, nothing is lost unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.importers.formats import Found, read_labels
from tests.engine.importers.formats.views import view

BOX = "0.5 0.5 0.2 0.25"


def boxes(*numbers: int) -> str:
    return "".join(f"{number} {BOX}\n" for number in numbers)


def found(folder: Path, images: list[str], texts: dict[str, str], **answers: str) -> Found:
    return read_labels(view(folder, images, texts), answers=answers)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/{}.jpg", "labels/{}.txt"),
        ("images/train/{}.jpg", "labels/train/{}.txt"),
        ("train/images/{}.jpg", "train/labels/{}.txt"),
        ("{}.jpg", "labels/{}.txt"),
        ("obj_train_data/{}.png", "obj_train_data/{}.txt"),
    ],
)
@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("data.yaml", "nc: 2\nnames: ['cat', 'dog']\n"),
        ("data.yaml", "names:\n  0: cat\n  1: dog\n"),
        ("classes.txt", "cat\ndog\n"),
        ("obj.names", "cat\ndog\n"),
    ],
)
def test_the_class_that_all_boxes_of_an_image_have_is_its_label(
    tmp_path: Path, image: str, text: str, name: str, names: str
) -> None:
    images = [image.format(at) for at in range(4)]
    texts = {text.format(at): boxes(*one) for at, one in enumerate([(0,), (1, 1), (), (1,)])}
    read = found(tmp_path, images, {**texts, name: names})
    assert read.key == "yolo_boxes"
    assert [read.labeling.labels.get(one) for one in images] == ["cat", "dog", None, "dog"]
    assert read.labeling.refused == ()
    assert any("1 image without a box" in one for one in read.labeling.notices)
    assert name in read.labeling.used


def test_boxes_of_several_classes_are_asked_about(tmp_path: Path) -> None:
    texts = {"1.txt": boxes(1, 0), "2.txt": boxes(0), "classes.txt": "cat\ndog\n"}
    labeling = found(tmp_path, ["1.png", "2.png"], texts).labeling
    assert labeling.labels == {"2.png": "cat"}
    assert labeling.conflicts == {"1.png": ("dog", "cat")}
    assert [one.key for one in labeling.questions if one.doubtful] == ["several"]
    assert found(tmp_path, ["1.png", "2.png"], texts, several="first").labeling.labels["1.png"] == "dog"


def test_outlines_are_read_as_boxes_are_and_without_names_classes_are_numbers(tmp_path: Path) -> None:
    texts = {"1.txt": f"0 {BOX} 0.1 0.2 0.3 0.4\n", "2.txt": boxes(3)}
    labeling = found(tmp_path, ["1.png", "2.png"], texts).labeling
    assert labeling.labels == {"1.png": "0", "2.png": "3"}
    assert any("the classes are numbers" in one for one in labeling.notices)


def test_numbers_without_0_count_from_0_unless_they_pass_the_last_class(tmp_path: Path) -> None:
    images = ["1.png", "2.png"]
    plain = found(tmp_path, images, {"1.txt": boxes(1), "2.txt": boxes(1), "classes.txt": "cat\ndog\nowl\n"}).labeling
    assert plain.labels == {"1.png": "dog", "2.png": "dog"}
    assert not [one for one in plain.questions if one.doubtful]
    shifted = found(tmp_path, images, {"1.txt": boxes(1), "2.txt": boxes(2), "classes.txt": "cat\ndog\n"}).labeling
    assert shifted.labels == {"1.png": "cat", "2.png": "dog"}
    assert any("counted from 1" in one for one in shifted.notices)


def test_a_class_that_is_not_named_and_a_file_of_something_else_are_told(tmp_path: Path) -> None:
    texts = {"1.txt": boxes(0), "2.txt": boxes(7), "3.txt": "a photo of a cat", "data.yaml": "names: {0: cat}"}
    labeling = found(tmp_path, ["1.png", "2.png", "3.png"], texts).labeling
    assert labeling.labels == {"1.png": "cat"}
    told = {one.name.partition(",")[0]: one.reason for one in labeling.refused}
    assert "class 7 is not among the 1" in told["2.txt"]
    assert "no numbers" in told["3.txt"]


def test_texts_of_class_names_are_no_boxes(tmp_path: Path) -> None:
    texts = {"1.txt": "0", "2.txt": "1", "3.txt": "0", "4.txt": "1"}
    assert found(tmp_path, [f"{at}.png" for at in range(1, 5)], texts).key == "text_an_image"
