"""The review queues of a project: what comes, in which order, with what beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, RoundError
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.records.labels import Decision
from tests.engine.pets import FREE, LABELED, make_pets
from tests.made_round import make_round
from tests.ready_project import ReadyProjects


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with make_pets(ready, tmp_path) as opened:
        yield opened


@pytest.fixture
def free(project: Project) -> np.ndarray:
    table = project.store.label_table()
    return table.image_ids[[label is None for label in table.label]]


def said(project: Project, cat: list[float]) -> np.ndarray:
    """Probabilities (N, 2): the labeled images as they are, the others as given."""
    table = project.store.label_table()
    values = iter(cat)
    p = [{"cat": 1.0, "dog": 0.0}.get(label, 0.0) if label else next(values) for label in table.label]
    return np.stack([np.array(p), 1 - np.array(p)], 1)


def decide(project: Project, image_id: int, label: str | None, action: str = "label") -> None:
    version = int(project.store.label_table().version[np.searchsorted(project.store.label_table().image_ids, image_id)])
    acks = project.labels.decide([Decision(new_uid(), int(image_id), version, action, label)])  # type: ignore[arg-type]
    assert acks[0].status == "saved"


def test_a_queue_goes_on_where_it_was_as_images_are_decided(project: Project) -> None:
    make_round(project, said(project, list(np.linspace(0.5, 0.99, FREE))))
    whole = [item.image_id for item in project.queue.next("least_sure", FREE)[0]]
    decide(project, whole[0], "cat")
    decide(project, whole[1], None, "skip")
    items, total = project.queue.next("least_sure", 5, exclude=[whole[2]])
    assert [item.image_id for item in items] == whole[3:8]
    assert total == FREE - 2


def test_another_selection_and_a_reload_get_picks_of_their_own(project: Project, free: np.ndarray) -> None:
    make_round(project, said(project, list(np.linspace(0.99, 0.6, FREE))))
    few = free[:5].tolist()
    assert {i.image_id for i in project.queue.next("margin", 5, ref=QueueRef.parse("selection"), among=few)[0]} == set(
        few
    )
    more = [*few, *free[-5:].tolist()]
    found = [i.image_id for i in project.queue.next("margin", 5, ref=QueueRef.parse("selection"), among=more)[0]]
    assert sorted(found) == free[-5:].tolist()
    held = [i.image_id for i in project.queue.next("margin", 3)[0]]
    project.queue.forget_plan()
    project.queue.next("margin", 3, exclude=held)
    assert [i.image_id for i in project.queue.next("margin", 3)[0]] == held  # after a reload nothing is excluded


def test_a_decision_taken_back_comes_again(project: Project) -> None:
    make_round(project, said(project, list(np.linspace(0.5, 0.99, FREE))))
    first = project.queue.next("least_sure", 1)[0][0].image_id
    decide(project, first, "cat")
    assert project.queue.next("least_sure", 1)[0][0].image_id != first
    project.store.undo(new_uid(), "local")
    assert project.queue.next("least_sure", 1)[0][0].image_id == first


def test_a_strategy_that_knows_few_images_is_followed_by_the_least_confident(
    project: Project, free: np.ndarray
) -> None:
    bald = np.full(LABELED + FREE, np.nan)
    bald[np.searchsorted(project.store.label_table().image_ids, free[7])] = 0.5
    make_round(project, said(project, list(np.linspace(0.99, 0.6, FREE))), signals={"bald": bald})
    items, _ = project.queue.next("bald", 3)
    order = [image_id for image_id in free[[7, 19, 18, 17]].tolist() if image_id not in project.measured.upcoming(1)]
    assert [item.image_id for item in items] == order[:3]


def test_strategies_say_what_a_round_lacks(project: Project) -> None:
    make_round(project, said(project, [0.9] * FREE))
    reasons = project.queue.strategies()
    assert reasons["least_sure"] == ""
    assert "features" in reasons["core_set"]
    with pytest.raises(ConfigError, match="features"):
        project.queue.next("core_set", 3)


def test_unknown_queues_are_refused_with_the_known_ones(project: Project) -> None:
    with pytest.raises(ConfigError, match="unreviewed"):
        project.queue.next("least_sure", 3, ref=QueueRef.parse("unseen"))
    with pytest.raises(ConfigError, match="least_sure"):
        project.queue.next("best", 3)
    with pytest.raises(ConfigError, match="audit"):
        project.queue.next("least_sure", 3, ref=QueueRef.parse("audit:x"))
    for text in ("audit:3", "audit:3:open", "audit:3:class:a: b", "audit:3:source:human"):
        assert str(QueueRef.parse(text)) == text
    assert QueueRef.parse("audit:3:class:a: b") == QueueRef.of_audit(3, "class:a: b")


def test_context_gives_the_nearest_labeled_images_and_the_path_of_the_pseudo_label(
    project: Project, free: np.ndarray
) -> None:
    ids = project.store.label_table().image_ids
    features = np.zeros((len(ids), 2))
    features[:LABELED] = [[0, 0], [3, 0], [0, 4], [10, 10]]
    features[np.searchsorted(ids, free[0])] = [0, 3]
    one, two = said(project, [0.8] * FREE), said(project, [0.3] * FREE)
    make_round(project, two, epochs=[one, two, two], features=features)
    found = project.signals.context([int(free[0])], project.results.predictions())[0]
    assert [(near.image_id, near.distance) for near in found.neighbours[:3]] == [
        (int(ids[2]), pytest.approx(1.0)),
        (int(ids[0]), pytest.approx(3.0)),
        (int(ids[1]), pytest.approx(np.hypot(3, 3), abs=1e-3)),
    ]
    assert [near.label for near in found.neighbours] == ["dog", "cat", "cat", "dog"]
    assert (found.epochs, found.pseudo_labels) == ((1, 2, 3), ("cat", "dog", "dog"))
    assert found.confidences == pytest.approx((0.8, 0.7, 0.7), abs=1e-3)


def test_a_labeled_image_is_not_its_own_neighbour_and_has_no_path(project: Project) -> None:
    ids = project.store.label_table().image_ids
    p = said(project, [0.8] * FREE)
    make_round(project, p, epochs=[p], features=np.arange(len(ids))[:, None].astype(float))
    found = project.signals.context([int(ids[0])], project.results.predictions())[0]
    assert int(ids[0]) not in [near.image_id for near in found.neighbours]
    assert found.epochs == ()


def test_context_without_a_round_or_features_is_empty_and_no_error(project: Project, free: np.ndarray) -> None:
    assert project.signals.context([int(free[0])], project.results.predictions())[0].neighbours == ()


def test_grid_is_grouped_by_prediction_and_sorted_in_each_class(project: Project, free: np.ndarray) -> None:
    cat = [0.9, 0.6, 0.2, 0.4, *[0.99] * (FREE - 4)]
    make_round(project, said(project, cat))
    table = project.grid.table(sort="confidence")
    assert table.image_ids[:2].tolist() == [free[1], free[0]]
    assert table.image_ids[-2:].tolist() == [free[3], free[2]]
    assert table.predicted.tolist() == [0] * (FREE - 2) + [1, 1]
    assert table.value[:2] == pytest.approx([0.6, 0.9])
    assert project.grid.table(sort="confident").value[-2:] == pytest.approx([0.8, 0.6])
    assert project.grid.table(sort="margin").value[0] == pytest.approx(0.2, abs=1e-5)


def test_grid_leaves_out_what_is_decided_and_shows_labels_when_asked(project: Project, free: np.ndarray) -> None:
    make_round(project, said(project, [0.9] * FREE))
    decide(project, int(free[0]), "dog")
    assert free[0] not in project.grid.table().image_ids
    table = project.grid.table(ref=QueueRef.parse("labeled"))
    assert dict(zip(table.image_ids.tolist(), table.label, strict=True))[int(free[0])] == "dog"
    assert len(project.grid.table(ref=QueueRef.parse("all")).image_ids) == LABELED + FREE


def test_grid_by_a_signal_that_is_not_recorded_is_refused(project: Project) -> None:
    make_round(project, said(project, [0.9] * FREE))
    with pytest.raises(ConfigError, match="not recorded"):
        project.grid.table(sort="disagreement")


def test_grid_without_a_round_says_so(project: Project) -> None:
    with pytest.raises(RoundError, match="no round is in force"):
        project.grid.table()


def test_a_confident_prediction_against_an_older_label_is_a_conflict_until_the_label_is_confirmed(
    project: Project,
) -> None:
    ids = project.store.label_table().image_ids
    p = said(project, [0.9] * FREE)
    p[0] = [0.02, 0.98]  # labeled cat
    p[2] = [0.9, 0.1]  # labeled dog, not sure enough
    make_round(project, p)
    conflicts = project.lists.conflicts()
    assert [(one.kind, one.image_ids, one.labels, one.suggested) for one in conflicts] == [
        ("prediction", (int(ids[0]),), ("cat",), "dog")
    ]
    items, total = project.queue.next("least_sure", 5, ref=QueueRef.parse("conflicts"))
    assert (total, items[0].label, items[0].prediction) == (1, "cat", "dog")
    decide(project, int(ids[0]), "cat")
    assert project.lists.conflicts() == []


def test_a_contradicted_label_is_shown_beside_the_nearest_image_with_it_and_with_the_other_one(
    project: Project,
) -> None:
    ids = project.store.label_table().image_ids
    p = said(project, [0.9] * FREE)
    p[0] = [0.02, 0.98]
    features = np.zeros((len(ids), 1))
    features[:LABELED, 0] = [0, 5, 2, 1]  # cat, cat, dog, dog
    make_round(project, p, features=features)
    (item,) = project.queue.next("least_sure", 5, ref=QueueRef.parse("conflicts"))[0]
    assert [(one.image_id, one.label) for one in item.beside] == [(int(ids[1]), "cat"), (int(ids[3]), "dog")]


def test_two_people_who_disagree_are_a_conflict_until_one_sees_both(project: Project, free: np.ndarray) -> None:
    image = int(free[0])
    first = project.labels.decide([Decision(new_uid(), image, 0, "label", "cat", actor="Ada")])[0]
    second = project.labels.decide([Decision(new_uid(), image, first.seq or 0, "correct", "dog", actor="Bo")])[0]
    items, _ = project.queue.next("least_sure", 5, ref=QueueRef.parse("conflicts"))
    assert [(one.who, one.label) for one in items[0].beside] == [("Ada", "cat"), ("Bo", "dog")]
    project.labels.decide([Decision(new_uid(), image, second.seq or 0, "label", "dog", actor="Ada")])
    assert project.queue.next("least_sure", 5, ref=QueueRef.parse("conflicts")) == ([], 0)
