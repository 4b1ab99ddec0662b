from pathlib import Path

from engine.importers.formats import vertex_jsonl
from tests.engine.importers.formats.json_samples import IMAGES, VERTEX, lines, view


def test_labels_splits_and_several_labels(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"import.jsonl": lines(VERTEX)})
    assert vertex_jsonl.detect(source) is not None
    found = vertex_jsonl.read(source, {})
    assert found.labels == {"000.png": "cat", "002.png": "dog"}
    assert found.conflicts == {"001.png": ("dog", "owl")}
    assert found.splits == {"000.png": "train", "001.png": "val", "002.png": "test"}
    assert found.test == {"002.png"}
    assert found.refused == ()
    assert vertex_jsonl.read(source, {"several": "first"}).labels["001.png"] == "dog"


def test_names_as_people_give_them(tmp_path: Path) -> None:
    name = "Screenshot 2023-02-07 1.54.08 PM #1 50%.png"
    record = {"imageGcsUri": f"gs://bucket/any/{name}", "classificationAnnotation": {"displayName": "mural"}}
    source = view(tmp_path, (f"set/{name}",), {"import.jsonl": lines([record])})
    assert vertex_jsonl.read(source, {}).labels == {f"set/{name}": "mural"}


def test_boxes_and_lines_without_a_file_are_told(tmp_path: Path) -> None:
    records = [
        {"imageGcsUri": "gs://b/000.png", "boundingBoxAnnotations": [{"displayName": "cat"}]},
        {"imageGcsUri": "gs://b/gone.png", "classificationAnnotation": {"displayName": "cat"}},
    ]
    found = vertex_jsonl.read(view(tmp_path, IMAGES, {"import.jsonl": lines(records)}), {})
    assert found.labels == {}
    assert "left out: 1 box" in found.notices
    assert [one.name for one in found.refused] == ["import.jsonl, line 2: gs://b/gone.png"]
