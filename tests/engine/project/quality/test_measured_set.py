"""The measured set in a project: asked blind between other images, never trained on, the same for every round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.records.labels import Action, Decision
from engine.records.review import ReviewItem
from engine.rounds.folder import files
from engine.rounds.supervisor import prepare
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
    """A round on the labeled images that says cat of the first 60 of the others, dog of the rest."""
    cat = np.r_[np.full(LABELED, 0.9), np.full(60, 0.8), np.full(40, 0.3)]
    return make_round(project, np.stack([cat, 1 - cat], 1))


def answer(project: Project, item: ReviewItem, label: str | None, action: str = "label") -> str:
    uid = new_uid()
    decision = Decision(uid, item.image_id, item.version, action, label, seconds=1.0)  # type: ignore[arg-type]
    blind = {item.image_id} if item.blind else set()
    assert project.labels.decide([decision], blind=blind)[0].status == "saved"
    return uid


def forget_what_was_learned(project: Project, number: int) -> None:
    """Make a round one that learned from nothing, so that the whole measured set is fair to it."""
    path = project.workspace.round_folder(number) / files.LABELS
    frame = pd.read_parquet(path)
    frame["role"] = "unlabeled"
    frame.to_parquet(path, index=False)


def test_one_image_in_five_is_asked_blind_whatever_is_fetched_at_once(project: Project, number: int) -> None:
    blind = []
    for _ in range(40):
        items, _ = project.queue.next("least_confidence", 7)
        blind.append(items[0].blind)
        answer(project, items[0], "cat")
    places = [place for place, asked in enumerate(blind, 1) if asked]
    assert places[:3] == [5, 10, 15]
    assert set(np.diff(places).tolist()) <= {5, 6}, "an image that is asked again is one image more for two answers"
    ahead = project.queue.next("least_confidence", 20)[0]
    first, *others = [place for place, item in enumerate(ahead, 1) if item.blind]
    assert others == [first + 5, first + 10, first + 15][: len(others)]
    held = [item.image_id for item in ahead[:12]]
    later = project.queue.next("least_confidence", 8, exclude=held)[0]
    assert [place for place, item in enumerate(later, 13) if item.blind] == [one for one in others if one > 12]
    assert {item.image_id for item in later if item.blind} == {item.image_id for item in ahead[12:] if item.blind}


def test_nothing_is_said_of_an_image_that_is_asked_blind_and_only_its_answer_draws_it(
    project: Project, number: int
) -> None:
    items, total = project.queue.next(limit=30, ref=QueueRef("measured"))
    assert total == 20, "to the next number of answers that says more"
    assert all(
        (one.blind, one.prediction, one.label, one.top, one.round) == (True, None, None, (), None) for one in items
    )
    assert len(project.store.measured().image_ids) == 0, "being looked at is no draw"
    assert project.queue.next(limit=3, ref=QueueRef("measured"))[0] == items[:3]
    answer(project, items[0], "cat")
    assert project.store.measured().image_ids.tolist() == [items[0].image_id]
    assert project.queue.next(limit=30, ref=QueueRef("measured"))[1] == 19


def test_a_label_given_before_is_asked_again_and_leaves_training(project: Project) -> None:
    imported = set(project.store.imported().tolist())
    asked = answer_measured(project, 60, "cat")
    again = [image_id for image_id in asked if image_id in imported]
    assert len(again) >= 4
    record = project.store.queue_round("supervised", {"train": {}})
    folder = prepare.write_plan(project.store, record, project.root)
    frame = pd.read_parquet(folder / files.LABELS).set_index("image_id")
    assert set(frame.loc[asked, "role"]) == {"unlabeled"}
    assert set(frame.loc[asked, "label"]) == {-1}
    trained = sorted(imported - set(asked))
    assert set(frame.loc[trained, "role"]) <= {"train", "heldout"}


def test_every_round_is_scored_on_the_same_images_but_for_those_it_learned_from(project: Project, number: int) -> None:
    imported = set(project.store.imported().tolist())
    asked = answer_measured(project, 50, predicted(project, number))
    fair = [image_id for image_id in asked if image_id not in imported]
    first = project.measured.accuracy(number)
    assert (first.right, first.n) == (len(fair), len(fair)) != (50, 50)
    other = make_round(project, np.tile([0.6, 0.4], (LABELED + FREE, 1)))
    path = project.workspace.round_folder(other) / files.LABELS
    frame = pd.read_parquet(path)
    frame.loc[frame["image_id"].isin(asked), ["role", "label"]] = ["unlabeled", -1]
    frame.to_parquet(path, index=False)
    second = project.measured.accuracy(other)
    assert second.n == 50
    cats = [image_id for image_id in fair if predicted(project, number)(image_id) == "cat"]
    compared = project.measured.compare(number, other)
    assert (compared.n, compared.only_this, compared.only_other) == (len(fair), len(fair) - len(cats), 0)
    assert compared.told_apart == (compared.evidence >= 20)
    assert project.measured.compare(other, number).only_other == compared.only_this


def test_what_was_passed_over_counts_as_wrong_until_it_is_answered(project: Project, number: int) -> None:
    items = project.queue.next(limit=4, ref=QueueRef("measured"))[0]
    answer(project, items[0], None, "skip")
    answer(project, items[1], predicted(project, number)(items[1].image_id))
    answer(project, items[3], predicted(project, number)(items[3].image_id))
    learned = set(project.store.imported().tolist())
    counted = [one.image_id for one in items if one.image_id not in learned]
    right = [one.image_id for one in (items[1], items[3]) if one.image_id not in learned]
    found = project.measured.accuracy(number)
    assert (found.right, found.n) == (len(right), len(counted))
    assert project.measured.waiting().tolist() == [items[2].image_id]
    shown = project.queue.next("least_confidence", 200)[0]
    assert next(one for one in shown if one.image_id == items[2].image_id).blind
    assert items[2].image_id not in project.grid.table().image_ids


@pytest.mark.parametrize("mark", ["skip", "flag", "unsure", "reject"])
def test_a_mark_in_place_of_an_answer_counts_as_wrong_also_where_the_import_had_a_label(
    project: Project, number: int, mark: Action
) -> None:
    forget_what_was_learned(project, number)
    table, said = project.store.label_table(), predicted(project, number)
    while True:
        item = project.queue.next(limit=1, ref=QueueRef("measured"))[0][0]
        if table.label[table.rows(np.array([item.image_id]))[0]] == said(item.image_id):
            break
        answer(project, item, said(item.image_id))
    answer(project, item, None, mark)
    answers = project.measured.answers(number)
    assert answers.image_ids[-1] == item.image_id
    assert not answers.right[-1]
    assert answers.right[:-1].all()


def test_what_is_changed_with_the_prediction_in_sight_measures_nothing(project: Project, number: int) -> None:
    asked = answer_measured(project, 30, "dog")
    before = project.measured.answers(number)
    for image_id in asked:
        version = int(project.store.states([image_id])[0].version)
        label = predicted(project, number)(image_id)
        seen = Decision(new_uid(), image_id, version, "correct", label, round=number, seconds=1.0)
        assert project.labels.decide([seen])[0].status == "saved"
    after = project.measured.answers(number)
    assert after.right.tolist() == before.right.tolist()
    assert 0 < after.right.sum() < len(after.right)
    assert (project.measured.labels(("cat", "dog")) == 1).all()


def test_a_measured_image_that_is_opened_again_shows_no_prediction_and_its_correction_counts(
    project: Project, number: int
) -> None:
    forget_what_was_learned(project, number)
    said = predicted(project, number)
    [first] = answer_measured(project, 1, lambda image_id: "dog" if said(image_id) == "cat" else "cat")
    assert project.measured.accuracy(number).right == 0
    again = project.queue.item(first)
    assert (again.blind, again.prediction, again.label) == (True, None, None)
    answer(project, again, said(first), "correct")
    assert project.measured.accuracy(number).right == 1


def test_no_list_shows_an_image_that_waits_to_be_asked_blind(project: Project, number: int) -> None:
    items = project.queue.next(limit=6, ref=QueueRef("measured"))[0]
    listed = {one.image_id for one in project.queue.next(limit=500, ref=QueueRef("doubtful"))[0]}
    waiting = [one.image_id for one in items[:5]]
    assert listed & set(waiting), "it must be one that the list holds otherwise"
    answer(project, items[5], "cat")
    assert project.measured.waiting().tolist() == waiting
    shown, total = project.queue.next(limit=500, ref=QueueRef("doubtful"))
    assert not {one.image_id for one in shown} & set(waiting)
    assert total == len(shown)


def test_images_found_to_be_of_one_group_after_they_were_drawn_measure_once(project: Project, number: int) -> None:
    forget_what_was_learned(project, number)
    asked = answer_measured(project, 40, "cat")
    assert project.measured.accuracy(number).n == 40
    project.store.set_groups(dict.fromkeys(asked[5:30], "scene"), "near-duplicates")
    after = project.measured.accuracy(number)
    assert (after.n, after.images) == (16, 40)
    assert project.measured.measured_ids().tolist() == [*asked[:6], *asked[30:]]


def test_answers_from_before_blind_ones_said_so_still_count(project: Project, number: int) -> None:
    asked = answer_measured(project, 12, predicted(project, number))
    before = project.measured.answers(number)
    project.store._write(lambda c: c.exec_driver_sql("UPDATE annotations SET asked = NULL"))
    root = project.root
    with Project.open(root, read_only=True) as again:
        assert again.measured.answers(number).right.tolist() == before.right.tolist()
        assert again.measured.measured_ids().tolist() == asked


def test_an_answer_taken_back_waits_and_is_asked_blind_again(project: Project, number: int) -> None:
    first = project.queue.next(limit=1, ref=QueueRef("measured"))[0][0]
    uid = answer(project, first, "cat")
    assert project.store.undo(new_uid(), "local", uid)[0].status == "saved"
    assert project.measured.waiting().tolist() == [first.image_id]
    again = project.queue.item(first.image_id)
    assert (again.blind, again.prediction) == (True, None)
    assert project.measured.accuracy(number).n == 0
    assert project.store.verify() == []


def test_labels_that_nobody_saw_are_no_answers(project: Project, number: int) -> None:
    imported = project.store.imported()
    while (first := project.queue.next(limit=1, ref=QueueRef("measured"))[0][0]).image_id in imported:
        answer(project, first, "cat")
    _, second = project.queue.next(limit=2, ref=QueueRef("measured"))[0]
    answer(project, second, "cat")
    assert project.measured.waiting().tolist() == [first.image_id]
    said = predicted(project, number)(first.image_id)
    swept = Decision(new_uid(), first.image_id, first.version, "accept", said, round=number)
    project.labels.decide([swept], "page")
    assert project.measured.waiting().tolist() == [first.image_id]
    right = dict(zip(*(column.tolist() for column in astuple(project.measured.answers(number))[::2]), strict=True))
    assert not right[first.image_id], "accepted as predicted, and seen by nobody"


def test_read_only_projects_are_measured_too(project: Project, number: int) -> None:
    answer_measured(project, 25, predicted(project, number))
    right = project.measured.accuracy(number)
    project.close()
    with Project.open(project.root, read_only=True) as opened:
        assert opened.measured.accuracy(number) == right
        assert opened.queue.next(limit=5, ref=QueueRef("measured"))[0][0].blind


def test_an_image_of_a_scene_that_a_round_learned_from_does_not_measure_it(project: Project, number: int) -> None:
    for item in project.queue.next(limit=20, ref=QueueRef("measured"))[0]:
        answer(project, item, "cat")
    before = project.measured.answers(number)
    assert len(before.image_ids) > 2
    learned = int(project.measured._learned_from(number)[0])
    torn = int(before.image_ids[0])
    project.store.set_groups({learned: "scene", torn: "scene"}, "by hand")
    after = project.measured.answers(number)
    assert after.image_ids.tolist() == before.image_ids[1:].tolist()
    assert project.measured.accuracy(number).images == len(after.image_ids)
