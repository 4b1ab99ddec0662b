import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ImportRefused
from engine.importers.formats import labels_txt, read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.views import view

IMAGES = ["img/a.png", "img/b 2.png", "img/c.png"]


def read(folder: Path, texts: dict[str, str], images: list[str] | None = None, **answers: str) -> Labeling:
    return labels_txt.read(view(folder, images or IMAGES, texts), answers)


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", ", "])
def test_a_file_and_a_label_a_line(tmp_path: Path, separator: str) -> None:
    text = f"# made by hand\nimg/a.png{separator}cat\n\nimg/b 2.png{separator}dog\r\nc.png{separator}cat\n"
    found = read_labels(view(tmp_path, IMAGES, {"list.txt": text}))
    assert found.key == "labels_txt"
    assert found.labeling.labels == {"img/a.png": "cat", "img/b 2.png": "dog", "img/c.png": "cat"}
    assert (found.labeling.refused, found.labeling.used) == ((), {"list.txt"})


def test_a_label_of_several_words_is_kept_where_only_it_leaves_a_file(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"l.txt": "img/a.png great grey owl\nimg/b 2.png barn owl\n"})
    assert labeling.labels == {"img/a.png": "great grey owl", "img/b 2.png": "barn owl"}


def test_numbers_are_named_by_the_list_of_classes_beside(tmp_path: Path) -> None:
    texts = {"set/train.txt": "a.png 0\nc.png 1\n", "set/classes.txt": "cat\ndog\nowl\n"}
    labeling = read(tmp_path, texts, ["set/a.png", "set/c.png"])
    assert labeling.labels == {"set/a.png": "cat", "set/c.png": "dog"}
    assert labeling.classes == ("cat", "dog", "owl")
    assert labeling.splits == {"set/a.png": "train", "set/c.png": "train"}
    assert labeling.used == texts.keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "cat\ndog\n"),
        ("class_names.txt", "0 cat\n1 dog\n"),
        ("categories_places365.txt", "cat 0\ndog 1\n"),
        ("labels.json", '["cat", "dog"]'),
        ("classes.json", '{"0": "cat", "1": "dog"}'),
        ("label_map.json", '{"cat": 0, "dog": 1}'),
        ("synset_words.txt", "n01440764 cat, Felis catus\nn02012849 dog, domestic dog\n"),
        ("obj.names", "cat\ndog\n"),
        ("dataset_info.json", '{"features": {"y": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}'),
    ],
)
def test_lists_of_classes_come_in_many_forms(tmp_path: Path, name: str, text: str) -> None:
    labeling = read(tmp_path, {"val.txt": "img/a.png 0\nimg/c.png 1\n", name: text})
    assert labeling.labels == {"img/a.png": "cat", "img/c.png": "dog"}
    assert labeling.classes == ("cat", "dog")


def test_folders_that_name_classes_come_before_numbers_that_nothing_names(tmp_path: Path) -> None:
    images, text = ["cat/1.png", "dog/2.png"], "cat/1.png 0\ndog/2.png 1\n"
    assert read_labels(view(tmp_path, images, {"list.txt": text})).key == "class_tree"
    assert read_labels(view(tmp_path, images, {"list.txt": text, "classes.txt": "Katze\nHund\n"})).key == "labels_txt"


def test_another_list_of_files_names_no_classes(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"labels_a.txt": "img/a.png 0\n", "labels_b.txt": "img/c.png 0\nimg/b 2.png 1\n"})
    assert labeling.labels == {"img/a.png": "0", "img/c.png": "0", "img/b 2.png": "1"}


@pytest.mark.parametrize("text", ["0\n1\n1\n", "cat\ndog\ncat\n", "cat\n\x07\n", ""])
def test_a_list_that_repeats_itself_or_is_damaged_names_no_classes(tmp_path: Path, text: str) -> None:
    labeling = read(tmp_path, {"val.txt": "img/a.png 0\nimg/c.png 1\n", "labels.txt": text})
    assert labeling.labels == {"img/a.png": "0", "img/c.png": "1"}


def test_numbers_without_a_list_stay_numbers_and_that_is_told(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"train.txt": "img/a.png 007\nimg/c.png 1\n"})
    assert labeling.labels == {"img/a.png": "007", "img/c.png": "1"}
    assert any("are numbers: no list of class names" in one for one in labeling.notices)


def test_lines_that_disagree_are_left_to_a_person(tmp_path: Path) -> None:
    texts = {"l.txt": "img/a.png cat\nimg/a.png dog\nimg/c.png cat\n"}
    assert read(tmp_path, texts).conflicts == {"img/a.png": ("cat", "dog")}
    assert read(tmp_path, texts, several="first").labels["img/a.png"] == "cat"


