"""What the numbers that stand for classes mean: the list beside them, and whether it counts from 0 or from 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.importers.formats import read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.views import view

IMAGES = [f"{at:03d}.png" for at in range(6)]
Say = Callable[[list[object]], dict[str, str]]


def table(numbers: list[object]) -> dict[str, str]:
    return {"labels.csv": "image,label\n" + "".join(f"{at:03d}.png,{one}\n" for at, one in enumerate(numbers))}


def lines(numbers: list[object]) -> dict[str, str]:
    return {"list.txt": "".join(f"{at:03d}.png {one}\n" for at, one in enumerate(numbers))}


def texts(numbers: list[object]) -> dict[str, str]:
    return {f"{at:03d}.txt": f"{one}\n" for at, one in enumerate(numbers)}


def read(folder: Path, beside: dict[str, str], images: list[str] | None = None, **answers: str) -> Labeling:
    return read_labels(view(folder, images or IMAGES, beside), answers=answers).labeling


def by_number(labeling: Labeling) -> list[str | None]:
    return [labeling.labels.get(name) for name in IMAGES]


def doubtful(labeling: Labeling) -> list[str]:
    return [one.key for one in labeling.questions if one.doubtful]


@pytest.mark.parametrize("say", [table, lines, texts])
def test_a_list_without_numbers_counts_from_0_where_0_occurs(tmp_path: Path, say: Say) -> None:
    labeling = read(tmp_path, {**say([0, 1, 0, 1, 0, 1]), "classes.txt": "cat\ndog\nowl\n"})
    assert by_number(labeling) == ["cat", "dog"] * 3
    assert doubtful(labeling) == []


@pytest.mark.parametrize("say", [table, lines, texts])
def test_it_counts_from_1_where_the_number_of_classes_occurs(tmp_path: Path, say: Say) -> None:
    labeling = read(tmp_path, {**say([1, 2, 1, 2, 1, 2]), "classes.txt": "cat\ndog\n"})
    assert by_number(labeling) == ["cat", "dog"] * 3
    assert labeling.refused == ()
    assert any("counted from 1" in one and "1 is cat, 2 is dog" in one for one in labeling.notices)
    assert doubtful(labeling) == []
    beside = {**say([1, 2, 1, 2, 1, 2]), "classes.txt": "cat\ndog\n"}
    assert by_number(read(tmp_path, beside, count_from="numbers")) == ["1", "2"] * 3


@pytest.mark.parametrize("say", [table, lines, texts])
def test_where_it_could_count_from_either_it_is_asked(tmp_path: Path, say: Say) -> None:
    beside = {**say([1, 2, 1, 2, 1, 2]), "classes.txt": "ant\ncat\ndog\nelk\n"}
    asked = read(tmp_path, beside)
    assert by_number(asked) == ["cat", "dog"] * 3
    assert doubtful(asked) == ["count_from"]
    assert by_number(read(tmp_path, beside, count_from="1")) == ["ant", "cat"] * 3
    assert by_number(read(tmp_path, beside, count_from="0")) == ["cat", "dog"] * 3
    kept = read(tmp_path, beside, count_from="numbers")
    assert by_number(kept) == ["1", "2"] * 3
    assert [one.key for one in kept.questions if one.key == "count_from"] == ["count_from"], "it can be changed again"


@pytest.mark.parametrize("say", [table, lines])
def test_a_list_with_numbers_is_never_shifted(tmp_path: Path, say: Say) -> None:
    labeling = read(tmp_path, {**say([1, 2, 1, 2, 1, 2]), "classes.txt": "1 cat\n2 dog\n3 owl\n"})
    assert by_number(labeling) == ["cat", "dog"] * 3
    assert doubtful(labeling) == []


def test_imagenet_lists_that_count_from_1_are_named_right(tmp_path: Path) -> None:
    lists = {"train.txt": "".join(f"{at:03d}.png {at % 2 + 1}\n" for at in range(6)), "synsets.txt": "cat\ndog\n"}
    labeling = read(tmp_path, lists)
    assert (by_number(labeling), labeling.refused) == (["cat", "dog"] * 3, ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.csv", "class_id,class_name\n1,cat\n2,dog\n"),
        ("signnames.csv", "ClassId;SignName\n1;cat\n2;dog\n"),
        ("anything.csv", "id,breed\n2,dog\n1,cat\n"),
        ("class_names.csv", "1,cat\n2,dog\n"),
        ("data.yaml", "nc: 3\nnames:\n  1: cat\n  2: dog\n"),
        ("dataset.yml", "path: ../x\nnames: [ant, cat, dog]\n"),
        ("class_to_idx.json", '{"cat": 1, "dog": 2}'),
        ("label_num_to_name.json", '{"1": "cat", "2": "dog"}'),
        ("classes.txt", "1=cat\n2=dog\n"),
    ],
)
def test_a_table_or_a_file_of_names_names_the_numbers_and_is_no_table_of_images(
    tmp_path: Path, name: str, text: str
) -> None:
    """The images 1.png and 2.png, which the numbers of the classes could name, get the labels of their own rows."""
    images = [f"{at}.png" for at in range(1, 7)]
    rows = "image,label\n" + "".join(f"{at}.png,{at % 2 + 1}\n" for at in range(1, 7))
    labeling = read(tmp_path, {"labels.csv": rows, name: text}, images)
    assert [labeling.labels.get(one) for one in images] == ["dog", "cat"] * 3
    assert (labeling.conflicts, doubtful(labeling)) == ({}, [])
    assert name in labeling.used


def test_a_list_of_classes_alone_labels_no_image(tmp_path: Path) -> None:
    assert read(tmp_path, {"classes.csv": "id,name\n1,cat\n2,dog\n"}, ["1.png", "2.png"]).labels == {}


def test_a_small_table_of_images_with_a_class_each_is_no_list_of_classes(tmp_path: Path) -> None:
    assert read(tmp_path, {"labels.csv": "id,label\n1,cat\n2,dog\n"}, ["1.png", "2.png"]).labels == {
        "1.png": "cat", "2.png": "dog",
    }  # fmt: skip


def test_numbers_with_a_point_are_named_and_minus_1_stays(tmp_path: Path) -> None:
    labeling = read(tmp_path, {**table(["0.0", "1.0", "", "-1", "0.0", "1.0"]), "classes.txt": "cat\ndog\n"})
    assert by_number(labeling) == ["cat", "dog", None, "-1", "cat", "dog"]


def test_a_list_in_another_encoding_than_utf_8_is_read(tmp_path: Path) -> None:
    classes = "Käfer\nBär\n".encode("cp1252")
    source = view(tmp_path, IMAGES, {**table([0, 1, 0, 1, 0, 1]), "classes.txt": classes})
    assert by_number(read_labels(source).labeling) == ["Käfer", "Bär"] * 3


@pytest.mark.parametrize(
    ("name", "text"), [("classes.txt", "cat\ndog\n"), ("class_names.csv", "id,name\n0,cat\n1,dog\n")]
)
def test_class_folders_that_are_numbers_are_named(tmp_path: Path, name: str, text: str) -> None:
    images = [f"{at % 2:02d}/{at}.png" for at in range(6)]
    labeling = read(tmp_path, {name: text}, images)
    assert [labeling.labels[one] for one in images] == ["cat", "dog"] * 3
    assert any("00 is cat, 01 is dog" in one for one in labeling.notices)
    (question,) = [one for one in labeling.questions if one.key == "names"]
    assert question.chosen == "words"
    kept = read(tmp_path, {name: text}, images, names="numbers")
    assert [kept.labels[one] for one in images] == ["00", "01"] * 3


def test_class_folders_of_which_the_list_names_not_all_stay_numbers(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"classes.txt": "cat\ndog\n"}, ["0/1.png", "7/2.png"])
    assert labeling.labels == {"0/1.png": "0", "7/2.png": "7"}
