"""Labels that a person gave and that were asked again, blind: which answers tell how often people slip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.records.labels import Asked, Decision
from engine.records.quality import FrozenLabels
from engine.store import Store
from engine.store.asked_again import AskedAgain

Make = Callable[..., Decision]


@pytest.fixture
def measuring(store: Store) -> Store:
    """An order of the measured set is begun."""
    store.begin_measured()
    return store


def again(store: Store, decide: Make, uid: str, image_id: int, label: str | None, action: str = "label") -> None:
    """Answer an image of the measured set, blind."""
    [ack] = store.record([decide(uid, image_id, action, label, blind=True, draws=(image_id,))])
    assert ack.status == "saved"


def test_an_answer_that_differs_from_what_a_person_said_is_told_from_one_that_agrees(
    measuring: Store, decide: Make
) -> None:
    measuring.record([decide("u1", 5, label="cat"), decide("u2", 6, label="dog")])
    assert measuring.asked_again() == AskedAgain(0, 0)
    again(measuring, decide, "b1", 5, "cat")
    again(measuring, decide, "b2", 6, "cat")
    assert measuring.asked_again() == AskedAgain(2, 1)


def test_a_rejected_image_differs_and_a_mark_is_no_answer(measuring: Store, decide: Make) -> None:
    measuring.record([decide("u1", 5), decide("u2", 6)])
    again(measuring, decide, "b1", 5, None, "reject")
    again(measuring, decide, "b2", 6, None, "unsure")
    assert measuring.asked_again() == AskedAgain(1, 1)


def test_labels_that_no_person_gave_alone_are_left_out(measuring: Store, decide: Make) -> None:
    measuring.record_batch([decide("u1", 5, "accept", "cat", round=1, confidence=0.9)], "page")
    again(measuring, decide, "b1", 5, "dog")
    again(measuring, decide, "b2", 6, "dog")  # it had no label
    assert measuring.asked_again() == AskedAgain(0, 0)


def test_what_was_taken_back_counts_neither_as_label_nor_as_answer(measuring: Store, decide: Make) -> None:
    measuring.record([decide("u1", 5, label="cat"), decide("u2", 6, label="cat")])
    again(measuring, decide, "b1", 5, "dog")
    measuring.undo("z1", "local", "b1")
    assert measuring.asked_again() == AskedAgain(0, 0)
    measuring.undo("z2", "local", "u2")
    again(measuring, decide, "b2", 6, "dog")
    assert measuring.asked_again() == AskedAgain(0, 0)


def test_an_audit_asks_by_chance_only_along_orders_of_all_or_of_people_and_once(store: Store, decide: Make) -> None:
    [*acks] = store.record([decide(f"u{i}", i, label="cat") for i in (5, 6, 7, 8)])
    frozen = FrozenLabels(
        np.array([5, 6, 7, 8]), np.zeros(4, np.int32), np.zeros(4, np.int8), ("cat", "dog"), ("human",)
    )
    number = store.add_audit(
        actor="local", scope="export", frozen=frozen, ledger_seq=acks[-1].seq, alpha=0.05
    ).number  # fmt: skip

    def answer(uid: str, image_id: int, label: str, order: str) -> None:
        asked = Asked(number, order, (image_id,) if order else ())
        [ack] = store.record([decide(uid, image_id, label=label, asked=asked)])
        assert ack.status == "saved"

    answer("a1", 5, "dog", "all")
    answer("a2", 5, "cat", "")  # the second look
    answer("a3", 6, "cat", "source:human")
    answer("a4", 7, "dog", "class:cat")
    assert store.asked_again() == AskedAgain(2, 1)
