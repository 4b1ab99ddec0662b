from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.records.labels import Decision, LabelState
from engine.store import Store

Make = Callable[..., Decision]


@pytest.mark.parametrize(("action", "source"), [("label", "human"), ("correct", "human"), ("accept", "confirmed")])
def test_a_label_is_in_force_and_reviewed_with_the_source_of_its_action(
    store: Store, decide: Make, action: str, source: str
) -> None:
    [ack] = store.record([decide("u1", 5, action, "fox", round=2, confidence=0.75)])
    kept = {"round": 2, "confidence": 0.75} if action == "accept" else {}
    assert ack.status == "saved"
    assert ack.state == LabelState(5, 3, "fox", source, reviewed=True, **kept)
    assert store.states([5]) == [ack.state]


def test_a_correction_keeps_in_the_ledger_which_prediction_was_on_screen(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "correct", "fox", round=2, confidence=0.75)])
    [entry] = store.history(5)
    assert (entry.round, entry.confidence, entry.source) == (2, 0.75, "human")


@pytest.mark.parametrize("mark", ["reject", "skip", "unsure", "flag"])
def test_a_mark_keeps_the_label_and_a_new_label_clears_the_mark(store: Store, decide: Make, mark: str) -> None:
    store.record([decide("u1", 5, "accept", "fox", round=2, confidence=0.75)])
    [marked] = store.record([decide("u2", 5, mark, None, round=9, confidence=0.1)])
    assert marked.state == LabelState(5, 4, "fox", "confirmed", 2, 0.75, True, mark)  # type: ignore[arg-type]
    [again] = store.record([decide("u3", 5, "label", "cat")])
    assert again.state == LabelState(5, 5, "cat", "human", reviewed=True)


@pytest.mark.parametrize("action", ["label", "correct", "accept"])
def test_a_label_means_the_class_however_its_accents_are_written(store: Store, decide: Make, action: str) -> None:
    store.add_class("caf\u00e9")
    [ack] = store.record([decide("u1", 5, action, "cafe\u0301")])
    assert (ack.status, store.states([5])[0].label) == ("saved", "caf\u00e9")
    assert store.history(5)[0].label == "caf\u00e9"


def test_the_states_at_a_seq_are_those_then_in_force(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "accept", "fox", round=2, confidence=0.75)])
    store.record([decide("u2", 5, "reject", None)])
    store.record([decide("u3", 5, "label", "dog")])
    assert sorted(store.states_at(2)) == [1, 2]
    assert store.states_at(1) == {1: LabelState(1, 1, "cat", "imported")}
    assert store.states_at(3)[5] == LabelState(5, 3, "fox", "confirmed", 2, 0.75, True)
    assert store.states_at(4)[5] == LabelState(5, 4, "fox", "confirmed", 2, 0.75, True, "reject")
    assert store.states_at(5)[5] == store.states([5])[0]


def test_a_mark_alone_does_not_make_an_image_reviewed(store: Store, decide: Make) -> None:
    [ack] = store.record([decide("u1", 5, "skip", None)])
    assert ack.state == LabelState(5, 3, mark="skip")