def test_a_number_that_no_class_has_is_refused(tmp_path: Path) -> None:
    labeling = read(tmp_path, {"l.txt": "img/a.png 0\nimg/c.png 5\ngone.png 1\n", "classes.txt": "cat\ndog\n"})
    assert labeling.labels == {"img/a.png": "cat"}
    assert [(one.name, one.reason) for one in labeling.refused] == [
        ("l.txt, row 2: img/c.png 5", "class 5 is not among the 2 that are named"),
        ("l.txt, row 3: gone.png 1", "there is no such file"),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        {"README.txt": "All rights reserved.\nMade in 2020.\n"},
        {"img/a.txt": "0 0.5 0.5 0.2 0.2\n", "img/c.txt": "1 0.5 0.5 0.2 0.2\n"},
        {
            "README.roboflow.txt": "pets - v1\n\nProvided by a Roboflow user\n",
            "README.dataset.txt": "# pets\nhttps://x\n",
        },
        {"classes.txt": "cat\ndog\n"},
        {"list.txt": "img/a.png\nimg/c.png\n"},
        {"empty.txt": ""},
        {"boxes.txt": "img/a.png 1 20 30\nimg/c.png 4 50 60\n"},
        {"scores.txt": "img/a.png cat 0.9\nimg/c.png dog 0.8\n"},
        {"table.txt": "img/a.png,cat,0.9\nimg/c.png,dog,0.8\n"},
    ],
)
def test_other_texts_are_no_lists(tmp_path: Path, texts: dict[str, str]) -> None:
    assert labels_txt.detect(view(tmp_path, IMAGES, texts)) is None
    with pytest.raises(ImportRefused, match="no text file"):
        read(tmp_path, texts)


def test_the_files_of_cub_are_read_together(tmp_path: Path) -> None:
    texts = {
        "CUB/images.txt": "1 001.Auk/a_1.jpg\n2 001.Auk/a_2.jpg\n3 002.Owl/a_1.jpg\n4 002.Owl/gone.jpg\n",
        "CUB/image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
        "CUB/classes.txt": "1 001.Auk\n2 002.Owl\n",
        "CUB/train_test_split.txt": "1 1\n2 0\n3 1\n4 1\n",
    }
    images = ["CUB/images/001.Auk/a_1.jpg", "CUB/images/001.Auk/a_2.jpg", "CUB/images/002.Owl/a_1.jpg"]
    found = read_labels(view(tmp_path, images, texts))
    assert found.key == "labels_txt"
    assert found.labeling.labels == dict(zip(images, ["001.Auk", "001.Auk", "002.Owl"], strict=True))
    assert found.labeling.test == {images[1]}
    assert [one.name for one in found.labeling.refused] == ["CUB/images.txt: 002.Owl/gone.jpg"]
    assert found.labeling.used == texts.keys()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["img/a.png", "c.png", " ", "\t", ",", "cat", "1", "\n", "..", '"', "\x00", "\ud7ff"]),
        max_size=30,
    )
)
def test_any_text_is_read_or_refused(tmp_path: Path, parts: list[str]) -> None:
    source = view(tmp_path, IMAGES, {"l.txt": "".join(parts), "classes.txt": "".join(parts[:5])})
    labels_txt.detect(source)
    with suppress(ImportRefused):
        assert set(labels_txt.read(source, {}).labels) <= set(IMAGES)


@pytest.mark.speed
def test_a_hundred_thousand_lines_are_read_in_seconds(tmp_path: Path) -> None:
    names = [f"images/{number % 1000}/{number:06}.png" for number in range(100_000)]
    text = "".join(f"{name.removeprefix('images/')} {number % 1000}\n" for number, name in enumerate(names))
    source = view(tmp_path, names, {"train.txt": text})
    began = time.monotonic()
    assert len(labels_txt.read(source, {}).labels) == 100_000
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("lists", "label"),
    [
        ({"classes.txt": "cat\n#1\ndog\n"}, "dog"),
        ({"classes.txt": "# our classes\ncat\nowl\ndog\n"}, "dog"),
        ({"classes.txt": "#1\n#2\n#3\n"}, "#3"),
        ({"classes.txt": "# 1\ncat\n2 dog\n", "classes.json": '["# 1", "cat", "2 dog"]'}, "2 dog"),
    ],
)
def test_a_class_may_look_like_a_comment_and_a_list_in_json_has_none(
    tmp_path: Path, lists: dict[str, str], label: str
) -> None:
    labeling = read(tmp_path, {"val.txt": "img/a.png 2\n", **lists})
    assert labeling.labels == {"img/a.png": label}
