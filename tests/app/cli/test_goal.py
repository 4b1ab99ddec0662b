"""`starling goal` and `starling verify`: what they print, what they keep, and how they exit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli.main import app
from engine.exporters.evidence import TEXT
from engine.project.opened import Project
from engine.records.goal import Goal
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, noisy_pets


@pytest.fixture
def root(ready: ReadyProjects, tmp_path: Path) -> Path:
    """20 imported labels and 100 predictions."""
    folder = ready.copy(noisy_pets(20, 100, ("cat", "dog")), tmp_path / "pets")
    with Project.open(folder) as project:
        p = np.array([{"cat": 0.95, "dog": 0.05}.get(one, 0.97) for one in project.store.label_table().label])
        make_round(project, np.stack([p, 1 - p], 1))
    return folder


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_goal_is_shown_with_the_standing_the_way_and_the_next_step_and_set_by_options(root: Path) -> None:
    assert "Goal: at most 1 % of the labels wrong (95 % sure)" in run("goal", root)
    told = run("goal", root, "--rate", ".1", "--per-class")
    assert "Goal: at most 10 % of the labels wrong in every class (95 % sure)" in told
    assert "the model's own guess, unchecked" in told
    assert "Next: " in told
    with Project.open(root) as project:
        assert project.goals.goal() == Goal(0.1, 0.95, True)
    assert "wrong (95 % sure)" in run("goal", root, "--over-all")


def test_export_of_the_audited_labels_is_verified_and_a_tampered_one_exits_with_1(root: Path, tmp_path: Path) -> None:
    with Project.open(root) as project:
        labels = project.goals.labels_now()
        truth = dict(zip(labels.image_ids.tolist(), labels.label.tolist(), strict=True))
        answer_audit(project, project.audits.freeze(rate=0.1).number, 40, lambda one: truth[one])
    target = tmp_path / "set.zip"
    assert "100 pseudo-labels" not in run("export", root, target, "--audited")  # some were answered
    assert "All of it holds." in run("verify", target)
    tampered = tmp_path / "tampered.zip"
    with zipfile.ZipFile(target) as old, zipfile.ZipFile(tampered, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info, data.replace(b"At most", b"Surely at most") if info.filename == TEXT else data)
    assert "do not hold" in run("verify", tampered, code=1)


def test_audited_export_needs_an_audit(root: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(root), "--audited"])
    assert result.exit_code != 0
    assert "Nothing was audited yet" in str(result.exception)
