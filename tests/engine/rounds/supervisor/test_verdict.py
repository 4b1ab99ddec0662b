"""A round against the one in force: by the measured set where enough of it is answered, else as its worker says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.project.opened import Project
from engine.quality.measured_set import evidence
from engine.quality.stopping import Comparison
from engine.records.rounds import Verdict
from engine.rounds.folder import files
from engine.rounds.supervisor.verdict import by_evidence, judge
from tests.made_round import make_round
from tests.measuring import answer_measured, predicted
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100
GUESS = Verdict(False, "Held back: a guess")


def comparison(only_this: int, only_other: int, n: int = 60) -> Comparison:
    return Comparison(n, only_this, only_other, evidence(only_this, only_other))


def test_a_round_is_held_back_only_by_evidence() -> None:
    assert evidence(0, 9) >= 20 > evidence(0, 8)
    worse = by_evidence(Verdict(True, "Promoted: by held-out labels."), comparison(0, 9), 3)
    assert not worse.promoted
    assert "it alone has 0 right, round 3 alone 9" in worse.reason
    alike = by_evidence(Verdict(True, "Promoted."), comparison(0, 8), 1)
    assert alike.promoted
    assert alike.reason.endswith("round 1 alone 8: they cannot be told apart.")
    kept = by_evidence(Verdict(True, "Promoted: by held-out labels."), comparison(12, 0), 3)
    assert kept.promoted
    assert kept.reason.startswith("Promoted: by held-out labels. Of the same 60 random images")
    assert kept.reason.endswith("better, by evidence.")


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


def finished(project: Project, said: float, verdict: Verdict) -> int:
    """A round that says cat so surely of all images, over but for its verdict."""
    number = make_round(project, np.tile([said, 1 - said], (LABELED + FREE, 1)), state="finished", verdict=verdict)
    path = project.workspace.round_folder(number) / files.LABELS
    frame = pd.read_parquet(path)
    frame.loc[frame["image_id"].isin(project.store.apart()), ["role", "label"]] = ["unlabeled", -1]
    frame.to_parquet(path, index=False)
    return number


@pytest.mark.parametrize(
    ("answers", "said", "verdict", "state"),
    [
        (40, 0.2, Verdict(True, "Promoted."), "held_back"),  # all wrong that the first has right
        (40, 0.9, Verdict(True, "Promoted."), "promoted"),  # the same answers as the first
        (10, 0.2, Verdict(True, "Promoted."), "promoted"),  # too few to say anything
        (40, 0.9, GUESS, "held_back"),  # the worker has another reason
    ],
)
def test_the_measured_set_decides_from_twenty_answers_on(
    project: Project, answers: int, said: float, verdict: Verdict, state: str
) -> None:
    first = make_round(project, np.tile([0.8, 0.2], (LABELED + FREE, 1)))
    answer_measured(project, answers, predicted(project, first))
    number = finished(project, said, verdict)
    judge(project.store, project.store.round(number), project.measured.compare)
    record = project.store.round(number)
    assert record.state == state
    assert record.report is not None
    assert record.report.verdict.promoted == (state == "promoted")
    assert ("random images" in record.report.verdict.reason) == (answers == 40 and verdict != GUESS)


def test_without_a_measured_set_the_worker_decides(project: Project) -> None:
    make_round(project, np.tile([0.8, 0.2], (LABELED + FREE, 1)))
    number = finished(project, 0.9, GUESS)
    judge(project.store, project.store.round(number))
    assert project.store.round(number).state == "held_back"
