"""Several label files beside the same images: one is read, what the others say is told."""

import json
from pathlib import Path

from engine.importers.formats import read_labels
from engine.records.imports import GivenPrediction
from tests.engine.importers.formats.json_samples import COCO, FIFTYONE, IMAGES, LABEL_STUDIO, MEGADETECTOR, view
from tests.engine.importers.import_samples import Files, Importer, labels, png, reasons

NAMES = [f"images/{at}.png" for at in range(6)]
CLASSES = ("cat", "dog")


def sidecars() -> Files:
    """Six images, and their labels as COCO, as a Label Studio export and as text that no format is."""
    coco = {
        "images": [{"id": at, "file_name": f"{at}.png"} for at in range(6)],
        "annotations": [{"image_id": at, "category_id": at % 2} for at in range(6)],
        "categories": [{"id": at, "name": name} for at, name in enumerate(CLASSES)],
    }
    tasks = [
        {
            "data": {"image": f"/data/upload/1/ab{at}-{at}.png"},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": [CLASSES[at % 2]]}}]}],
        }
        for at in range(6)
    ]
    return {
        **{name: png(at) for at, name in enumerate(NAMES)},
        "annotations.json": json.dumps(coco).encode(),
        "export.json": json.dumps(tasks).encode(),
        "broken.json": b'{"a": ',
    }


def test_one_is_taken_and_the_others_are_told(importer: Importer) -> None:
    preview = importer.files(sidecars())
    assert labels(preview) == {name: CLASSES[at % 2] for at, name in enumerate(NAMES)}
    assert preview.reading == "label_studio"
    assert [one.key for one in preview.readings] == ["label_studio", "coco", "images_only"]
    assert not any("could also be read" in notice for notice in preview.notices), "it says the same"
    assert {"annotations.json", "broken.json"} <= set(reasons(preview))


def test_another_reading_can_be_chosen(importer: Importer) -> None:
    preview = importer.files(sidecars(), reading="coco")
    assert labels(preview) == {name: CLASSES[at % 2] for at, name in enumerate(NAMES)}
    assert preview.reading == "coco"


def test_a_format_that_labels_more_is_taken(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"labels.json": FIFTYONE, "ls.json": LABEL_STUDIO, "c.json": COCO})
    found = read_labels(source)
    assert found.key == "fiftyone"
    assert [one.key for one in found.readings] == ["fiftyone", "coco", "label_studio", "images_only"]


def test_label_files_beside_class_folders_are_read_and_the_folders_told(importer: Importer) -> None:
    files = {"fox/0.png": png(0), "elk/1.png": png(1), "labels.json": json.dumps(
        {"classes": None, "labels": {"fox/0": "red fox", "elk/1": "moose"}}
    ).encode()}  # fmt: skip
    preview = importer.files(files)
    assert labels(preview) == {"fox/0.png": "red fox", "elk/1.png": "moose"}
    assert any("could also be read as class tree" in notice for notice in preview.notices)


def test_label_files_that_label_nothing_leave_the_folders_their_labels(importer: Importer) -> None:
    files = {"fox/0.png": png(0), "elk/1.png": png(1), "c.json": json.dumps(COCO).encode()}
    preview = importer.files(files)
    assert labels(preview) == {"fox/0.png": "fox", "elk/1.png": "elk"}
    (notice,) = [notice for notice in preview.notices if "COCO was recognised" in notice]
    assert "c.json, image 1: 000.png: there is no such file" in notice


def test_predictions_alone_never_stand_before_labels(tmp_path: Path) -> None:
    tasks = [{"data": {"image": "fox/0.png"}, "predictions": LABEL_STUDIO[1]["predictions"]}]
    found = read_labels(view(tmp_path, ("fox/0.png", "elk/1.png"), {"tasks.json": tasks}))
    assert (found.key, found.labeling.labels) == ("class_tree", {"fox/0.png": "fox", "elk/1.png": "elk"})
    assert found.labeling.predictions == {"fox/0.png": GivenPrediction("dog", 0.81)}


def test_predictions_come_along(importer: Importer) -> None:
    files = {"fox/000.png": png(0), "elk/001.png": png(1), "md.json": json.dumps(MEGADETECTOR).encode()}
    preview = importer.files(files)
    assert labels(preview) == {"fox/000.png": "fox", "elk/001.png": "elk"}
    assert preview.predicted == 2


def test_a_question_is_answered_on_the_staged_files(importer: Importer) -> None:
    files = {"0.png": png(0), "labels.json": json.dumps({"classes": None, "labels": {"0": ["cat", "dog"]}}).encode()}
    preview = importer.files(files)
    assert (labels(preview), len(preview.conflicts)) == ({"0.png": None}, 1)
    assert [question.key for question in preview.questions] == ["several"]
    preview = importer.files(files, answers={"several": "first"})
    assert (labels(preview), preview.conflicts) == ({"0.png": "cat"}, ())
