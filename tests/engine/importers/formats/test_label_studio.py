import copy
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import label_studio
from engine.importers.labeling import Labeling
from engine.records.imports import GivenPrediction
from tests.engine.importers.formats.json_samples import IMAGES, LABEL_STUDIO, view


def task(image: str, *choices: list[str], **more: Any) -> dict[str, Any]:
    """A task with one annotation by each of several people, who are numbered from 1."""
    annotations = [
        {"completed_by": who, "result": [{"type": "choices", "from_name": "choice", "value": {"choices": said}}]}
        for who, said in enumerate(choices, start=1)
    ]
    return {"data": {"image": image}, "annotations": annotations, **more}


def read(
    folder: Path, tasks: object, images: tuple[str, ...] = IMAGES, answers: dict[str, str] | None = None
) -> Labeling:
    source = view(folder, images, {"export.json": tasks})
    assert label_studio.detect(source) is not None
    return label_studio.read(source, answers or {})


def test_choices_are_labels_and_predictions_stay_predictions(tmp_path: Path) -> None:
    found = read(tmp_path, LABEL_STUDIO)
    assert found.labels == {"000.png": "cat"}
    assert found.predictions == {"001.png": GivenPrediction("dog", 0.81)}
    assert (found.refused, found.conflicts, found.questions) == ((), {}, ())
    assert found.used == {"export.json"}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("/data/local-files/?d=set/000.png", "set/000.png"),
        ("/data/local-files/?d=home/me/set/my%20cat.png", "set/my cat.png"),
        ("/data/upload/1/a1b2c3d4-000.png", "set/000.png"),
        ("/data/upload/1/a1b2c3d4-my_cat.png", "set/my cat.png"),
        ("/data/upload/1/ab0-000.png", "set/000.png"),
        ("https://example.org/set/000.png?token=x", "set/000.png"),
        ("https://example.org/set/my%20cat.png", "set/my cat.png"),
        ("s3://bucket/any/set/größe.png", "set/größe.png"),
        ("C:\\set\\000.png", "set/000.png"),
        ("c0ffee00-000.png", "set/000.png"),
        ("/data/upload/1/12345678-keep.png", "12345678-keep.png"),
    ],
)
def test_the_image_is_found_however_it_is_named(tmp_path: Path, said: str, name: str) -> None:
    images = ("set/000.png", "set/my cat.png", "set/größe.png", "12345678-keep.png", "keep.png")
    assert read(tmp_path, [task(said, ["cat"])], images).labels == {name: "cat"}


def test_a_hash_that_may_be_part_of_a_name_is_only_left_out_for_an_upload(tmp_path: Path) -> None:
    found = read(tmp_path, [task("12-000.png", ["cat"])])
    assert found.labels == {}
    assert found.refused[0].name == "export.json, task 1: 12-000.png"
    assert found.refused[0].reason == "there is no such file"


def test_an_image_by_any_key_of_the_data_or_by_its_upload(tmp_path: Path) -> None:
    tasks = [
        {"data": {"caption": "a picture", "photo": "000.png"}, "annotations": task("", ["cat"])["annotations"]},
        {"data": {"photo": "gone"}, "file_upload": "a1b2c3d4-001.png", "annotations": task("", ["dog"])["annotations"]},
    ]
    assert read(tmp_path, tasks).labels == {"000.png": "cat", "001.png": "dog"}


def test_another_text_of_a_task_never_stands_in_for_its_image(tmp_path: Path) -> None:
    tasks = [task("000.png", ["cat"]), {**task("gone.png", ["dog"]), "data": {"image": "gone.png", "see": "001.png"}}]
    found = read(tmp_path, tasks)
    assert found.labels == {"000.png": "cat"}
    assert [one.name for one in found.refused] == ["export.json, task 2: gone.png"]


def test_cancelled_annotations_are_left_out_and_counted(tmp_path: Path) -> None:
    tasks = copy.deepcopy(LABEL_STUDIO)
    tasks[0]["annotations"][0]["was_cancelled"] = True
    found = read(tmp_path, tasks)
    assert found.labels == {}
    assert "left out, as they were cancelled: 1 annotation" in found.notices


def test_annotations_that_agree_are_one_label(tmp_path: Path) -> None:
    assert read(tmp_path, [task("000.png", ["cat"], ["cat"], [])]).labels == {"000.png": "cat"}


