from pathlib import Path

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import imagenet_txt
from tests.engine.importers.formats.views import view

SYNSETS = "cat\ndog\nowl\n"
IMAGES = ["images/000.png", "images/001.png", "images/my cat 7.png", "images/003.png"]


def test_numbers_are_named_and_the_list_is_the_split(tmp_path: Path) -> None:
    texts = {"synsets.txt": SYNSETS, "train.txt": '000.png 0\n"my cat 7".png 1\n', "test.txt": "001.png 2\n003.png\n"}
    source = view(tmp_path, IMAGES, texts)
    assert imagenet_txt.detect(source) is not None
    labeling = imagenet_txt.read(source, {})
    assert labeling.labels == {"images/000.png": "cat", "images/my cat 7.png": "dog", "images/001.png": "owl"}
    assert labeling.splits == {
        "images/000.png": "train", "images/my cat 7.png": "train", "images/001.png": "test", "images/003.png": "test",
    }  # fmt: skip
    assert labeling.test == {"images/001.png"}
    assert (labeling.classes, labeling.refused, labeling.used) == (("cat", "dog", "owl"), (), texts.keys())


def test_a_name_without_an_ending_and_one_with_spaces_find_their_images(tmp_path: Path) -> None:
    labeling = imagenet_txt.read(
        view(tmp_path, IMAGES, {"synsets.txt": SYNSETS, "a.txt": "000 0\nmy cat 7.png 1\n"}), {}
    )
    assert labeling.labels == {"images/000.png": "cat", "images/my cat 7.png": "dog"}


def test_quotes_may_hold_the_ending(tmp_path: Path) -> None:
    texts = {"synsets.txt": SYNSETS, "a.txt": '"my cat 7.png" 1\n"000" 0\n"003".png\n'}
    labeling = imagenet_txt.read(view(tmp_path, IMAGES, texts), {})
    assert labeling.labels == {"images/000.png": "cat", "images/my cat 7.png": "dog"}
    assert labeling.refused == ()


def test_several_numbers_are_several_labels(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"synsets.txt": SYNSETS, "train.txt": "000.png 0 2\n001.png 1\n"})
    labeling = imagenet_txt.read(source, {})
    assert (labeling.labels, labeling.conflicts) == ({"images/001.png": "dog"}, {"images/000.png": ("cat", "owl")})
    assert imagenet_txt.read(source, {"several": "first"}).labels["images/000.png"] == "cat"


def test_what_cannot_be_taken_is_listed(tmp_path: Path) -> None:
    texts = {"synsets.txt": SYNSETS, "train.txt": "000.png 0\n001.png 9\n003.png 1\ngone.png 1\nbad.png 1\n"}
    labeling = imagenet_txt.read(view(tmp_path, IMAGES, texts, ["bad.png"]), {})
    assert labeling.labels == {"images/000.png": "cat", "images/003.png": "dog"}
    assert [(one.name, one.reason) for one in labeling.refused] == [
        ("train.txt, row 2: 001.png", "class 9 is not among the 3 of synsets.txt"),
        ("train.txt, row 4: gone.png", "there is no such file"),
        ("train.txt, row 5: bad.png", "its image was refused"),
    ]


@pytest.mark.parametrize(
    "texts", [{}, {"synsets.txt": SYNSETS}, {"train.txt": "000.png 0"}, {"synsets.txt": "", "a.txt": ""}]
)
def test_without_both_files_it_is_another_format(tmp_path: Path, texts: dict[str, str]) -> None:
    source = view(tmp_path, IMAGES, texts)
    assert imagenet_txt.detect(source) is None
    with pytest.raises(ImportRefused, match=r"synsets\.txt"):
        imagenet_txt.read(source, {})
