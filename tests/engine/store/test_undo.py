from collections.abc import Callable

import pytest

from engine.errors import ConfigError, LedgerError, NothingToUndo
from engine.records.goal import Goal
from engine.records.labels import Decision, LabelState
from engine.store import Store

Make = Callable[..., Decision]


def test_undo_puts_the_state_before_in_force_and_leaves_both_entries(store: Store, decide: Make) -> None:
    store.record([decide("u1", 1, "correct", "fox")])
    [ack] = store.undo("z1", "local")
    assert ack.state == LabelState(1, 4, "cat", "imported")
    undone = store.history(1)[0]
    assert (undone.action, undone.undoes, undone.base_version) == ("undo", 3, 3)
    assert store.verify() == []


def test_undo_of_a_first_label_leaves_the_image_unlabeled(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5)])
    store.undo("z1", "local")
    assert store.states([5]) == [LabelState(5, 4)]
    assert store.counts().labeled == 2


def test_undo_restores_an_accepted_label_with_its_round_and_confidence(store: Store, decide: Make) -> None:
    [accepted] = store.record([decide("u1", 5, "accept", "fox", round=3, confidence=0.5)])
    store.record([decide("u2", 5, "reject", None)])
    [ack] = store.undo("z1", "local")
    assert accepted.state is not None
    assert ack.state == LabelState(5, 5, "fox", "confirmed", 3, 0.5, True)


def test_undo_again_goes_further_back_through_the_same_image(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox")])
    store.record([decide("u2", 5, "label", "dog")])
    labels = [store.undo(uid, "local")[0].state for uid in ("z1", "z2")]
    assert [state.label for state in labels if state] == ["fox", None]
    with pytest.raises(NothingToUndo):
        store.undo("z3", "local")


def test_undo_takes_back_a_whole_batch(store: Store, decide: Make) -> None:
    store.record_batch([decide(f"u{number}", number, "accept", "fox") for number in (1, 5, 6)], "page-1")
    acks = store.undo("z1", "local", "page-1")
    assert [ack.status for ack in acks] == ["saved"] * 3
    assert [state.label for state in store.states([1, 5, 6])] == ["cat", None, None]
    with pytest.raises(NothingToUndo):
        store.undo("z2", "local", "page-1")
    assert store.verify() == []


def test_undo_without_a_name_takes_back_no_batch_but_says_where(store: Store, decide: Make) -> None:
    store.record([decide("u0", 6)])
    store.record_batch([decide(f"u{number}", number, "accept", "fox") for number in (1, 5)], "page-1")
    with pytest.raises(LedgerError, match=r"batch of 2 decisions.*History"):
        store.undo("z1", "local")
    store.undo("z2", "local", "page-1")
    assert store.undo("z3", "local")[0].state is not None
    store.record_batch([decide("u7", 1)], "page-2")
    assert [ack.status for ack in store.undo("z4", "local")] == ["saved"]


def test_undo_of_a_batch_that_holds_an_image_twice_goes_back_before_both(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5, "label", "fox"), decide("u2", 5, "flag", None, base_version=3)], "b")
    assert [ack.status for ack in store.undo("z1", "local", "b")] == ["saved", "saved"]
    assert store.states([5]) == [LabelState(5, 6)]


@pytest.mark.parametrize(("target", "left"), [("u1", {6: "dog"}), ("b", {5: "fox"})])
def test_undo_takes_back_the_decision_or_batch_that_is_named(
    store: Store, decide: Make, target: str, left: dict[int, str]
) -> None:
    store.record([decide("u1", 5, "label", "fox")])
    store.record_batch([decide("u2", 6, "label", "dog")], "b")
    store.undo("z1", "local", target)
    assert {key: label for key, label in store.state_at(store.head_seq()).items() if key > 2} == left


def test_undo_takes_back_only_what_the_same_person_did_and_never_an_import(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, actor="anna"), decide("u2", 6, actor="ben")])
    store.undo("z1", "anna")
    assert sorted(store.state_at(store.head_seq())) == [1, 2, 6]
    for actor in ("anna", "nobody"):
        with pytest.raises(NothingToUndo):
            store.undo("z2", actor)
    with pytest.raises(LedgerError, match="a name that nobody can have"):
        store.undo("z2", "import")


def test_undo_does_not_overwrite_what_another_person_did_since(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox", actor="anna")])
    store.record([decide("u2", 5, "label", "dog", actor="ben")])
    [ack] = store.undo("z1", "anna")
    assert (ack.status, ack.state and ack.state.label, store.head_seq()) == ("conflict", "dog", 4)
    store.undo("z2", "ben")
    assert store.undo("z3", "anna")[0].status == "saved"


def test_undo_of_a_batch_takes_back_what_no_one_changed_since(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5), decide("u2", 6)], "b")
    store.record([decide("u3", 6, "label", "dog", actor="ben")])
    acks = store.undo("z1", "local", "b")
    assert [(ack.status, ack.state and ack.state.image_id) for ack in acks] == [("conflict", 6), ("saved", 5)]


@pytest.mark.parametrize("size", [1, 3])
def test_the_same_undo_twice_happens_once(store: Store, decide: Make, size: int) -> None:
    store.record([decide("first", 1, "label", "dog")])
    store.record_batch([decide(f"u{number}", number) for number in range(5, 5 + size)], "b")
    assert [ack.status for ack in store.undo("z1", "local", "b")] == ["saved"] * size
    head = store.head_seq()
    again = store.undo("z1", "local", "b")
    assert [ack.status for ack in again] == ["duplicate"] * size
    assert store.head_seq() == head


def test_the_uid_of_a_decision_cannot_serve_an_undo(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5)])
    with pytest.raises(LedgerError, match="belongs to a decision"):
        store.undo("u1", "local")


def test_nobody_but_a_reviewer_takes_back_what_another_person_decided(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, actor="anna")])
    store.record_batch(
        [decide("b1", 6, actor="anna", batch="page"), decide("b2", 7, actor="anna", batch="page")], "page"
    )
    before = store.head_seq()
    for target in ("u1", "page"):
        with pytest.raises(LedgerError, match=r"another person decided this: anna.*--reviewer"):
            store.undo("z1", "ben", target)
    assert store.head_seq() == before
    assert [ack.status for ack in store.undo("z1", "ben", "page", anyones=True)] == ["saved", "saved"]
    assert [ack.status for ack in store.undo("z2", "anna", "u1")] == ["saved"]
    assert store.history(6)[0].actor == "ben"


@pytest.mark.parametrize("name", ["import", "Import", " IMPORT ", "starling", "model"])
def test_name_that_would_say_that_no_person_decided_is_refused(store: Store, decide: Make, name: str) -> None:
    before = store.head_seq()
    [ack] = store.record([decide("u1", 5, actor=name)])
    assert (ack.status, ack.message) == ("refused", "the actor is a name that nobody can have")
    store.record([decide("u2", 5, actor="anna")])
    with pytest.raises(LedgerError, match="a name that nobody can have"):
        store.undo("z1", name, "u2", anyones=True)
    with pytest.raises(ConfigError, match="a name that nobody can have"):
        store.set_goal(Goal(0.01, 0.95, "all"), name)
    assert store.head_seq() == before + 1
