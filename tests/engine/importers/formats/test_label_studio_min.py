from pathlib import Path

from engine.importers.formats import label_studio, label_studio_min
from engine.importers.labeling import Labeling
from tests.engine.importers.formats.json_samples import IMAGES, LABEL_STUDIO, LABEL_STUDIO_MIN, view


def read(folder: Path, records: object, answers: dict[str, str] | None = None) -> Labeling:
    source = view(folder, IMAGES, {"export.json": records})
    assert label_studio_min.detect(source) is not None
    assert label_studio.detect(source) is None
    return label_studio_min.read(source, answers or {})


def test_a_choice_is_a_label_and_several_are_a_question(tmp_path: Path) -> None:
    found = read(tmp_path, LABEL_STUDIO_MIN)
    assert (found.labels, found.conflicts) == ({"000.png": "cat"}, {"001.png": ("dog", "owl")})
    assert [question.key for question in found.questions] == ["several"]
    assert read(tmp_path, LABEL_STUDIO_MIN, {"several": "first"}).labels["001.png"] == "dog"


def test_what_the_task_was_made_of_is_no_label(tmp_path: Path) -> None:
    record = {"image": "000.png", "sensor": "north", "id": 1, "species": "cat", "annotator": 1, "annotation_id": 1}
    found = read(tmp_path, [record])
    assert (found.labels, found.questions) == ({"000.png": "cat"}, ())


def test_which_of_several_fields_is_the_label_is_asked(tmp_path: Path) -> None:
    record = {"image": "000.png", "id": 1, "species": "cat", "quality": "good", "annotator": 1, "annotation_id": 1}
    (question,) = read(tmp_path, [record]).questions
    assert (question.key, question.chosen) == ("control", "species")
    assert read(tmp_path, [record], {"control": "quality"}).labels == {"000.png": "good"}


def test_people_that_differ_are_a_conflict(tmp_path: Path) -> None:
    records = [
        {"image": "000.png", "id": 1, "choice": label, "annotator": who, "annotation_id": who}
        for who, label in ((1, "cat"), (2, "dog"))
    ]
    found = read(tmp_path, records)
    assert (found.labels, found.conflicts) == ({}, {"000.png": ("cat", "dog")})
    assert any("“cat” (1), “dog” (2)" in notice for notice in found.notices)


def test_the_full_export_is_another_format(tmp_path: Path) -> None:
    assert label_studio_min.detect(view(tmp_path, IMAGES, {"export.json": LABEL_STUDIO})) is None


def test_a_record_without_its_file_is_listed(tmp_path: Path) -> None:
    records = [*LABEL_STUDIO_MIN, {"image": "gone.png", "id": 3, "choice": "cat", "annotator": 1, "annotation_id": 5}]
    (refused,) = read(tmp_path, records).refused
    assert (refused.name, refused.reason) == ("export.json, annotation 5: gone.png", "there is no such file")
