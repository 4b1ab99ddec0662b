from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest

from engine.records.labels import Decision
from engine.store import Store
from engine.store.facts import batch_id

Make = Callable[..., Decision]


def test_timings_are_of_what_people_decided_and_did_not_take_back(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "accept", "fox", actor="anna", round=3, confidence=0.5, seconds=2.5)])
    store.record_batch([decide("u2", 6, seconds=0.25), decide("u3", 7, "skip", None)], "page")
    store.record([decide("u4", 8)])
    store.undo("z1", "local")
    found = store.timings()
    assert found.actor.tolist() == ["anna", "local", "local"]
    assert found.action.tolist() == ["accept", "label", "skip"]
    assert found.batch.tolist() == [None, "page", "page"]
    assert found.round.tolist() == [3, -1, -1]
    assert found.seconds[:2].tolist() == [2.5, 0.25]
    assert np.isnan(found.seconds[2])
    times = {entry.uid: datetime.fromisoformat(entry.time).timestamp() for entry in store.entries()}
    assert found.time.tolist() == [times["u1"], times["u2"], times["u3"]]
    assert (found.time.dtype, found.seconds.dtype, found.round.dtype) == (np.float64, np.float64, np.int64)
    with pytest.raises(ValueError, match="read-only"):
        found.seconds[0] = 1.0


def test_timings_of_an_untouched_project_are_empty(store: Store) -> None:
    found = store.timings()
    assert [len(column) for column in vars(found).values()] == [0] * 6
    assert (found.time.dtype, found.actor.dtype) == (np.float64, np.dtype(object))


@pytest.mark.parametrize(
    ("said", "disagreeing"),
    [
        (["anna cat", "ben dog"], ["anna cat", "ben dog"]),
        (["anna cat", "ben cat"], []),
        (["anna cat", "anna dog"], []),
        (["anna cat", "ben dog", "anna cat"], []),  # anna insists
        (["anna cat", "ben dog", "anna dog"], []),  # anna gives in
        (["anna cat", "ben dog", "anna fox"], []),
        (["anna cat", "ben dog", "ben fox"], ["anna cat", "ben fox"]),  # ben only corrects himself
        (["anna cat", "ben dog", "cleo cat"], ["anna cat", "ben dog", "cleo cat"]),  # a third opinion
        (["anna cat", "ben dog", "cleo cat", "cleo cat"], []),  # cleo decides
        (["anna dog", "anna cat", "ben dog"], ["anna cat", "ben dog"]),
    ],
)
def test_people_disagree_until_one_who_saw_both_labels_the_image_again(
    store: Store, decide: Make, said: list[str], disagreeing: list[str]
) -> None:
    seqs = {}
    for turn, text in enumerate(said):
        actor, label = text.split()
        [ack] = store.record([decide(f"u{turn}", 5, "label", label, actor=actor)])
        seqs[actor] = ack.seq
    expected = [(*text.split(), seqs[text.split()[0]]) for text in disagreeing]
    assert store.relabeled() == ([(5, expected)] if expected else [])


def test_neither_imports_nor_marks_nor_undone_labels_disagree(store: Store, decide: Make) -> None:
    store.record([decide("u1", 1, "flag", None, actor="ben")])  # imported as cat, which ben does not say
    store.record([decide("u2", 1, "label", "dog", actor="anna")])
    store.record([decide("u3", 6, "accept", "cat", actor="anna")])
    store.record([decide("u4", 6, "correct", "dog", actor="ben")])
    assert [image_id for image_id, _ in store.relabeled()] == [6]
    store.undo("z1", "ben")
    assert store.relabeled() == []


@pytest.mark.parametrize(("mark", "settled"), [("reject", True), ("unsure", True), ("flag", False), ("skip", False)])
def test_rejecting_an_image_or_being_unsure_of_it_settles_a_disagreement(
    store: Store, decide: Make, mark: str, settled: bool
) -> None:
    store.record([decide("u1", 5, "label", "cat", actor="anna")])
    store.record([decide("u2", 5, mark, None, actor="ben")])
    store.record([decide("u3", 5, "correct", "dog", actor="ben")])
    assert [image_id for image_id, _ in store.relabeled()] == [5]  # a label came after it
    store.record([decide("u4", 5, mark, None, actor="cleo")])
    assert [image_id for image_id, _ in store.relabeled()] == ([] if settled else [5])
    store.undo("z1", "cleo")
    assert [image_id for image_id, _ in store.relabeled()] == [5]


def test_a_label_that_an_audit_let_in_is_nobodys_saying(store: Store, decide: Make) -> None:
    for image_id, kind in ((5, "audit"), (6, "grid")):
        facts = {"kind": kind}
        seen = {} if kind == "audit" else {"seen_seconds": 1.5}
        given = decide(f"u{image_id}", image_id, "accept", "cat", actor="anna", round=1, confidence=0.9, **seen)
        store.record_batch([given], batch_id(kind, facts), facts)
        store.record([decide(f"v{image_id}", image_id, "correct", "dog", actor="ben")])
    assert [image_id for image_id, _ in store.relabeled()] == [6]


def test_the_counts_at_an_earlier_seq_do_not_see_later_decisions(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "accept", "fox", round=1, confidence=0.5), decide("u2", 6, "skip", None)])
    store.record([decide("u3", 5, "label", "dog"), decide("u4", 1, "label", "fox")])
    now = store.counts_at(store.head_seq())
    then = store.counts_at(4)
    assert (now["imported"], now["human"], now["confirmed"]) == (1, 2, 0)
    assert then == {
        "images": 8,
        "labeled": 3,
        "unlabeled": 5,
        "imported": 2,
        "human": 0,
        "confirmed": 1,
        "accepted_in_batch": 0,
        "accepted_by_threshold": 0,
        "marked": 1,
        "per_class": {"cat": 1, "dog": 1, "fox": 1},
    }
    assert store.counts_at(0)["labeled"] == 0
