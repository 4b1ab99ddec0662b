"""Tables as people send them: what names a file almost, cells in single quotes, rows with another separator."""

from __future__ import annotations

import json

import pytest

from engine.importers.formats import read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.table_samples import doubts, read_files, read_text


def reasons(labeling: Labeling) -> dict[str, str]:
    return {one.name.rpartition(": ")[2]: one.reason for one in labeling.refused}


@pytest.mark.parametrize(
    ("images", "cells", "told"),
    [
        (["1.jpg", "2.jpg"], ["1.0", "2.0"], "by numbers with a point"),
        (["007.jpg", "008.jpg"], ["7.0", "8.0"], "by numbers with a point"),
        (["scan 1.png", "scan 2.png"], ["scan_1.png", "scan_2.png"], "other marks between the words"),
        (["scan (1).png", "scan (2).png"], ["scan-1.jpg", "scan-2"], "other marks between the words"),
        (["a/x y.png", "b/x y.png"], ["a/x_y.png", "b/x_y.png"], "other marks between the words"),
    ],
)
def test_a_file_that_is_almost_named_is_found_and_told(images: list[str], cells: list[str], told: str) -> None:
    labeling = read_text(f"image,label\n{cells[0]},cat\n{cells[1]},dog\n", images)
    assert labeling.labels == {images[0]: "cat", images[1]: "dog"}
    assert any(told in one and "names 2 files" in one for one in labeling.notices)


def test_a_row_that_almost_names_a_file_gives_way_to_the_one_that_names_it() -> None:
    labeling = read_text("image,label\nimg-1.png,dog\nimg_1.png,cat\nimg 1.jpg,owl\n", ["img_1.png", "2.png"])
    assert (labeling.labels, labeling.conflicts) == ({"img_1.png": "cat"}, {})
    assert set(reasons(labeling)) == {"img-1.png", "img 1.jpg"}
    assert all("has its own row" in one for one in reasons(labeling).values())


def test_of_two_rows_that_almost_name_one_file_none_counts() -> None:
    labeling = read_text("image,label\nimg-1.png,dog\nimg 1.png,cat\n2.png,owl\n", ["img_1.png", "2.png"])
    assert labeling.labels == {"2.png": "owl"}
    assert all("several rows could mean img_1.png" in one for one in reasons(labeling).values())


@pytest.mark.parametrize("name", ["x y.png", "c/x_y.png"])
def test_other_marks_do_not_reach_into_another_folder(name: str) -> None:
    labeling = read_text("image,label\na/x-y.png,cat\nb.png,dog\n", [f"z/{name}", "b.png"])
    assert labeling.labels == {"b.png": "dog"}


def test_a_table_means_the_files_of_its_own_folder_and_those_below_it() -> None:
    images = [f"{part}/images/{at}.jpg" for part in ("train", "valid", "other/train") for at in range(3)]
    rows = {part: "".join(f"{at}.jpg,{part}{at % 2}\n" for at in range(3)) for part in ("train", "valid")}
    files = {f"{part}/ann/labels.csv": f"image,label\n{text}".encode() for part, text in rows.items()}
    labeling = read_files(files, images)
    assert labeling.labels == {f"{part}/images/{at}.jpg": f"{part}{at % 2}" for part in rows for at in range(3)}
    assert labeling.refused == ()


def test_a_table_above_several_files_of_a_name_means_none_of_them() -> None:
    labeling = read_text("image,label\n0.jpg,cat\n1.jpg,dog\n", ["a/0.jpg", "b/0.jpg", "a/1.jpg"])
    assert labeling.labels == {"a/1.jpg": "dog"}
    assert reasons(labeling) == {"0.jpg": "several files have this name"}


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_cells_in_single_quotes_are_read_without_them(separator: str) -> None:
    rows = [("filename", "label"), ("1.png", "big, brown"), ("2.png", "dog")]
    text = "".join(separator.join(f"'{cell}'" for cell in row) + "\n" for row in rows)
    labeling = read_text(text, ["1.png", "2.png"])
    assert labeling.labels == {"1.png": "big, brown", "2.png": "dog"}
    assert any("single quotes" in one for one in labeling.notices)


def test_an_apostrophe_is_no_quote() -> None:
    labeling = read_text("filename,label\n1.png,'t Hooft\n2.png,d'Or\n", ["1.png", "2.png"])
    assert labeling.labels == {"1.png": "'t Hooft", "2.png": "d'Or"}


def test_rows_with_another_separator_are_read_and_told() -> None:
    text = "filename,label\n1.png,cat\n2.png;dog\n3.png\tcat\n4.png dog\n5.png\n"
    labeling = read_text(text, [f"{at}.png" for at in range(1, 6)])
    assert labeling.labels == {"1.png": "cat", "2.png": "dog", "3.png": "cat", "4.png": "dog"}
    assert any("3 rows have another separator" in one and "row 3" in one for one in labeling.notices)
    assert [one.reason for one in labeling.refused] == ["1 columns where the header has 2"]


@pytest.mark.parametrize("around", [{"version": 2, "tags": ["a"]}, {}])
def test_the_only_list_of_records_in_an_object_is_read(around: dict[str, object]) -> None:
    records = [{"image": f"{at}.png", "label": "cat" if at % 2 else "dog"} for at in range(4)]
    text = json.dumps({**around, "data": records})
    labeling = read_text(text, [f"{at}.png" for at in range(4)], "set.json")
    assert labeling.labels == {f"{at}.png": "cat" if at % 2 else "dog" for at in range(4)}
    assert doubts(labeling) == set()


