"""Whatever stands in a file of labels, it is read, or refused in words."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ImportRefused
from engine.importers.formats import FORMATS, read_labels
from engine.importers.labeling import Labeling
from engine.importers.tidy import tidied
from tests.engine.importers.formats.json_samples import (
    AZURE,
    COCO,
    DATUMARO,
    FIFTYONE,
    IMAGES,
    LABEL_STUDIO,
    LABEL_STUDIO_MIN,
    MEGADETECTOR,
    SAGEMAKER,
    SAGEMAKER_SEVERAL,
    SPECIESNET,
    VERTEX,
    lines,
    view,
)

SAMPLES: dict[str, Any] = {
    "label_studio.json": LABEL_STUDIO, "min.json": LABEL_STUDIO_MIN, "train/labels.json": FIFTYONE,
    "instances_train.json": COCO, "annotations/train.json": DATUMARO, "md.json": MEGADETECTOR,
    "predictions.json": SPECIESNET, "output.manifest": SAGEMAKER, "several.manifest": SAGEMAKER_SEVERAL,
    "vertex.jsonl": VERTEX, "azure.jsonl": AZURE,
}  # fmt: skip
JSON_FORMATS = (
    "label_studio", "label_studio_min", "fiftyone", "coco", "datumaro", "megadetector", "sagemaker", "vertex_jsonl",
    "azure_ml",
)  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", " ", "000", "\ud800", "\x00", "a/" * 3000,
    "../../000.png", "http://[", "%", "%ff.png", "?d=", "x" * 500, [], [None], [[]], {}, {"a": {}}, [1, "cat", {}],
]  # fmt: skip
ANSWERS = st.sampled_from([{}, {"several": "first", "control": "choice"}, {"several": "\x00", "control": "\ud800"}])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    found = []
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += [(value, key), *places(one)]
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from(sorted(SAMPLES)))
    content = copy.deepcopy(SAMPLES[name])
    for _ in range(draw(st.integers(1, 4))):
        all_places = places(content)
        if not all_places:
            break
        where, key = draw(st.sampled_from(all_places))
        what = draw(st.sampled_from(["replace", "replace", "drop", "rename"]))
        if what == "replace":
            where[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
        elif what == "drop":
            del where[key]
        elif isinstance(where, dict):
            where[draw(st.sampled_from(["", "\ud800", "id", "label", "image", "x-metadata"]))] = where.pop(key)
    return name, content


def all_readings(folder: Path, files: dict[str, Any], answers: dict[str, str]) -> list[Labeling]:
    """What every format makes of the files; anything else than an ImportRefused in words gets out."""
    found, refused = [], []
    source = view(folder, IMAGES, files)
    for key in JSON_FORMATS:
        FORMATS[key].detect(source)
        try:
            found.append(FORMATS[key].read(source, answers))
        except ImportRefused as error:
            refused.append(error)
    try:
        found.append(read_labels(source, answers=answers).labeling)
    except ImportRefused as error:
        refused.append(error)
    assert all(error.way_out for error in refused)
    return found


def check(labeling: Labeling, answers: dict[str, str]) -> None:
    for names in (labeling.labels, labeling.conflicts, labeling.predictions, labeling.splits):
        assert set(names) <= set(IMAGES)
    assert not labeling.labels.keys() & labeling.conflicts.keys()
    assert all(one.name.isprintable() and one.reason.isprintable() for one in labeling.refused)
    assert all(notice.isprintable() for notice in labeling.notices)
    assert all(one.confidence is None or 0 <= one.confidence <= 1 for one in labeling.predictions.values())
    for question in labeling.questions:
        assert question.chosen in [value for value, _ in question.options]
    tidied(labeling, answers)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(), ANSWERS)
def test_changed_exports_are_read_or_refused_in_words(one: tuple[str, Any], answers: dict[str, str]) -> None:
    name, content = one
    by_line = isinstance(content, list) and not name.endswith(".json")
    text = lines(content) if by_line else json.dumps(content)
    with tempfile.TemporaryDirectory() as folder:
        for labeling in all_readings(Path(folder), {name: text}, answers):
            check(labeling, answers)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 2000), st.binary(max_size=3))
def test_cut_and_overwritten_files_are_read_or_refused_in_words(name: str, at: int, bits: bytes) -> None:
    content = SAMPLES[name]
    text = (json.dumps(content) if name.endswith(".json") else lines(content)).encode()
    at %= len(text)
    with tempfile.TemporaryDirectory() as folder:
        for data in (text[:at], text[:at] + bits + text[at + len(bits) :]):
            for labeling in all_readings(Path(folder), {name: data}, {}):
                check(labeling, {})


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 500_000,
        b'{"labels":' * 200_000,
        b'{"classes": [], "labels": {"000": ' + b"9" * 100_000 + b"}}",
        b"\xff\xfe\x00",
        "{}".encode("utf-16-be"),
        b"",
        b"null",
        b"\n\n",
        b"{}\n" * 3,
    ],
)
def test_files_that_are_no_json_say_why_they_are_not_read(tmp_path: Path, data: bytes) -> None:
    for name in ("labels.json", "output.manifest", "any.jsonl", "instances_val.json"):
        for labeling in all_readings(tmp_path, {name: data}, {}):
            check(labeling, {})


def test_a_file_of_more_values_than_memory_may_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.importers.source_view.MOST_OBJECTS", 10)
    source = view(tmp_path, IMAGES, {"labels.json": FIFTYONE, "instances_a.json": COCO})
    assert source.json("labels.json") == FIFTYONE
    assert source.json("instances_a.json") is None
    with pytest.raises(ImportRefused, match="more than 10 objects"):
        FORMATS["coco"].read(source, {})
