"""The desk of the goal: what is set, how many labels are wrong now, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.goal import Goal, GoalReport, Step
from engine.records.labels import Decision
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """20 imported labels, every other one a cat, and 100 images without a label."""
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


def round_of(project: Project, sure: float = 0.9) -> int:
    """A round that calls every image without a label a cat, that sure."""
    table = project.store.label_table()
    p = np.array([{"cat": 0.95, "dog": 0.05}.get(label, sure) for label in table.label])
    return make_round(project, np.stack([p, 1 - p], 1))


def decide(project: Project, image_id: int, action: str, label: str, **more: object) -> None:
    version = project.queue.item(image_id).version
    decision = Decision(new_uid(), image_id, version, action, label, **more)  # type: ignore[arg-type]
    assert project.labels.decide([decision])[0].status == "saved"


def now(project: Project) -> GoalReport:
    report, fresh = project.goals.report(patience=30)
    assert report is not None
    assert fresh
    return report


def free(project: Project) -> list[int]:
    table = project.store.label_table()
    return [int(i) for i in table.image_ids[table.undecided]]


def test_goal_is_one_percent_until_set_and_every_change_stays_on_record(project: Project) -> None:
    assert project.goals.goal() == Goal(0.01, 0.95, False)
    project.goals.set(Goal(0.02, 0.9), "ann")
    project.goals.set(Goal(0.05, 0.95, per_class=True), "bob")
    root = project.root
    project.close()
    with Project.open(root) as again:
        assert again.goals.goal() == Goal(0.05, 0.95, True)
        assert [(one.actor, one.goal.rate) for one in again.store.goals()] == [("ann", 0.02), ("bob", 0.05)]
        with pytest.raises(ConfigError, match="actor"):
            again.goals.set(Goal(), "")


@pytest.mark.parametrize("wrong", [{"rate": -0.1}, {"rate": 1.0}, {"level": 0.5}, {"level": 1.0}])
def test_goal_outside_its_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Goal(**wrong)  # type: ignore[arg-type]


def test_wrong_labels_are_estimated_by_source_from_confidence_and_what_people_gave(project: Project) -> None:
    number = round_of(project)
    ids = free(project)
    decide(project, ids[0], "label", "dog", seconds=1.0)
    decide(project, ids[1], "accept", "cat", round=number, confidence=0.9, seconds=1.0)
    decide(project, ids[2], "accept", "cat", round=number, confidence=0.8, batch="b", seen_seconds=2.0)
    standing = now(project).standing
    sources = {one.source: (one.labels, one.looked, round(one.wrong, 4)) for one in standing.by_source}
    assert sources == {
        "imported": (20, 0, 0.4),  # 2 % each
        "human": (1, 1, 0.0),  # looked at: people's error, of which nothing is known
        "confirmed": (1, 1, 0.0),
        "accepted_in_batch": (1, 0, 0.2),
        "pseudo": (97, 0, 9.7),
    }
    assert standing.wrong == pytest.approx(10.3)
    assert (standing.labels, standing.blank, standing.low, standing.high, standing.answers) == (120, 0, None, None, 0)


def test_rejected_images_and_marked_ones_without_a_label_are_no_labels(project: Project) -> None:
    round_of(project)
    ids = free(project)
    decide(project, ids[0], "reject", None, seconds=1.0)  # type: ignore[arg-type]
    decide(project, ids[1], "unsure", None, seconds=1.0)  # type: ignore[arg-type]
    standing = now(project).standing
    assert (standing.labels, standing.blank) == (118, 1)


def test_images_are_labeled_and_predicted_before_any_plan(project: Project) -> None:
    report = now(project)
    assert report.step == Step("train")
    assert report.way is None
    assert report.standing.blank == FREE
    round_of(project)
    assert now(project).step.kind == "look"


def test_plan_looks_at_the_doubtful_first_then_freezes(project: Project) -> None:
    project.goals.set(Goal(0.05))
    number = round_of(project, sure=0.9)
    report = now(project)
    assert report.way is not None
    assert report.step == Step("look", report.way.first)
    assert 0 < report.way.low <= report.way.first + report.way.audit <= report.way.high
    assert report.way.minutes_low is None  # nobody's pace is known
    listed = project.goals.doubtful()
    assert [one[2] for one in listed] == ["pseudo"] * 100 + ["imported"] * 20
    for image_id, _, _ in listed[: report.way.first]:
        decide(project, image_id, "accept", "cat", round=number, confidence=0.9, seconds=2.0)
    after = now(project)
    assert after.step.kind == "freeze"
    assert after.way is not None
    assert after.way.minutes_low == pytest.approx(after.way.low * 2.0 / 60)


def test_report_is_worked_out_anew_only_when_something_changed(project: Project) -> None:
    round_of(project)
    first = now(project)
    assert now(project) is first
    project.goals.set(Goal(0.1))
    assert now(project) is not first
