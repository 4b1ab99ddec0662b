"""What a project's confidences rest on: which answers count, and when a threshold may be trusted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import ExportError
from engine.exporters.collect import ExportOptions
from engine.exporters.rows import MEANING, SOURCES
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.quality import scale
from engine.records.labels import Decision
from engine.rounds.folder import files
from tests.auditing import answer_audit, frozen_label
from tests.made_round import make_round
from tests.measuring import answer_measured
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 150
PSEUDO = frozenset(SOURCES)


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """20 labeled images (every other one a cat), 150 without a label."""
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


def round_of(project: Project, heldout: list[int]) -> int:
    """A round that says cat at .9 of every image."""
    p = np.tile([0.9, 0.1], (LABELED + FREE, 1))
    return make_round(project, p, heldout=heldout)


def fresh_round(project: Project) -> int:
    """A round that says so too, and whose labels are so few that the measured set holds none of them."""
    number = round_of(project, [])
    path = project.workspace.round_folder(number) / files.LABELS
    frame = pd.read_parquet(path)
    frame.assign(role="unlabeled", label=-1).to_parquet(path, index=False)
    return number


def answer(project: Project, image_id: int, label: str, action: str = "label", **shown: float) -> None:
    version = project.queue.item(image_id).version
    decision = Decision(new_uid(), image_id, version, action, label, seconds=1.0, **shown)  # type: ignore[arg-type]
    assert project.labels.decide([decision])[0].status == "saved"


def measure(project: Project, count: int) -> None:
    """Answer random images blind: each is a cat, as predicted."""
    answer_measured(project, count, "cat")


def labeled_ids(project: Project) -> list[int]:
    table = project.store.label_table()
    return [int(i) for i in table.image_ids[[label is not None for label in table.label]]]


def test_blind_answers_to_random_images_count_and_held_out_labels_do_not(project: Project) -> None:
    number = round_of(project, labeled_ids(project)[5:15])
    assert project.measured.scale(number).n == 0
    learned = set(labeled_ids(project))
    asked = answer_measured(project, 80, lambda image_id: "dog" if image_id % 4 == 0 else "cat")
    fair = [image_id for image_id in asked if image_id not in learned]
    assert 0 < len(fair) < len(asked), "some had a label that the round knew"
    found = project.measured.scale(number)
    assert (found.n, found.right) == (len(fair), sum(image_id % 4 != 0 for image_id in fair))
    assert np.allclose(project.measured.answers(number).confidence, 0.9)


def test_a_threshold_with_few_answers_and_no_audit_is_refused_with_the_number_and_the_way_out(project: Project) -> None:
    number = fresh_round(project)
    measure(project, 10)
    options = ExportOptions("csv", PSEUDO, min_confidence=0.8)
    with pytest.raises(ExportError) as refused:
        project.exports.write(options)
    text = str(refused.value)
    assert f"Pseudo-labels of round {number} from a confidence of 0.8" in text
    assert "10 of 100" in text
    assert "Answer 90 more random images on the Review page" in text
    assert "audit the threshold 0.8" in text
    assert project.exports.files() == []
    assert project.exports.refusal(ExportOptions("csv")) is None  # no pseudo-labels, no threshold
    assert project.exports.refusal(ExportOptions("csv", PSEUDO, min_confidence=0.95)) is None  # none are so sure


def test_a_hundred_measured_answers_stand_behind_a_threshold(project: Project) -> None:
    fresh_round(project)
    options = ExportOptions("csv", PSEUDO, min_confidence=0.8)
    measure(project, 99)
    refusal = project.exports.refusal(options)
    assert refusal is not None
    assert "99 of 100. Answer 1 more random image on" in str(refusal)
    measure(project, 1)
    assert project.exports.refusal(options) is None
    assert project.exports.write(options).is_file()


def test_where_there_are_too_few_images_the_way_out_is_an_audit_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_of(project, [])
    monkeypatch.setattr(scale, "TENS", LABELED + FREE + 1)
    refusal = str(project.exports.refusal(ExportOptions("csv", PSEUDO, min_confidence=0.8)))
    assert "Audit the threshold 0.8" in refusal
    assert "Answer" not in refusal


def test_an_audit_of_this_threshold_stands_behind_it_once_it_is_answered(project: Project) -> None:
    number = round_of(project, labeled_ids(project)[:10])
    audited, other = (ExportOptions("csv", PSEUDO, min_confidence=threshold) for threshold in (0.8, 0.85))
    project.audits.start_rule(project.audits.rule_at(number, 0.8))
    answer_audit(project, 1, 19, "cat")
    assert project.exports.refusal(audited) is not None
    answer_audit(project, 1, 1, "cat")
    assert project.exports.refusal(audited) is None
    assert project.exports.refusal(other) is not None
    assert project.exports.write(audited).is_file()
    project.audits.accept(1)
    assert project.exports.refusal(audited) is None


def test_an_audit_closed_before_it_showed_a_bound_stands_behind_nothing(project: Project) -> None:
    number = round_of(project, [])
    project.audits.start_rule(project.audits.rule_at(number, 0.8))
    answer_audit(project, 1, 19, "cat")
    project.audits.close(1)
    assert project.exports.refusal(ExportOptions("csv", PSEUDO, min_confidence=0.8)) is not None


def test_an_audit_of_all_labels_stands_behind_every_threshold(project: Project) -> None:
    round_of(project, [])
    project.audits.freeze()
    answer_audit(project, 1, 20, frozen_label(project, 1))
    assert project.exports.refusal(ExportOptions("csv", PSEUDO, min_confidence=0.0)) is None


def test_errors_are_expected_of_a_threshold_only_by_a_hundred_answers_and_recalibrated(project: Project) -> None:
    rule = project.audits.rule_at(fresh_round(project), 0.8)
    measure(project, 99)
    assert project.audits.preview(rule).expected_errors is None
    measure(project, 1)
    preview = project.audits.preview(rule)
    assert preview.count == project.store.counts().unlabeled
    assert preview.expected_errors is not None
    assert 0 < preview.expected_errors < preview.count * 0.1 / 2  # all hundred were right at .9


def test_what_is_left_is_estimated_only_by_a_hundred_answers_and_recalibrated(project: Project) -> None:
    number = fresh_round(project)
    measure(project, 99)
    before = project.measured.outlook()
    assert (before.next_corrections, before.errors_left, before.decisions_left) == (None, None, None)
    measure(project, 1)
    found, left = project.measured.outlook(), project.store.counts().unlabeled
    assert found.scale == project.measured.scale(number)
    wrong = 1 - float(scale.recalibrated(found.scale, np.array(0.9)))
    assert wrong < 0.05  # all hundred were right at .9
    assert (found.next_corrections, found.errors_left) == (pytest.approx(left * wrong), pytest.approx(left * wrong))
    assert found.decisions_left == max(0, left - int(170 * 0.01 / wrong))


def test_live_labels_say_what_is_left_as_the_quality_page_does_and_not_before(project: Project) -> None:
    number = fresh_round(project)
    measure(project, 99)
    before = project.measured.standing(number, 0.99)
    assert (before.decisions_left, before.decisions_between) == (None, None)
    measure(project, 1)
    for goal in (0.99, 0.95):
        told, found = project.measured.standing(number, goal), project.measured.outlook(goal)
        assert (told.decisions_left, told.decisions_between) == (found.decisions_left, found.decisions_between)
        assert told.decisions_between is not None
        assert told.decisions_between.low <= (told.decisions_left or 0) <= told.decisions_between.high


def test_an_export_says_how_good_its_pseudo_labels_were_measured_to_be(project: Project) -> None:
    number = fresh_round(project)
    measure(project, 19)

    def told(**options: Any) -> Any:
        with zipfile.ZipFile(project.exports.write(ExportOptions(**options))) as archive:
            return json.loads(archive.read("manifest.json"))

    assert told()["measured"] is None, "no prediction is in it"
    project.audits.freeze()
    answer_audit(project, 1, 20, frozen_label(project, 1))
    few = told(sources=PSEUDO, min_confidence=0.0)["measured"]
    answers = project.measured.accuracy(number)
    assert (few["n"], few["right"], few["share"], few["low"]) == (answers.n, answers.right, None, None)
    measure(project, 21)
    for one in (told(sources=PSEUDO, min_confidence=0.0), told(audit=1)):
        found, estimate = one["measured"], project.measured.accuracy(number)
        assert "heldout" not in one
        assert (found["round"], found["n"], found["share"]) == (number, estimate.n, estimate.value)
        assert (found["low"], found["high"]) == (estimate.low, estimate.high)
        assert "asked blind" in found["method"]


def test_the_column_of_confidence_says_that_it_is_no_measured_share() -> None:
    assert "no measured share of right labels" in MEANING["confidence"]
    assert "calibrated" not in MEANING["confidence"]