def test_a_decision_on_an_old_version_is_a_conflict_and_changes_nothing(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox")])
    [ack] = store.record([decide("u2", 5, "label", "cat", base_version=0)])
    assert (ack.status, ack.seq) == ("conflict", None)
    assert ack.state is not None
    assert (ack.state.label, store.head_seq()) == ("fox", 3)


def test_the_same_uid_twice_is_recorded_once(store: Store, decide: Make) -> None:
    decision = decide("u1", 5, "label", "fox")
    first, second = store.record([decision]) + store.record([decision])
    within = store.record([replace(decision, uid="u2", base_version=3)] * 2)
    assert (first.status, second.status) == ("saved", "duplicate")
    assert (first.seq, second.seq) == (3, 3)
    assert [ack.status for ack in within] == ["saved", "duplicate"]
    assert store.head_seq() == 4


def test_a_uid_that_was_used_for_another_image_is_refused(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5)])
    [ack] = store.record([decide("u1", 6)])
    assert (ack.status, store.head_seq()) == ("refused", 3)
    assert "another decision" in ack.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "horse"}, "no class 'horse'"),
        ({"label": None}, "no class None"),
        ({"image_id": 99}, "no image 99"),
        ({"image_id": 2**70}, "image is not a whole number"),
        ({"image_id": "5"}, "image is not a whole number"),
        ({"action": "undo"}, "cannot record the action 'undo'"),
        ({"action": "import"}, "cannot record the action 'import'"),
        ({"actor": "a\nb"}, "actor contains a control character"),
        ({"actor": "\ud800"}, "actor contains a control character"),
        ({"uid": ""}, "uid is empty"),
        ({"uid": None}, "uid is not text"),
        ({"confidence": 1.5}, "confidence is not a number from 0 to 1"),
        ({"confidence": float("nan")}, "confidence is not a number from 0 to 1"),
        ({"seconds": float("inf")}, "seconds are not a number"),
    ],
)
def test_a_wrong_decision_is_refused_with_its_reason_beside_a_right_one(
    store: Store, decide: Make, change: dict[str, object], message: str
) -> None:
    wrong = replace(decide("wrong", 5), **change)  # type: ignore[arg-type]
    refused, saved = store.record([wrong, decide("right", 6)])
    assert refused.status == "refused"
    assert message in refused.message
    assert (saved.status, store.head_seq()) == ("saved", 3)


def test_numpy_numbers_are_recorded_as_plain_ones(store: Store) -> None:
    decision = Decision("u1", np.int64(5), np.int64(0), "accept", "cat", round=np.int64(1), confidence=np.float32(0.5))
    assert store.record([decision])[0].status == "saved"
    assert store.verify() == []


def test_history_is_newest_first_and_pages_backwards(store: Store, decide: Make) -> None:
    for number in range(3):
        store.record([decide(f"u{number}", 5, seconds=1.5)])
    assert [entry.uid for entry in store.history(5, limit=2)] == ["u2", "u1"]
    assert [entry.seq for entry in store.history(before=4)] == [3, 2, 1]
    assert [entry.seq for entry in store.entries()] == [1, 2, 3, 4, 5]
    assert store.history(5)[0].seconds == 1.5


def test_the_labels_at_an_earlier_seq_do_not_see_later_decisions(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox")])
    store.record([decide("u2", 5, "label", "dog"), decide("u3", 1, "label", "dog")])
    assert store.state_at(0) == {}
    assert store.state_at(2) == {1: "cat", 2: "dog"}
    assert store.state_at(3) == {1: "cat", 2: "dog", 5: "fox"}
    assert store.state_at(store.head_seq()) == {1: "dog", 2: "dog", 5: "dog"}


def test_counts_tell_sources_marks_and_classes(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox"), decide("u2", 6, "accept", "fox"), decide("u3", 7, "skip", None)])
    counts = store.counts()
    assert (counts.images, counts.labeled, counts.unlabeled) == (8, 4, 4)
    assert (counts.imported, counts.human, counts.confirmed, counts.marked) == (2, 1, 1, 1)
    assert list(counts.per_class.items()) == [("cat", 1), ("dog", 1), ("fox", 2)]


def test_the_label_table_follows_every_change_and_holds_all_images(store: Store, decide: Make) -> None:
    before = store.label_table()
    assert before.image_ids.tolist() == list(range(1, 9))
    assert before.label.tolist() == ["cat", "dog"] + [None] * 6
    assert store.label_table() is before
    store.record([decide("u1", 5, "accept", "fox", round=2, confidence=0.75), decide("u2", 1, "flag", None)])
    after = store.label_table()
    assert after.version.tolist() == [4, 2, 0, 0, 3, 0, 0, 0]
    assert (after.label[4], after.source[4], after.round[4], after.confidence[4]) == ("fox", "confirmed", 2, 0.75)
    assert (after.label[0], after.source[0], after.mark[0]) == ("cat", "imported", "flag")
    assert after.reviewed.tolist() == [False] * 4 + [True] + [False] * 3
    assert (before.label[4], after.round[0], bool(np.isnan(after.confidence[0]))) == (None, -1, True)


def test_the_label_table_sees_what_another_process_recorded(store: Store, url: str, decide: Make) -> None:
    store.label_table()
    with Store.open(url) as other:
        other.record([decide("u1", 5, "label", "fox")])
    assert store.label_table().label[4] == "fox"