def test_annotations_that_differ_are_a_conflict_with_who_said_what(tmp_path: Path) -> None:
    one = task("000.png", ["cat"], ["dog"])
    one["annotations"][1]["completed_by"] = {"id": 7, "email": "eva@example.org"}
    found = read(tmp_path, [one], answers={"several": "first"})
    assert (found.labels, found.conflicts) == ({}, {"000.png": ("cat", "dog")})
    assert any("000.png: “cat” (1), “dog” (eva@example.org)" in notice for notice in found.notices)


def test_of_annotations_that_differ_the_ground_truth_counts(tmp_path: Path) -> None:
    one = task("000.png", ["cat"], ["dog"])
    one["annotations"][1]["ground_truth"] = True
    found = read(tmp_path, [one])
    assert (found.labels, found.conflicts) == ({"000.png": "dog"}, {})
    assert any("ground truth counts: 1 image" in notice for notice in found.notices)


def test_two_tasks_of_one_image_that_differ_are_a_conflict(tmp_path: Path) -> None:
    assert read(tmp_path, [task("000.png", ["cat"]), task("000.png", ["dog"])]).conflicts == {
        "000.png": ("cat", "dog")
    }  # fmt: skip


def test_several_choices_never_become_one_class(tmp_path: Path) -> None:
    tasks = [task("000.png", ["cat", "outdoor"], ["outdoor", "cat"])]
    found = read(tmp_path, tasks)
    assert (found.labels, found.conflicts) == ({}, {"000.png": ("cat", "outdoor")})
    assert [question.key for question in found.questions] == ["several"]
    assert read(tmp_path, tasks, answers={"several": "first"}).labels == {"000.png": "cat"}


def test_which_of_several_fields_is_the_label_is_asked(tmp_path: Path) -> None:
    tasks = [task(f"00{at}.png", ["cat"]) for at in range(3)]
    for one in tasks[:2]:
        one["annotations"][0]["result"].append(
            {"type": "choices", "from_name": "quality", "value": {"choices": ["good"]}}
        )
    found = read(tmp_path, tasks)
    assert found.labels == {"000.png": "cat", "001.png": "cat", "002.png": "cat"}
    (question,) = found.questions
    assert (question.key, question.chosen, question.doubtful) == ("control", "choice", True)
    assert [value for value, _ in question.options] == ["choice", "quality"]
    assert read(tmp_path, tasks, answers={"control": "quality"}).labels == {"000.png": "good", "001.png": "good"}


def test_what_is_no_choice_is_counted(tmp_path: Path) -> None:
    one = task("000.png", ["cat"], drafts=[{"result": []}], predictions=[17, 18])
    one["annotations"][0]["result"].append({"type": "textarea", "from_name": "note", "value": {"text": ["hm"]}})
    found = read(tmp_path, [one])
    assert found.labels == {"000.png": "cat"}
    assert {
        "left out: drafts: 1",
        "left out: predictions that are given as numbers only: 2",
        "left out: results of type textarea: 1",
    } <= set(found.notices)


def test_groups_and_splits_that_a_task_says_are_kept(tmp_path: Path) -> None:
    tasks = [task(f"00{at}.png", ["cat"]) for at in range(2)]
    for one, split in zip(tasks, ("training", "test"), strict=True):
        one["data"] |= {"patient_id": 7, "split": split, "caption": "no group"}
    found = read(tmp_path, tasks)
    assert found.columns == {"patient_id": {"000.png": "7", "001.png": "7"}}
    assert found.splits == {"000.png": "train", "001.png": "test"}
    assert found.test == {"001.png"}


def test_a_choice_for_a_region_is_no_label_of_the_image(tmp_path: Path) -> None:
    one = task("000.png", ["cat"])
    one["annotations"][0]["result"][0]["value"] |= {"x": 1, "y": 1, "width": 5, "height": 5}
    found = read(tmp_path, [one])
    assert found.labels == {}
    assert "left out: results of type choices: 1" in found.notices


def test_a_second_image_of_a_task_is_told(tmp_path: Path) -> None:
    one = task("000.png", ["cat"])
    one["data"]["photo"] = "001.png"
    found = read(tmp_path, [one])
    assert found.labels == {"000.png": "cat"}
    assert "tasks of export.json name images as “image” and “photo”; only the first counts" in found.notices


