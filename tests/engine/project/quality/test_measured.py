"""What a project says of its quality: what a rule would accept, the random sample, calibration, what is left."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.exporters.collect import ExportOptions
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.quality import scale
from engine.records.labels import Decision
from tests.auditing import answer_audit, frozen_label
from tests.made_round import make_round
from tests.measuring import answer_measured, predicted
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """20 labeled images (every other one a cat), 100 without a label."""
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


@pytest.fixture
def number(project: Project) -> int:
    """A round: 60 free images predicted cat at .99, 30 dog at .9, 10 cat at .6; half of the labeled ones held out."""
    table = project.store.label_table()
    cat = iter([0.99] * 60 + [0.1] * 30 + [0.6] * 10)
    p = np.array([{"cat": 0.9, "dog": 0.2}[label] if label else next(cat) for label in table.label])
    labeled = table.image_ids[[label is not None for label in table.label]]
    return make_round(project, np.stack([p, 1 - p], 1), heldout=labeled[::2].tolist())


def free_ids(project: Project) -> list[int]:
    table = project.store.label_table()
    return table.image_ids[[label is None for label in table.label]].tolist()


def answer(project: Project, image_id: int, label: str | None, action: str = "label", actor: str = "local") -> None:
    version = int(project.store.label_table().version[np.searchsorted(project.store.label_table().image_ids, image_id)])
    decision = Decision(new_uid(), image_id, version, action, label, actor=actor, seconds=2.0)  # type: ignore[arg-type]
    assert project.labels.decide([decision])[0].status == "saved"


def test_preview_counts_what_the_threshold_accepts_and_expects_no_errors_by_few_answers(
    project: Project, number: int
) -> None:
    found = project.audits.preview(project.audits.rule_at(number, 0.9))
    assert (found.count, found.undecided, dict(found.per_class)) == (90, 100, {"cat": 60, "dog": 30})
    assert found.expected_errors is None  # ten held-out labels


def test_a_target_error_gives_the_lowest_thresholds_that_keep_it(project: Project, number: int) -> None:
    whole = project.audits.preview(project.audits.rule_for(number, 0.05))
    assert whole.count == 90  # (60 * .01 + 30 * .1) / 90 = .04; with the last ten .076
    each = project.audits.rule_for(number, 0.05, by_class=True)
    assert each.thresholds["dog"] > 1.0
    assert project.audits.preview(each).per_class == {"cat": 60, "dog": 0}


def test_labels_that_nobody_looked_at_and_images_without_prediction_count_in_what_is_left(
    project: Project, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = free_ids(project)
    unsure = project.queue.next("least_confidence", 1)[0][0].image_id
    answer(project, unsure, None, "unsure")
    audit = project.audits.start_rule(project.audits.rule_at(number, 0.9))
    asked = answer_audit(project, 1, 20, frozen_label(project, 1))
    project.audits.accept(1)
    rest = [p for p in [0.99] * 60 + [0.9] * 30]
    unseen = [i for i in audit.frozen.image_ids.tolist() if i not in asked]
    confidence = {i: p for i, p in zip(free, rest, strict=False)}
    expected = sum(1 - confidence[i] for i in unseen) + 9 * 0.4 + 1  # nine at .6, and the unsure one
    assert project.measured.outlook().errors_left is None
    monkeypatch.setattr(scale, "TENS", 0)  # without answers nothing is recalibrated
    assert project.measured.outlook().errors_left == pytest.approx(expected, abs=1e-3)


def test_reliability_is_of_the_measured_set_and_no_answer_judges_itself(project: Project, number: int) -> None:
    answer_measured(project, 100, predicted(project, number))
    answers = project.measured.answers(number)
    before, after = project.measured.reliability(number)
    assert (before.n, after.n) == (len(answers.right), len(answers.right))
    assert sum(one.n * one.accuracy for one in before.bins) == pytest.approx(answers.right.sum())
    assert after.ece != before.ece
    assert "other" in after.how


def test_a_cell_of_the_confusion_matrix_names_its_held_out_images(project: Project, number: int) -> None:
    held = project.store.label_table()
    ids = held.image_ids[[label == "cat" for label in held.label]][::2].tolist()
    assert project.measured.confusion_ids(number, "cat", "cat") == ids
    assert project.measured.confusion_ids(number, "cat", "dog") == []


def test_pace_and_what_is_left(project: Project, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for item in project.queue.next("least_confidence", 4)[0]:
        answer(project, item.image_id, item.prediction, "accept", actor="Ada")
    (pace,) = project.measured.pace()
    assert (pace.actor, pace.decisions, pace.seconds, pace.agreement) == ("Ada", 4, 2.0, 1.0)
    assert project.measured.outlook(target=0.9699).decisions_left is None
    monkeypatch.setattr(scale, "TENS", 0)  # without answers nothing is recalibrated
    found = project.measured.outlook(target=0.9699, next_count=6)
    assert found.next_corrections == pytest.approx(6 * 0.4, abs=1e-3)
    assert found.errors_left == pytest.approx(6 * 0.4 + 30 * 0.1 + 60 * 0.01, abs=1e-3)
    # 120 images at 96.99 %: 3.6 may be wrong. Of 6.0 expected, the six at .6 (2.4) must go.
    assert found.decisions_left == 6
    assert found.minutes_left == pytest.approx(6 * 2 / 60)


def test_a_round_that_held_nothing_out_is_measured_by_random_images_and_its_confidences_promise_nothing(
    project: Project,
) -> None:
    number = make_round(project, np.tile([0.9, 0.1], (LABELED + FREE, 1)))
    assert not project.results.calibrated(number)
    assert project.audits.preview(project.audits.rule_at(number, 0.5)).expected_errors is None
    found = project.measured.outlook()
    assert (found.next_corrections, found.errors_left, found.decisions_left) == (None, None, None)
    assert found.curve[0].accuracy.n == 0
    assert found.advice.startswith("No round has been measured")
    trained_on = {*project.store.imported().tolist()}
    asked = answer_measured(project, 30, "cat")
    fair = [image_id for image_id in asked if image_id not in trained_on]
    (point,) = project.measured.outlook().curve
    assert (point.accuracy.right, point.accuracy.n) == (len(fair), len(fair))
    assert f"Only {len(fair)} images measure the last round" in project.measured.outlook().advice
    project.audits.start_rule(project.audits.rule_at(number, 0.9))
    answer_audit(project, 1, 20, frozen_label(project, 1))
    archive = project.exports.write(ExportOptions("imagefolder_zip", frozenset({"pseudo"}), min_confidence=0.9))
    with zipfile.ZipFile(archive) as written:
        manifest = json.loads(next(written.read(name) for name in written.namelist() if name.endswith("manifest.json")))
    assert "heldout" not in manifest
    assert (manifest["measured"]["round"], manifest["measured"]["n"]) == (number, len(fair))


def test_counts_at_an_earlier_entry(project: Project, number: int) -> None:
    seq = project.store.round(number).ledger_seq
    answer(project, free_ids(project)[0], "cat")
    before, now = project.store.counts_at(seq), project.store.counts_at(project.store.head_seq())
    assert before != now
