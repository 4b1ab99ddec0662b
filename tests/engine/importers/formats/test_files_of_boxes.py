"""LabelMe, CreateML and Supervisely: what is said of the whole image is its label, or else the class of all boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.importers.formats import Found, read_labels
from tests.engine.importers.formats.views import view

SAID = [("cat",), ("dog", "dog"), ("cat", "dog"), ()]
IMAGES = [f"{at}.jpg" for at in range(4)]


def found(folder: Path, images: list[str], files: dict[str, Any], **answers: str) -> Found:
    texts = {name: json.dumps(value) for name, value in files.items()}
    return read_labels(view(folder, images, texts), answers=answers)


def labelme(name: str, shapes: tuple[str, ...], **flags: bool) -> dict[str, Any]:
    listed = [{"label": one, "points": [[0, 0], [2, 2]], "shape_type": "rectangle"} for one in shapes]
    return {"version": "5.4", "flags": flags, "shapes": listed, "imagePath": name, "imageData": "A" * 5000}


@pytest.mark.parametrize("named", ["{}", "..\\pictures\\{}", "C:/old/{}", "renamed.jpg"])
def test_flags_or_shapes_of_labelme_are_the_label(tmp_path: Path, named: str) -> None:
    files = {f"{at}.json": labelme(named.format(f"{at}.jpg"), one) for at, one in enumerate(SAID)}
    read = found(tmp_path, IMAGES, files)
    assert read.key == "labelme"
    assert read.labeling.labels == {"0.jpg": "cat", "1.jpg": "dog"}
    assert read.labeling.conflicts == {"2.jpg": ("cat", "dog")}
    assert [one.key for one in read.labeling.questions if one.doubtful] == ["several"]
    assert read.labeling.used == files.keys()
    flagged = {**files, "3.json": labelme("3.jpg", ("dog",), owl=True, elk=False)}
    by_flags = found(tmp_path, IMAGES, flagged).labeling
    assert (by_flags.labels, by_flags.classes) == ({"3.jpg": "owl"}, ("owl", "elk"))


def test_an_image_that_labelme_names_and_that_is_not_there_is_told(tmp_path: Path) -> None:
    read = found(tmp_path, ["0.jpg"], {"0.json": labelme("0.jpg", ("cat",)), "9.json": labelme("9.jpg", ("cat",))})
    assert [one.name for one in read.labeling.refused] == ["9.json, 9.jpg"]


def test_boxes_of_createml_give_the_label(tmp_path: Path) -> None:
    entries = [
        {"image": f"{at}.jpg", "annotations": [{"label": label, "coordinates": {"x": 1, "y": 1}} for label in one]}
        for at, one in enumerate(SAID)
    ]
    read = found(tmp_path, IMAGES, {"train/_annotations.createml.json": [*entries, {"image": "9.jpg"}, 7]})
    assert read.key == "createml"
    assert read.labeling.labels == {"0.jpg": "cat", "1.jpg": "dog"}
    assert read.labeling.conflicts == {"2.jpg": ("cat", "dog")}
    assert len(read.labeling.refused) == 2


@pytest.mark.parametrize("place", ["", "set/"])
def test_tags_or_objects_of_supervisely_are_the_label(tmp_path: Path, place: str) -> None:
    def files(*tags: tuple[int, str]) -> dict[str, Any]:
        made: dict[str, Any] = {
            f"{place}ann/{at}.jpg.json": {
                "size": {"height": 5, "width": 5}, "objects": [{"classTitle": label} for label in one],
                "tags": [{"name": label, "value": None} for number, label in tags if number == at],
            }
            for at, one in enumerate(SAID)
        }  # fmt: skip
        return {**made, "meta.json": {"classes": [{"title": "cat"}], "tags": []}}

    images = [f"{place}img/{name}" for name in IMAGES]
    read = found(tmp_path, images, files())
    assert read.key == "supervisely"
    assert [read.labeling.labels.get(one) for one in images] == ["cat", "dog", None, None]
    assert read.labeling.used == files().keys()
    tagged = found(tmp_path, images, files((3, "owl"), (0, "elk"))).labeling
    assert [tagged.labels.get(one) for one in images] == ["elk", None, None, "owl"]
