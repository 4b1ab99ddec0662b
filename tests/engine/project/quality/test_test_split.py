"""A test split that came with the images: never trained on, and an accuracy of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.quality.sample import share
from engine.records.labels import Decision
from engine.rounds.folder import files
from engine.rounds.supervisor import prepare
from tests.made_round import make_round
from tests.ready_project import ReadyProjects

FOLDERS = ["train/cat"] * 6 + ["train/dog"] * 6 + ["test/cat"] * 5 + ["test/dog"] * 5 + ["no_label"] * 8


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    pictures = {
        f"{folder}/{number:02}.png": np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
        for number, folder in enumerate(FOLDERS)
    }
    pictures["train/cat/copy.png"] = pictures["test/cat/12.png"]  # a leak: it is trained on nowhere
    with Project.open(ready.copy(pictures, tmp_path / "split")) as opened:
        yield opened


def named(project: Project, start: str) -> list[int]:
    return [item.id for item in project.workspace.items() if item.name.startswith(start)]


def test_its_labels_are_never_trained_on(project: Project) -> None:
    test = project.store.test_split().tolist()
    assert test == named(project, "test/")
    assert len(test) == 10
    assert project.store.apart().tolist() == test
    record = project.store.queue_round("supervised", {"train": {}})
    frame = pd.read_parquet(prepare.write_plan(project.store, record, project.root) / files.LABELS).set_index(
        "image_id"
    )
    assert set(frame.loc[test, "role"]) == {"unlabeled"}
    assert set(frame.loc[test, "label"]) == {-1}
    assert set(frame.loc[named(project, "train/"), "role"]) <= {"train", "heldout"}


def test_what_shares_a_group_with_it_is_not_trained_on_either(project: Project) -> None:
    test, train = named(project, "test/"), named(project, "train/")
    project.store.set_groups({test[0]: "scene", train[0]: "scene"}, "by hand")
    assert set(project.store.apart().tolist()) == {*test, train[0]}


def test_it_has_an_accuracy_of_its_own_which_is_no_part_of_the_measured_set(project: Project) -> None:
    cat = np.tile([0.9, 0.1], (len(project.workspace.items()), 1))
    number = make_round(project, cat)
    assert project.measured.on_test_split(number).n == 0, "a round that learned from it"
    path = project.workspace.round_folder(number) / files.LABELS
    frame = pd.read_parquet(path)
    frame.loc[frame["image_id"].isin(project.store.apart()), ["role", "label"]] = ["unlabeled", -1]
    frame.to_parquet(path, index=False)
    with Project.open(project.root, read_only=True) as again:
        found = again.measured.on_test_split(number)
        assert (found.right, found.n) == (5, 10)
        assert (found.low, found.high) == (share(5, 10, "").low, share(5, 10, "").high)
        assert again.measured.accuracy(number).n == 0
    first, *_, last = named(project, "test/")
    project.labels.decide([Decision(new_uid(), last, project.store.states([last])[0].version, "reject")])
    project.store.set_groups({first: "scene", named(project, "test/")[1]: "scene"}, "by hand")
    with Project.open(project.root, read_only=True) as again:
        found = again.measured.on_test_split(number)
        assert (found.right, found.n) == (4, 8), "one image a scene, and no rejected one"