def test_old_exports_say_completions(tmp_path: Path) -> None:
    one = task("000.png", ["cat"])
    one["completions"] = one.pop("annotations")
    skipped = task("001.png", ["dog"])
    skipped["completions"] = [{**skipped.pop("annotations")[0], "skipped": True}]
    assert read(tmp_path, [one, skipped]).labels == {"000.png": "cat"}


def test_one_task_a_file_is_read_too(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"1.json": task("000.png", ["cat"]), "2.json": task("001.png", ["dog"])})
    assert label_studio.read(source, {}).labels == {"000.png": "cat", "001.png": "dog"}


def test_other_json_is_not_mine(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"a.json": [{"data": {"image": "x"}}], "b.json": "{", "c.json": {"data": 1}})
    assert label_studio.detect(source) is None
    with pytest.raises(ImportRefused, match="no file of Label Studio JSON"):
        label_studio.read(source, {})


def test_many_records_without_a_file_are_listed_up_to_a_number_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, [task(f"gone{at}.png", ["cat"]) for at in range(250)])
    assert len(found.refused) == 101
    assert (found.refused[-1].name, found.refused[-1].reason) == ("150 more records", "there is no such file")


CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="{name}" toName="image"><Choice value="owl"/>'
    '<Choice value="c" alias="cat"/><Choice value="{last}"/></Choices></View>'
)


def test_the_configuration_beside_the_tasks_lists_the_classes_in_its_order(tmp_path: Path) -> None:
    config = CONFIG.format(name="choice", last="dog")
    other = CONFIG.format(name="weather", last="rain")
    source = view(tmp_path, IMAGES, {"export.json": [task("000.png", ["cat"])], "config.xml": config, "b.xml": other})
    found = label_studio.read(source, {})
    assert (found.labels, found.classes) == ({"000.png": "cat"}, ("owl", "cat", "dog"))
    assert found.used == {"export.json", "config.xml"}


@pytest.mark.parametrize(
    "text", ["<View><Choices><Choice", '<!DOCTYPE x [<!ENTITY a "b">]><Choices><Choice value="&a;"/></Choices>']
)
def test_a_configuration_that_cannot_be_read_lists_nothing(tmp_path: Path, text: str) -> None:
    found = label_studio.read(view(tmp_path, IMAGES, {"export.json": [task("000.png", ["cat"])], "c.xml": text}), {})
    assert (found.classes, found.used) == ((), {"export.json"})


@pytest.mark.parametrize("kind", ["rectanglelabels", "polygonlabels", "brushlabels"])
def test_the_classes_of_boxes_count_where_no_task_has_a_choice(tmp_path: Path, kind: str) -> None:
    def boxed(at: int, *classes: str) -> dict[str, object]:
        results = [
            {"from_name": "box", "to_name": "image", "type": kind, "value": {"x": 1, "width": 2, kind: [one]}}
            for one in classes
        ]
        return {"id": at, "data": {"image": f"{at}.png"}, "annotations": [{"result": results}]}

    tasks = [boxed(1, "cat"), boxed(2, "dog", "dog"), boxed(3, "cat", "dog"), boxed(4)]
    images = tuple(f"{at}.png" for at in range(1, 5))
    labeling = read(tmp_path, tasks, images)
    assert labeling.labels == {"1.png": "cat", "2.png": "dog"}
    assert labeling.conflicts == {"3.png": ("cat", "dog")}
    assert any("where they lie" in one for one in labeling.notices)
    assert read(tmp_path, [*tasks, task("4.png", ["owl"])], images).labels == {"4.png": "owl"}


def test_of_several_questions_one_that_has_several_answers_is_proposed(tmp_path: Path) -> None:
    tasks = [
        {"id": at, "data": {"image": f"{at}.png"}, "annotations": [{"result": [
            {"from_name": "quality", "to_name": "image", "type": "choices", "value": {"choices": ["good"]}},
            {"from_name": "animal", "to_name": "image", "type": "choices", "value": {"choices": [label]}},
        ]}]}
        for at, label in enumerate(("cat", "dog"))
    ]  # fmt: skip
    labeling = read(tmp_path, tasks, ("0.png", "1.png"))
    assert labeling.labels == {"0.png": "cat", "1.png": "dog"}
    assert [one.key for one in labeling.questions if one.doubtful] == ["control"]
