"""What a project says of its quality: audits with their bound, the random sample, calibration, what is left."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, LedgerError
from engine.exporters.collect import ExportOptions
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.quality import scale
from engine.records.labels import Decision
from engine.records.quality import AuditResult
from tests.made_round import make_round
from tests.measuring import answer_measured
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


def answer_all(project: Project, result: AuditResult, wrong: int) -> None:
    """Answer an audit of cats and dogs: the first `wrong` images differ from their prediction."""
    _, left = project.audits.unanswered(result.record.number)
    for place, image_id in enumerate(left):
        said = project.queue.item(image_id).prediction
        other = "dog" if said == "cat" else "cat"
        answer(project, image_id, other if place < wrong else said)


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


def test_an_audit_is_accepted_as_one_batch_that_carries_its_bound_and_one_undo_takes_it_back(
    project: Project, number: int
) -> None:
    audits = project.audits
    begun = audits.start(audits.rule_at(number, 0.9), size=40)
    assert (len(begun.record.population), len(begun.record.sample), begun.bound) == (90, 40, None)
    with pytest.raises(ConfigError, match="answer first"):
        audits.accept(begun.record.number)
    answer_all(project, begun, wrong=2)
    done = audits.get(begun.record.number)
    assert (done.answered, done.wrong) == (40, 2)
    assert done.bound == pytest.approx(0.1492, abs=1e-3)  # beta.ppf(.95, 3, 38)
    assert (done.rest, done.rest_bound) == (50, pytest.approx((13 - 2) / 50))  # floor(.1492 * 90) = 13 at most
    batch, count = audits.accept(begun.record.number)
    assert count == 50
    assert project.store.counts().labeled == LABELED + 90
    newest = project.store.batches(1)[0]
    assert (newest.batch, newest.decisions, newest.facts["bound"]) == (batch, 50, pytest.approx(done.bound))
    assert project.store.verify() == []
    archive = project.exports.write(ExportOptions("imagefolder_zip"))
    with zipfile.ZipFile(archive) as found:
        manifest = json.loads(next(found.read(name) for name in found.namelist() if name.endswith("manifest.json")))
        rows = list(csv.DictReader(io.StringIO(found.read("metadata.csv").decode())))
    assert manifest["batches"][batch]["wrong"] == 2
    by_rule = [row for row in rows if row["label_source"] == "accepted_by_threshold"]
    columns = ("batch", "audit", "bound", "reviewed", "reviewed_by", "seen_seconds")
    told = {tuple(row[column] for column in columns) for row in by_rule}
    assert (len(by_rule), told) == (50, {(batch, "1", "0.22", "false", "", "0.0")})
    looked_at = {row["image_id"] for row in rows if row["reviewed"] == "true"}
    assert looked_at == {str(image_id) for image_id in begun.record.sample}
    assert {row["label_source"] for row in rows if row["image_id"] in looked_at} == {"human"}
    assert manifest["reviewed"] == 40
    assert all(ack.status == "saved" for ack in project.store.undo(new_uid(), "local", batch))
    assert project.store.counts().labeled == LABELED + 40


def test_labels_given_meanwhile_are_not_overwritten_by_the_accepted_audit(project: Project, number: int) -> None:
    audits = project.audits
    begun = audits.start(audits.rule_at(number, 0.9), size=10)
    answer_all(project, begun, wrong=0)
    other = next(i for i in begun.record.population.tolist() if i not in begun.record.sample)
    answer(project, other, "dog")
    assert audits.accept(begun.record.number)[1] == 79
    assert project.queue.item(other).label == "dog"


def test_rejected_and_unsure_count_as_wrong_and_skipped_is_no_answer(project: Project, number: int) -> None:
    audits = project.audits
    begun = audits.start(audits.rule_at(number, 0.9), size=5)
    a, b, c, *rest = begun.record.sample
    answer(project, a, None, "reject")
    answer(project, b, None, "unsure")
    answer(project, c, None, "skip")
    found = audits.get(begun.record.number)
    assert (found.answered, found.wrong, found.bound) == (2, 2, None)
    assert audits.unanswered(begun.record.number)[1] == [c, *rest]


def test_the_queue_of_an_audit_shows_its_sample_with_the_audited_prediction(project: Project, number: int) -> None:
    begun = project.audits.start(project.audits.rule_at(number, 0.9), size=5)
    items, total = project.queue.next("mixture", 20, ref=QueueRef.parse(f"audit:{begun.record.number}"))
    assert ([item.image_id for item in items], total) == (list(begun.record.sample), 5)
    assert {item.round for item in items} == {number}


def test_a_second_look_at_a_round_is_held_to_a_stricter_level(project: Project, number: int) -> None:
    audits = project.audits
    first = audits.start(audits.rule_at(number, 0.9), size=5)
    with pytest.raises(LedgerError, match="another audit is open"):
        audits.start(audits.rule_at(number, 0.9), size=5)
    audits.abandon(first.record.number)
    second = audits.start(audits.rule_at(number, 0.9), size=5)
    assert (first.record.level, second.record.level, second.record.look) == (0.95, pytest.approx(0.975), 2)


def test_answers_that_came_in_a_batch_are_no_answers_of_an_audit(project: Project, number: int) -> None:
    begun = project.audits.start(project.audits.rule_at(number, 0.9), size=5)
    table = project.grid.table()
    decisions = [
        Decision(new_uid(), int(i), 0, "accept", table.classes[k], round=number)
        for i, k in zip(table.image_ids, table.predicted, strict=True)
    ]
    project.labels.decide(decisions, "page")
    assert project.audits.get(begun.record.number).answered == 0
    for image_id in begun.record.sample:
        answer(project, image_id, project.queue.item(image_id).prediction)
    assert project.audits.get(begun.record.number).answered == 5


def test_labels_that_nobody_looked_at_and_images_without_prediction_count_in_what_is_left(
    project: Project, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = free_ids(project)
    unsure = project.queue.next("least_confidence", 1)[0][0].image_id
    answer(project, unsure, None, "unsure")
    begun = project.audits.start(project.audits.rule_at(number, 0.9), size=5)
    answer_all(project, begun, wrong=0)
    project.audits.accept(begun.record.number)
    rest = [p for p in [0.99] * 60 + [0.9] * 30]
    unseen = [i for i in begun.record.population.tolist() if i not in begun.record.sample]
    confidence = {i: p for i, p in zip(free, rest, strict=False)}
    expected = sum(1 - confidence[i] for i in unseen) + 9 * 0.4 + 1  # nine at .6, and the unsure one
    assert project.measured.outlook().errors_left is None
    monkeypatch.setattr(scale, "TENS", 0)  # without answers nothing is recalibrated
    assert project.measured.outlook().errors_left == pytest.approx(expected, abs=1e-3)


def test_an_audit_of_a_round_that_is_gone_can_be_given_up_and_closed_ones_need_no_files(
    project: Project, number: int
) -> None:
    audits = project.audits
    audits.abandon(audits.start(audits.rule_at(number, 0.9), size=5).record.number)
    open_one = audits.start(audits.rule_at(number, 0.9), size=5).record.number
    (project.workspace.round_folder(number) / "predictions" / "final.parquet").unlink()
    project.close()
    with Project.open(project.root) as again:
        found = {one.record.number: one for one in again.audits.all()}
        assert "cannot be read" in found[open_one].statement
        again.audits.abandon(open_one)
        assert {one.record.state for one in again.audits.all()} == {"abandoned"}


def test_nothing_to_accept_is_said(project: Project, number: int) -> None:
    with pytest.raises(ConfigError, match="accept no prediction"):
        project.audits.start(project.audits.rule_at(number, 1.0))


def test_reliability_after_calibration_judges_no_label_by_itself(project: Project, number: int) -> None:
    before, after = project.measured.reliability(number)
    assert (before.n, after.n) == (10, 10)
    assert before.ece == pytest.approx((5 * (1 - 0.9) + 5 * (1 - 0.8)) / 10, abs=1e-6)
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
    answer_all(project, project.audits.start(project.audits.rule_at(number, 0.9), size=2), wrong=0)
    archive = project.exports.write(ExportOptions("imagefolder_zip", frozenset({"pseudo"}), min_confidence=0.9))
    with zipfile.ZipFile(archive) as written:
        manifest = json.loads(next(written.read(name) for name in written.namelist() if name.endswith("manifest.json")))
    assert (manifest["round"], manifest["heldout"]) == (number, None)


def test_counts_at_an_earlier_entry(project: Project, number: int) -> None:
    seq = project.store.round(number).ledger_seq
    answer(project, free_ids(project)[0], "cat")
    before, now = project.store.counts_at(seq), project.store.counts_at(project.store.head_seq())
    assert before != now