def test_a_verified_label_of_confidence_0_says_that_the_class_is_not_there() -> None:
    text = "ImageID,Source,LabelName,Confidence\n1,verification,cat,1\n1,verification,dog,0\n2,verification,cat,0\n"
    labeling = read_text(text, ["1.jpg", "2.jpg"])
    assert (labeling.labels, labeling.conflicts) == ({"1.jpg": "cat"}, {})
    assert doubts(labeling) == {"confidence_0"}
    kept = read_text(text, ["1.jpg", "2.jpg"], answers={"confidence_0": "keep"})
    assert (kept.labels, kept.conflicts) == ({"2.jpg": "cat"}, {"1.jpg": ("cat", "dog")})


@pytest.mark.parametrize("shares", [("0.9", "0.2"), ("1", "1"), ("0", "0.5"), ("", "1")])
def test_other_confidences_take_no_label_away(shares: tuple[str, str]) -> None:
    text = f"file,label,confidence\n1.jpg,cat,{shares[0]}\n2.jpg,dog,{shares[1]}\n"
    labeling = read_text(text, ["1.jpg", "2.jpg"])
    assert labeling.labels == {"1.jpg": "cat", "2.jpg": "dog"}
    assert doubts(labeling) == set()


@pytest.mark.parametrize("no", ["0", "-1"])
def test_columns_of_yes_and_no_are_a_class_each(no: str) -> None:
    labeling = read_text(f"image,cat,dog,owl\n1.jpg,1,{no},{no}\n2.jpg,{no},1,{no}\n3.jpg,{no},{no},{no}\n",
                         ["1.jpg", "2.jpg", "3.jpg"])  # fmt: skip
    assert labeling.labels == {"1.jpg": "cat", "2.jpg": "dog"}
    assert labeling.classes == ("cat", "dog", "owl")


@pytest.mark.parametrize("mark", ["|", ";"])
def test_a_mark_that_no_class_has_in_its_name_is_always_asked_about(mark: str) -> None:
    text = f'image,finding\n1.jpg,Mass\n2.jpg,"Edema{mark}Hernia"\n3.jpg,Mass\n4.jpg,Nodule\n'
    labeling = read_text(text, [f"{at}.jpg" for at in range(1, 5)])
    assert doubts(labeling) == {"several"}


PATIENTS = [f"data/{patient:03d}/{at}.png" for patient in (1, 2, 30) for at in range(2)]


@pytest.mark.parametrize("cells", [("001", "002", "030"), ("1", "2", "30"), ("data/001", "data\\002", "./data/030/")])
def test_a_row_that_names_a_folder_counts_for_all_images_in_it(cells: tuple[str, str, str]) -> None:
    rows = zip(cells, ("cat", "dog", "cat"), strict=True)
    labeling = read_text("patient;age;diagnosis\n" + "".join(f"{one};4,5;{label}\n" for one, label in rows), PATIENTS)
    assert [labeling.labels.get(name) for name in PATIENTS] == ["cat", "cat", "dog", "dog", "cat", "cat"]
    assert labeling.columns["patient"][PATIENTS[2]] == cells[1], "the folder is a group"
    assert any("names folders" in one and "2" in one for one in labeling.notices)


def test_a_row_of_a_folder_that_is_not_here_is_told() -> None:
    rows = "".join(f"{patient},cat\n" for patient in (1, 2, *range(60, 70)))
    labeling = read_text(f"patient,diagnosis\n{rows}", PATIENTS)
    assert labeling.labels == dict.fromkeys(PATIENTS[:4], "cat")
    assert any("10 rows name no folder that is here, such as row 4" in one for one in labeling.notices)


@pytest.mark.parametrize(
    ("text", "images", "labels"),
    [
        (  # the folder and the file in two columns
            "session,frame,label\ns0,0,cat\ns0,1,dog\ns1,0,dog\ns1,1,cat\n",
            ["s0/0.png", "s0/1.png", "s1/0.png", "s1/1.png"], ["cat", "dog", "dog", "cat"],
        ),
        (  # files that are called as folders are
            "id,label\n1,cat\n2,dog\n", ["1/x.png", "2/x.png", "1.png", "2.png"], [None, None, "cat", "dog"],
        ),
    ],
)  # fmt: skip
def test_a_table_that_names_files_is_none_of_folders(text: str, images: list[str], labels: list[str | None]) -> None:
    labeling = read_text(text, images)
    assert [labeling.labels.get(name) for name in images] == labels


def test_a_table_about_class_folders_takes_no_label_from_them() -> None:
    images = ["cat/1.png", "cat/2.png", "dog/1.png"]
    found = read_files({"info.csv": b"class,latin\ncat,felis\ndog,canis\n"}, images, read=lambda source, answers:
                       read_labels(source, answers=answers).labeling)  # fmt: skip
    assert found.labels == {"cat/1.png": "cat", "cat/2.png": "cat", "dog/1.png": "dog"}


@pytest.mark.parametrize("header", ["id_code,diagnosis", "image,label"])
def test_a_table_called_as_a_split_means_the_files_in_the_folder_of_that_split(header: str) -> None:
    images = [f"{part}_images/{at:03d}.png" for part in ("train", "test") for at in range(4)]
    rows = "".join(f"{at:03d},{at % 2}\n" for at in range(4))
    files = {"train.csv": f"{header}\n{rows}", "test.csv": header.partition(",")[0] + "\n000\n001\n"}
    labeling = read_files({name: text.encode() for name, text in files.items()}, images)
    assert labeling.labels == {f"train_images/{at:03d}.png": str(at % 2) for at in range(4)}
