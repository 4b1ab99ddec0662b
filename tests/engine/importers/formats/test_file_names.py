"""Beginnings of file names are offered as labels where nothing else gives any, and never taken by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.importers.formats import FORMATS, Found, images_only, read_labels
from tests.engine.importers.formats.views import view


def found(folder: Path, images: list[str], texts: dict[str, str] | None = None, reading: str = "auto") -> Found:
    return read_labels(view(folder, images, texts or {}), reading)


def numbered(*patterns: str, each: int = 3) -> list[str]:
    return [pattern.format(at) for pattern in patterns for at in range(each)]


@pytest.mark.parametrize(
    ("patterns", "labels"),
    [
        (("train/cat.{}.jpg", "train/dog.{}.jpg"), {"cat", "dog"}),
        (("great_dane_{}.png", "Beagle_{}.png"), {"great_dane", "Beagle"}),
        (("scan ({}) .tif", "Käfer-{}a.tif", "Bär ({}).tif", "Elch ({}).tif"), {"Bär", "Elch"}),
    ],
)
def test_beginnings_before_a_number_are_offered_and_read_if_wished(
    tmp_path: Path, patterns: tuple[str, ...], labels: set[str]
) -> None:
    images = numbered(*patterns)
    auto = found(tmp_path, images)
    assert (auto.labeling.labels, auto.key == "file_names") == ({}, False)
    (offered,) = [one for one in auto.readings if one.key == "file_names"]
    assert (offered.labeled, offered.classes) == (3 * len(labels), len(labels))
    wished = found(tmp_path, images, reading="file_names")
    assert set(wished.labeling.labels.values()) == labels


@pytest.mark.parametrize(
    "patterns",
    [
        ("IMG_{}.jpg", "DSC{}.jpg"), ("scene1_frame{}.png", "scene2_frame{}.png"), ("{}.png", "1{}.png"),
        ("cat.{}.jpg",), ("train_{}.jpg", "test_{}.jpg"), ("a{}.png", "b{}.png"),
    ],
)  # fmt: skip
def test_words_of_cameras_numbers_splits_and_a_single_beginning_are_not_offered(
    tmp_path: Path, patterns: tuple[str, ...]
) -> None:
    assert "file_names" not in {one.key for one in found(tmp_path, numbered(*patterns)).readings}


def test_they_are_not_offered_beside_labels(tmp_path: Path) -> None:
    images = numbered("cat.{}.jpg", "dog.{}.jpg")
    by_table = found(tmp_path, images, {"labels.csv": "file,label\ncat.0.jpg,tabby\ncat.1.jpg,siamese\n"})
    assert by_table.key == "table"
    assert "file_names" not in {one.key for one in by_table.readings}


def test_images_alone_stay_what_is_taken_before_them() -> None:
    keys = list(FORMATS)
    assert keys.index(images_only.FORMAT.key) < keys.index("file_names")
