import copy
import json
from pathlib import Path

import pytest

from engine.importers.formats import sagemaker
from engine.importers.labeling import Labeling
from engine.records.imports import GivenPrediction
from tests.engine.importers.formats.json_samples import IMAGES, SAGEMAKER, SAGEMAKER_SEVERAL, lines, view


def read(folder: Path, content: str, answers: dict[str, str] | None = None, name: str = "output.manifest") -> Labeling:
    source = view(folder, IMAGES, {name: content})
    assert sagemaker.detect(source) is not None
    return sagemaker.read(source, answers or {})


@pytest.mark.parametrize("name", ["output.manifest", "output.jsonl", "output.json"])
def test_what_a_person_annotated_is_a_label_the_rest_is_predicted(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, lines(SAGEMAKER), name=name)
    assert found.labels == {"000.png": "football"}
    assert found.predictions == {"001.png": GivenPrediction("tennis", 0.87)}
    assert (found.refused, found.questions, found.used) == ((), (), {name})


def test_several_labels_are_a_question(tmp_path: Path) -> None:
    found = read(tmp_path, lines(SAGEMAKER_SEVERAL))
    assert (found.labels, found.conflicts) == ({}, {"000.png": ("bicycle", "person", "clothing")})
    assert read(tmp_path, lines(SAGEMAKER_SEVERAL), {"several": "first"}).labels == {"000.png": "bicycle"}


def test_which_of_several_jobs_gives_the_label_is_asked(tmp_path: Path) -> None:
    records = copy.deepcopy(SAGEMAKER)
    records[1]["sport-metadata"]["human-annotated"] = "yes"
    for record, place in zip(records, ("indoor", "outdoor"), strict=True):
        record["place"], record["place-metadata"] = 0, {**record["sport-metadata"], "class-name": place}
    found = read(tmp_path, lines(records))
    assert found.labels == {"000.png": "football", "001.png": "tennis"}
    assert [(question.key, question.chosen) for question in found.questions] == [("control", "sport")]
    assert read(tmp_path, lines(records), {"control": "place"}).labels == {"000.png": "indoor", "001.png": "outdoor"}


def test_a_job_for_each_label_is_one_reading(tmp_path: Path) -> None:
    records = [
        {
            "source-ref": f"s3://b/{name}",
            f"set_{label}": 1,
            f"set_{label}-metadata": {**SAGEMAKER[0]["sport-metadata"], "class-name": label},
        }
        for name, label in (("000.png", "Sunrise"), ("001.png", "Sunset"))
    ]
    found = read(tmp_path, lines(records))
    assert (found.labels, found.questions) == ({"000.png": "Sunrise", "001.png": "Sunset"}, ())


def test_other_jobs_and_failures_are_told(tmp_path: Path) -> None:
    records = copy.deepcopy(SAGEMAKER)
    records[0]["box-metadata"] = {"type": "groundtruth/object-detection"}
    records[1]["sport-metadata"]["failure-reason"] = "no consensus"
    found = read(tmp_path, lines(records))
    assert "left out: 1 result of type groundtruth/object-detection" in found.notices
    assert [(one.name, one.reason) for one in found.refused] == [
        ("output.manifest, line 2: s3://bucket/pictures/001.png", "its labeling failed")
    ]


def test_lines_that_cannot_be_read_or_name_nothing_are_listed(tmp_path: Path) -> None:
    records = [*SAGEMAKER, {**SAGEMAKER[0], "source-ref": "s3://bucket/gone.png"}, {"source": "text"}]
    found = read(tmp_path, f"{lines(records)}{{\n\n")
    assert found.labels == {"000.png": "football"}
    assert {one.name: one.reason for one in found.refused} == {
        "output.manifest, line 3: s3://bucket/gone.png": "there is no such file",
        "output.manifest, line 4": "it has no source-ref",
        "output.manifest, the file": "damaged JSON in 1 lines, the first is line 5",
    }


def test_a_damaged_manifest_is_recognised_and_records_of_others_are_not(tmp_path: Path) -> None:
    assert sagemaker.detect(view(tmp_path, IMAGES, {"o.manifest": "{"})) is not None
    assert sagemaker.detect(view(tmp_path, IMAGES, {"o.jsonl": json.dumps({"file_name": "a", "label": "b"})})) is None
