"""The desk of the goal: what is set, how many labels are wrong now, and what comes next."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.percent import at_most
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.quality.goal import _next
from engine.quality.betting import ConfidenceSequence
from engine.quality.learning import Learning
from engine.quality.plan import Plan
from engine.quality.standing import ASSUMED_MISS
from engine.records.goal import Goal, GoalReport, Step
from engine.records.labels import Decision
from engine.records.quality import AuditAnswer
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.measuring import answer_measured
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
        "human": (1, 1, 0.02),  # looked at: people's error, supposed until they are asked again
        "confirmed": (1, 1, 0.02),
        "accepted_in_batch": (1, 0, 0.2),
        "pseudo": (97, 0, 9.7),
    }
    assert standing.wrong == pytest.approx(10.34)
    assert standing.people == 0.02
    assert (standing.labels, standing.blank, standing.low, standing.high, standing.answers) == (120, 0, None, None, 0)


def test_before_an_audit_the_measured_set_corrects_what_is_suspected(project: Project) -> None:
    """30 images asked, each prediction suspected by .1, each imported label by .02, and none wrong."""
    round_of(project)
    assert now(project).standing.measured == 0
    truth, undecided = frozen_truth(project), set(free(project))
    asked = answer_measured(project, 30, truth)
    predicted = len(undecided & set(asked))
    suspected = 0.1 * predicted + 0.02 * (30 - predicted)
    better = now(project).standing
    assert (better.measured, better.answers) == (30, 0)
    pseudo = {one.source: one for one in better.by_source}["pseudo"]
    assert pseudo.wrong == pytest.approx(pseudo.labels * 0.1 * 4 / (4 + suspected), rel=1e-5)


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
    assert "With 20 more “Random images, asked blind”" in report.why
    assert report.way is None
    assert report.standing.blank == FREE
    round_of(project)
    assert now(project).step.kind == "look"


def test_project_without_images_has_nothing_to_plan(tmp_path: Path) -> None:
    with Project.create(tmp_path / "empty") as empty:
        report = now(empty)
    assert (report.step, report.why, report.way) == (Step("label"), "There are no images yet.", None)
    assert (report.standing.labels, report.standing.wrong) == (0, 0.0)


def test_plan_looks_at_the_doubtful_first_then_freezes(project: Project) -> None:
    project.goals.set(Goal(0.05))
    number = round_of(project, sure=0.9)
    report = now(project)
    assert report.way is not None
    assert report.step == Step("look", report.way.first)
    assert 0 < report.way.low <= report.way.first + report.way.audit <= report.way.high
    assert report.way.minutes is None  # nobody's pace is known
    listed = project.goals.doubtful()
    assert [one[2] for one in listed] == ["pseudo"] * 100 + ["imported"] * 20
    for image_id, _, _ in listed[: report.way.first]:
        decide(project, image_id, "accept", "cat", round=number, confidence=0.9, seconds=2.0)
    after = now(project)
    assert after.step.kind == "freeze"
    assert after.way is not None
    assert after.way.minutes == pytest.approx((after.way.first + after.way.audit) * 2.0 / 60)


def test_plan_of_a_model_that_learns_asks_for_labels_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.goals.set(Goal(0.05))
    round_of(project, sure=0.6)
    as_it_is = now(project).way
    assert as_it_is is not None
    assert (as_it_is.label, as_it_is.learns) == (0, False)
    monkeypatch.setattr(project.curve, "now", lambda: Learning(20, 2.0, 0.1, 0.2, 0.8))
    report = project.goals.compute()
    assert report.way is not None
    assert report.way.learns
    assert report.step == Step("label", report.way.label)
    assert 0 < report.way.label + report.way.first + report.way.audit < as_it_is.first + as_it_is.audit
    project.audits.freeze(rate=0.05)
    within = project.goals.compute().way
    assert within is not None
    assert (within.label, within.learns) == (0, False), "while an audit is open no model learns"


def test_report_is_worked_out_anew_only_when_something_changed(project: Project) -> None:
    round_of(project)
    first = now(project)
    assert now(project) is first
    project.goals.set(Goal(0.1))
    assert now(project) is not first


def frozen_truth(project: Project, wrong: int = 0) -> Callable[[int], str]:
    """What is right of each image: its label now, but for so many predictions."""
    labels = project.goals.labels_now()
    truth = dict(zip(labels.image_ids.tolist(), labels.label.tolist(), strict=True))
    truth |= dict.fromkeys(labels.image_ids[labels.source == "pseudo"][:wrong].tolist(), "dog")
    return lambda image_id: str(truth[image_id])


def test_audit_narrows_the_estimate_and_reaching_the_goal_stops_the_asking(project: Project) -> None:
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.97)
    truth = frozen_truth(project)
    assert now(project).step.kind == "freeze"
    number = project.audits.freeze(rate=0.1).number
    assert now(project).step.kind == "audit"
    answer_audit(project, number, 10, truth)
    early = now(project).standing
    assert (early.answers, early.low, early.high) == (10, None, None)  # too few to tell
    answer_audit(project, number, 12, truth)
    later = now(project)
    assert (later.standing.answers, later.standing.low, later.reached) == (22, 0, "")
    assert later.standing.high is not None
    assert later.way is not None
    answer_audit(project, number, 40, truth)
    report = now(project)
    assert report.step == Step("export")
    assert report.way is None
    share = project.audits.get(number).left_wrong / 120
    assert report.reached == f"at most {at_most(share)} wrong, 95 % sure"
    root = project.root
    project.audits.close(number)
    project.close()
    with Project.open(root) as again:
        assert now(again).reached == report.reached
        again.goals.set(Goal(0.1, 0.99))  # the audit was frozen for 95 %
        assert (now(again).reached, now(again).step.kind) == ("", "freeze")


def test_where_few_labels_are_left_looking_at_all_of_them_is_the_certificate(project: Project) -> None:
    """That none is wrong no sample of most of them shows; all of them do."""
    project.goals.set(Goal(0.0))
    round_of(project, sure=0.97)
    truth = frozen_truth(project)
    number = project.audits.freeze(rate=0.0).number
    answer_audit(project, number, 100, truth)
    last = now(project)
    assert last.reached == ""
    assert last.way is not None
    assert 0 < last.way.first + last.way.audit <= 20
    answer_audit(project, number, 20, truth)
    assert now(project).reached == "at most 0.00 % wrong, 95 % sure"


def test_scale_follows_from_suspicion_as_it_was_before_the_answers(project: Project) -> None:
    """30 answers, 4 wrong, of labels suspected by .1 and .02 each: about 1.15 times what was suspected is wrong."""
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.9)
    truth = frozen_truth(project, wrong=12)
    number = project.audits.freeze().number
    asked = list(dict.fromkeys(answer_audit(project, number, 30, truth)))
    labels = {image_id: label for image_id, label in zip(*_columns(project), strict=True)}
    source = project.audits.get(number).frozen
    rows = source.rows(np.array(asked))[0]
    pseudo = np.array(source.sources, object)[source.source_code[rows]] == "pseudo"
    suspected = 0.1 * pseudo.sum() + 0.02 * (~pseudo).sum()
    wrong = project.audits.get(number).total.wrong
    assert wrong == sum(labels[one] == "dog" and bool(at) for one, at in zip(asked, pseudo, strict=True))
    project.close()
    with Project.open(project.root) as again:  # the answers have changed the labels in force since
        found = again.suspicions.audited(again.audits.get(number))
        assert (found.answers, found.wrong, found.rebuilt) == (len(asked), wrong, False)
        assert found.suspected == pytest.approx(suspected, rel=1e-5)


def _columns(project: Project) -> tuple[list[int], list[str]]:
    table = project.store.label_table()
    return table.image_ids.tolist(), table.label.tolist()


def test_labels_that_came_or_went_after_the_freeze_take_the_goal_away(project: Project) -> None:
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.97)
    answer_audit(project, project.audits.freeze(rate=0.1).number, 70, frozen_truth(project))
    assert now(project).reached
    unseen = next(one for one in free(project))
    decide(project, unseen, "unsure", None, seconds=1.0)  # type: ignore[arg-type]
    report = now(project)
    assert (report.reached, report.step) == ("", Step("freeze"))
    assert "some of them went" in report.why
    decide(project, unseen, "label", "cat", seconds=1.0)
    assert now(project).reached
    project.goals.set(Goal(0.1, 0.99))
    assert "frozen to be 95 % sure" in now(project).why


def test_goal_for_every_class_needs_each_of_them_shown(project: Project) -> None:
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.97)
    number = project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 70, frozen_truth(project))
    assert now(project).reached
    project.goals.set(Goal(0.1, per_class=True))  # ten dogs: nearly all have to be looked at
    report = now(project)
    assert report.reached == ""
    assert report.way is not None
    dogs = next(part for part in project.audits.get(number).classes if part.part.name == "dog")
    answer_audit(project, number, dogs.unseen, frozen_truth(project), part=str(dogs.part))
    assert now(project).reached.endswith("wrong in every class, 95 % sure")


def test_an_open_audit_of_a_threshold_comes_first(project: Project) -> None:
    number = round_of(project)
    project.audits.start_rule(project.audits.rule_at(number, 0.85))
    report = now(project)
    assert report.step.kind == "audit"
    assert "of a threshold is open" in report.why


def test_label_check_shares_the_suspicion_of_given_labels_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_of(project)
    table = project.store.label_table()
    given = table.image_ids[table.labeled]
    doubt = np.where(given == given[0], 0.8, 0.02)
    monkeypatch.setattr(project.checks, "contradicted", lambda: (given, doubt, table.head))
    labels = project.goals.labels_now()
    imported = labels.suspicion[labels.source == "imported"]
    assert imported.mean() == pytest.approx(0.02)
    assert imported[0] == pytest.approx(40 * imported[1])
    assert project.goals.doubtful()[0][0] == given[0]  # .31, and the predictions .1


def test_two_people_who_answer_at_once_are_asked_about_different_images(project: Project) -> None:
    round_of(project)
    number = project.audits.freeze().number
    ann, _ = project.audits.questions(number, limit=10, actor="ann")
    bob, _ = project.audits.questions(number, limit=10, actor="bob")
    again, _ = project.audits.questions(number, limit=10, actor="ann")
    assert again == ann
    assert not {one.image_id for one in ann} & {one.image_id for one in bob}
    rest, _ = project.audits.questions(number, limit=200, actor="carl")
    assert len(rest) == 100
    last, _ = project.audits.questions(number, limit=10, actor="dora")  # nothing else is left
    assert last == ann


def test_what_was_suspected_stays_as_noted_through_more_measured_answers_and_a_restart(project: Project) -> None:
    """110 measured answers later the scale is another one, and S of the audit the same, as is the estimate's scale."""
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.9)
    truth = frozen_truth(project, wrong=30)
    number = project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 15, truth)
    before = project.suspicions.audited(project.audits.get(number))
    answer_measured(project, 80, truth)
    assert project.measured.scale(1).n >= 50  # so that confidences are recalibrated by now
    after = project.suspicions.audited(project.audits.get(number))
    estimate, measured = now(project).standing.wrong, project.suspicions.measured()
    assert after == before
    assert (60 < measured.answers < 80, measured.rebuilt) == (True, False), "but for those that the audit had asked"
    project.close()
    with Project.open(project.root) as again:
        assert again.suspicions.audited(again.audits.get(number)) == before
        assert again.suspicions.measured() == measured
        assert now(again).standing.wrong == estimate


