"""Classes one by one in a project: figures of the measured set, and images near a rare class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.quality import goal
from engine.project.results import undecided
from engine.project.review.ref import QueueRef
from engine.quality import people
from engine.quality.measured_set import undecided_share
from engine.quality.sample import share
from engine.records.goal import Goal, Step
from engine.records.labels import Decision
from tests.made_round import make_round
from tests.measuring import answer_measured
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100
LYNX = 7
"""Undecided images that are predicted as the rare class."""


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        opened.store.add_class("lynx")
        yield opened


@pytest.fixture
def number(project: Project) -> int:
    """A round that says lynx of the last 7, surely cat of the 60 before, dog of the rest; the image before the last 7
    lies among them by its features."""
    said = np.tile([0.1, 0.8, 0.1], (LABELED + FREE, 1))
    said[-60 - LYNX : -LYNX] = [0.9, 0.05, 0.05]
    said[-LYNX:] = [0.2, 0.1, 0.7]
    features = np.random.default_rng(0).normal(size=(LABELED + FREE, 3))
    features[-LYNX - 1 :] += 20
    return make_round(project, said, features=features)


def test_labels_of_people_asked_again_tell_how_many_answers_are_slips(project: Project, number: int) -> None:
    assert project.measured.slips() == (people.slips(), 0)
    drawn = project.measured.upcoming(40).tolist()
    for image_id in drawn[:30]:
        version = project.store.states([image_id])[0].version if image_id <= LABELED else 0
        one = Decision(new_uid(), image_id, version, "label", "cat", seconds=1.0)
        assert project.labels.decide([one])[0].status == "saved"
    answer_measured(project, 40, lambda image_id: "dog" if image_id in drawn[:9] else "cat")
    assert project.measured.slips() == (people.slips(30, 9), 30)
    answers, table = project.measured.answers(number), project.store.label_table()
    rest = undecided(table, project.results.needed(number))[1].max(1)
    told = undecided_share(answers.confidence, answers.right, rest, people.slips(30, 9))
    assert project.measured.undecided_right(number) == told


def test_each_class_is_counted_and_measured_by_what_it_is_predicted_as(project: Project, number: int) -> None:
    predictions = project.results.needed(number)
    answers = iter(["cat"] * 20 + ["lynx"] + ["dog"] * 9)
    asked = answer_measured(project, 30, lambda image_id: next(answers))
    learned = project.store.imported().tolist()
    fair = [image_id for image_id in asked if image_id not in learned]
    cat, dog, lynx = project.by_class.figures(number)
    best = [predictions.classes[predictions.probabilities[image_id - 1].argmax()] for image_id in fair]
    assert [one.right.n for one in (cat, dog, lynx)] == [best.count(name) for name in ("cat", "dog", "lynx")]
    said = [project.store.states([image_id])[0].label for image_id in fair]
    hits = [name for name, label in zip(best, said, strict=True) if label == name]
    assert [one.right.right for one in (cat, dog, lynx)] == [hits.count(name) for name in ("cat", "dog", "lynx")]
    assert (cat.share.right, dog.share.right, lynx.share.right, cat.share.n) == (20, 9, 1, 30)
    assert (lynx.share.low, lynx.share.high) == (share(1, 30, "").low, share(1, 30, "").high)
    undecided = project.store.label_table().undecided
    assert sum(one.predicted for one in (cat, dog, lynx)) == undecided.sum()
    assert (lynx.rare, cat.rare) == (True, False)


def test_an_unsure_answer_may_be_any_class_and_a_rejected_image_none(project: Project, number: int) -> None:
    items = project.queue.next(limit=3, ref=QueueRef("measured"))[0]
    for item, (action, label) in zip(items, [("label", "cat"), ("unsure", None), ("reject", None)], strict=True):
        one = Decision(new_uid(), item.image_id, item.version, action, label, seconds=1.0)  # type: ignore[arg-type]
        project.labels.decide([one], blind={item.image_id})
    cat, _, lynx = project.by_class.figures(number)
    assert (cat.share.right, cat.share.n) == (1, 1)
    assert (cat.share.low, cat.share.high) == (share(1, 2, "").low, 1.0)
    assert (lynx.share.right, lynx.share.high) == (0, share(1, 2, "").high)


def test_what_lies_near_a_rare_class_comes_first_and_is_told_of_a_rule_that_takes_it(
    project: Project, number: int
) -> None:
    odd = LABELED + FREE - LYNX
    near = project.by_class.near_rare()
    assert near.image_ids[0] == odd
    assert (near.predicted[0], near.rare[0]) == ("cat", "lynx")
    assert near.closeness[0] <= 1
    items, total = project.queue.next(limit=5, ref=QueueRef.parse("rare"))
    assert items[0].image_id == odd
    assert items[0].prediction == "cat"
    assert "lynx" in items[0].why
    assert total == len(near.image_ids) == FREE - LYNX
    swept = project.by_class.swept(project.audits.rule_at(number, 0.85))
    assert odd in swept.image_ids
    assert not len(project.by_class.swept(project.audits.rule_at(number, 0.95)).image_ids), "which takes none"
    project.labels.decide([Decision(new_uid(), odd, 0, "label", "lynx", seconds=1.0)])
    assert odd not in project.by_class.near_rare().image_ids


def test_how_much_too_sure_a_round_is_is_told_of_the_undecided_and_of_what_a_rule_takes(
    project: Project, number: int
) -> None:
    rule = project.audits.rule_at(number, 0.85)
    assert (project.measured.sureness_of_undecided(number), project.measured.sureness_above(rule).n) == (None, 0)
    answer_measured(project, 60, "cat")
    answers = project.measured.answers(number)
    taken = answers.confidence >= 0.85
    above = project.measured.sureness_above(rule)
    assert (above.n, above.right) == (int(taken.sum()), 1.0)
    assert above.confidence == pytest.approx(0.9)
    rest = project.measured.sureness_of_undecided(number)
    share_right = project.measured.undecided_right(number)
    assert rest is not None
    assert share_right is not None
    assert (rest.n, rest.right, rest.low) == (len(answers.right), share_right.value, share_right.low)
    probabilities = project.results.needed(number).probabilities[project.store.label_table().undecided]
    assert rest.confidence == pytest.approx(probabilities.max(1).mean())


def test_before_the_freeze_looks_go_first_to_what_lies_near_a_rare_class(project: Project, number: int) -> None:
    odd = LABELED + FREE - LYNX
    suspected = {image_id: suspicion for image_id, suspicion, _ in project.goals.doubtful()}
    assert suspected[odd] < sorted(suspected.values())[-LYNX], "by suspicion alone others come before it"
    assert project.goals.doubtful()[0][0] == odd
    item = project.queue.next(limit=1, ref=QueueRef.parse("doubtful"))[0][0]
    assert item.image_id == odd
    assert "near images of a rare one" in item.why
    project.goals.set(Goal(0.9))  # a goal that asks for no look at any doubtful image
    report, _ = project.goals.report(30)
    assert report is not None
    assert report.step == Step("look", len(project.goals.near_rare(project.goals.labels_now())))
    while (now := project.goals.labels_now()).image_ids[rows := project.goals.near_rare(now)].size:
        one = int(now.image_ids[rows[0]])
        project.labels.decide([Decision(new_uid(), one, 0, "label", "cat", seconds=1.0)])
    report, _ = project.goals.report(30)
    assert report is not None
    assert report.step.kind == "freeze"


def test_looks_near_a_rare_class_have_an_end_and_none_comes_first_within_an_audit(
    project: Project, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goal, "LOOKS", 1)
    odd = LABELED + FREE - LYNX
    assert project.goals.near_rare(project.goals.labels_now()).tolist() == [odd - 1]
    project.labels.decide([Decision(new_uid(), odd, 0, "label", "cat", seconds=1.0)])
    assert not len(project.goals.near_rare(project.goals.labels_now()))
    monkeypatch.setattr(goal, "LOOKS", 100)
    project.audits.freeze()
    assert not len(project.goals.near_rare(project.goals.labels_now()))
