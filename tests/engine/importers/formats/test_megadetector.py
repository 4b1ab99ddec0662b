from pathlib import Path

from engine.importers.formats import label_studio, megadetector, read_labels
from engine.records.imports import GivenPrediction
from tests.engine.importers.formats.json_samples import IMAGES, LABEL_STUDIO, MEGADETECTOR, SPECIESNET, view


def test_the_surest_detection_is_a_prediction_and_never_a_label(tmp_path: Path) -> None:
    found = read_labels(view(tmp_path, IMAGES, {"md.json": MEGADETECTOR}))
    assert found.key == "megadetector"
    assert found.labeling.labels == {}
    assert found.labeling.predictions == {
        "000.png": GivenPrediction("bear", 0.901),
        "001.png": GivenPrediction("person", 0.8),
    }
    assert "no prediction, without a detection: 1 image" in found.labeling.notices
    assert "no prediction, the model could not read them: 1 image" in found.labeling.notices


def test_speciesnet_is_read_by_the_last_part_of_the_taxonomy(tmp_path: Path) -> None:
    found = megadetector.read(view(tmp_path, IMAGES, {"predictions.json": SPECIESNET}), {})
    assert found.predictions == {
        "000.png": GivenPrediction("african elephant", 0.9923),
        "001.png": GivenPrediction("blank", 0.7),
    }
    assert found.labels == {}


def test_a_list_of_detections_by_name(tmp_path: Path) -> None:
    content = [{"file": "images/000.png", "detections": [{"category": "animal", "confidence": 0.93, "bbox": []}]}]
    found = megadetector.read(view(tmp_path, ("set/images/000.png",), {"out.json": content}), {})
    assert found.predictions == {"set/images/000.png": GivenPrediction("animal", 0.93)}


def test_labels_of_another_format_come_first_and_take_the_predictions_along(tmp_path: Path) -> None:
    content = {**MEGADETECTOR, "images": [{**MEGADETECTOR["images"][0], "file": "fox/1.png"}]}
    found = read_labels(view(tmp_path, ("fox/1.png", "elk/2.png"), {"md.json": content}))
    assert found.key == "class_tree"
    assert found.labeling.labels == {"fox/1.png": "fox", "elk/2.png": "elk"}
    assert found.labeling.predictions == {"fox/1.png": GivenPrediction("bear", 0.901)}
    assert "md.json" in found.labeling.used
    assert "predictions are read from md.json" in found.labeling.notices


def test_a_format_with_predictions_of_its_own_keeps_to_them(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"md.json": MEGADETECTOR, "ls.json": LABEL_STUDIO})
    assert read_labels(source).labeling.predictions == label_studio.read(source, {}).predictions


def test_images_only_stays_without_predictions(tmp_path: Path) -> None:
    found = read_labels(view(tmp_path, IMAGES, {"md.json": MEGADETECTOR}), "images_only")
    assert found.labeling.predictions == {}


def test_a_confidence_that_is_none_is_left_out_with_a_word(tmp_path: Path) -> None:
    content = {**MEGADETECTOR, "images": [{"file": "000.png", "detections": [{"category": "1", "conf": 93}]}]}
    found = megadetector.read(view(tmp_path, IMAGES, {"md.json": content}), {})
    assert found.predictions == {"000.png": GivenPrediction("animal", None)}
    assert any("1 confidence" in notice for notice in found.notices)
