"""`starling export`: the formats and the splits that it takes."""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.data import Format
from app.cli.main import app
from engine.errors import ConfigError
from engine.exporters import EXPORTERS
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.ready_project import ReadyProjects, noisy_pets


@pytest.fixture
def root(ready: ReadyProjects, tmp_path: Path) -> Path:
    """20 labeled images and 100 others."""
    return ready.copy(noisy_pets(20, 100, ("cat", "dog")), tmp_path / "pets")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_command_takes_every_format() -> None:
    assert [one.value for one in Format] == list(EXPORTERS)


def test_a_seed_gives_the_same_splits_again(root: Path, tmp_path: Path) -> None:
    found = []
    for seed in (3, 3, 4):
        run("export", root, tmp_path / "out.csv", "--format", "csv", "--split", "50,25,25", "--split-seed", seed)
        with open(tmp_path / "out.csv", newline="") as file:
            found.append([row["split"] for row in csv.DictReader(file)])
    assert Counter(found[0]) == {"train": 10, "val": 5, "test": 5, "": 100}
    assert found[0] == found[1] != found[2]


def test_ultralytics_gets_images_to_measure_with(root: Path, tmp_path: Path) -> None:
    run("export", root, tmp_path / "out.zip", "--format", "ultralytics")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        about = json.loads(archive.read("manifest.json"))
        folders = Counter(name.rpartition("/")[0] for name in archive.namelist() if name.count("/") > 1)
    assert about["split_made"] == {"shares": [0.8, 0.1, 0.1], "seed": 0}
    assert about["splits"] == {"train": 16, "val": 2, "test": 2}
    assert set(folders) == {f"{split}/{name}" for split in ("train", "val", "test") for name in ("cat", "dog")}


def test_revisions_are_named_compared_and_exported(root: Path, tmp_path: Path) -> None:
    assert "Revision v1 is the labels at entry 20" in run("revisions", root, "--name", "v1")
    with Project.open(root) as project:
        project.store.record([Decision(new_uid(), 21, 0, "label", "cat", actor="zoe")])
    assert "v1: entry 20" in run("revisions", root)
    said = run("revisions", root, "--diff", "v1", "now", "--out", tmp_path / "changes.csv")
    assert "1 images changed their label. 1: no label → cat, by zoe" in said
    with open(tmp_path / "changes.csv", newline="") as file:
        assert [(row["image_id"], row["before"], row["after"]) for row in csv.DictReader(file)] == [("21", "", "cat")]
    assert "the labels of revision v1" in run("export", root, tmp_path / "out.csv", "--format", "csv", "--at", "v1")
    with open(tmp_path / "out.csv", newline="") as file:
        assert sum(bool(row["label"]) for row in csv.DictReader(file)) == 20


def test_a_push_needs_a_new_folder_for_its_files(root: Path, tmp_path: Path) -> None:
    for arguments, said in (((), "needs a folder"), ((tmp_path,), "already")):
        result = CliRunner().invoke(app, ["export", str(root), *map(str, arguments), "--push", "ann/pets"])
        assert isinstance(result.exception, ConfigError)
        assert said in str(result.exception)