def test_what_was_suspected_stays_as_noted_after_a_check_and_another_round(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_of(project, sure=0.9)
    truth = frozen_truth(project)
    answer_measured(project, 12, truth)
    number = project.audits.freeze().number
    answer_audit(project, number, 25, truth)
    audited, measured = project.suspicions.audited(project.audits.get(number)), project.suspicions.measured()
    table = project.store.label_table()
    given = table.image_ids[table.labeled]
    monkeypatch.setattr(project.checks, "contradicted", lambda: (given, np.full(len(given), 0.9), table.head))
    round_of(project, sure=0.6)
    assert project.suspicions.audited(project.audits.get(number)) == audited
    assert project.suspicions.measured() == measured


def test_an_audit_without_notes_is_compared_with_what_is_known_now_and_that_is_said(project: Project) -> None:
    round_of(project, sure=0.9)
    number = project.audits.freeze().number
    answer_audit(project, number, 21, frozen_truth(project))
    noted = project.suspicions.audited(project.audits.get(number))
    assert not now(project).standing.rebuilt
    root = project.root
    project.close()
    with closing(sqlite3.connect(root / "project.db")) as connection, connection:
        connection.execute("UPDATE audits SET suspicion = NULL")
    with Project.open(root) as again:
        found = again.suspicions.audited(again.audits.get(number))
        assert (found.rebuilt, found.suspected) == (True, pytest.approx(noted.suspected, rel=1e-5))
        assert now(again).standing.rebuilt


def test_wrong_labels_that_people_pass_are_in_the_upper_end_and_sources_are_a_table(project: Project) -> None:
    project.goals.set(Goal(0.1))
    round_of(project, sure=0.97)
    number = project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 60, frozen_truth(project))
    total, standing = project.audits.get(number).total, now(project).standing
    both = ConfidenceSequence.replay(120, total.bets, 40.0)
    assert (standing.low, standing.high) == (0, math.floor(both.upper / (1 - ASSUMED_MISS)))
    assert standing.high >= total.left_wrong
    for part in project.audits.get(number).sources:
        if part.shown:
            found = next(one for one in standing.by_source if one.source == part.part.name)
            assert found.high == part.interval(2)[1] >= part.interval()[1]


def test_a_fifth_of_the_doubtful_is_looked_at_in_between_and_one_look_is_no_reason_to_count_anew() -> None:
    def answers(random: int, wrong: int, looks: int) -> list[AuditAnswer]:
        found = [AuditAnswer(n, "all", "cat", "pseudo", (), n < wrong, True) for n in range(random)]
        return [*found, *(AuditAnswer(1000 + n, None, "cat", "pseudo", (), False, True) for n in range(looks))]

    def following(given: list[AuditAnswer]) -> Step:
        audit = SimpleNamespace(answers=given)
        return _next(Plan(0, 500, 400, 600), audit, Goal(0.01), 100)  # type: ignore[arg-type]

    badly = answers(150, 3, 0)
    assert following(badly[:149]) == Step("audit", 500)
    assert following(badly) == Step("look", 20)
    early = [answers(0, 0, 1)[0], *badly]
    assert following(early) == Step("look", 20)
    between = [*badly[:100], *answers(0, 0, 1), *badly[100:]]
    assert following(between) == Step("look", 20)
    assert following(answers(150, 3, 5)) == Step("look", 15)
    assert following(answers(150, 3, 20)) == Step("audit", 500)
