import itertools
import math
from typing import get_args

import numpy as np
import pytest

from engine.errors import ConfigError, RoundActive, RoundState
from engine.records.rounds import ACTIVE_STATES, RoundReport, RoundStateName, Verdict
from engine.store import Store

# Written out by hand from the design, not taken from the module under test.
ALLOWED = {
    ("queued", "running"), ("queued", "cancelling"), ("queued", "cancelled"), ("queued", "failed"),
    ("running", "cancelling"), ("running", "finished"), ("running", "failed"), ("running", "interrupted"),
    ("cancelling", "cancelled"), ("cancelling", "finished"), ("cancelling", "failed"),
    ("cancelling", "interrupted"), ("interrupted", "queued"), ("failed", "queued"), ("cancelled", "queued"),
    ("finished", "promoted"), ("finished", "held_back"),
}  # fmt: skip
WAYS: dict[str, list[RoundStateName]] = {
    "queued": [],
    "running": ["running"],
    "cancelling": ["cancelling"],
    "cancelled": ["cancelled"],
    "failed": ["failed"],
    "interrupted": ["running", "interrupted"],
    "finished": ["running", "finished"],
    "promoted": ["running", "finished", "promoted"],
    "held_back": ["running", "finished", "held_back"],
}


@pytest.mark.parametrize(("start", "to"), list(itertools.product(WAYS, get_args(RoundStateName))))
def test_a_round_moves_only_as_the_table_allows(store: Store, start: str, to: RoundStateName) -> None:
    store.queue_round("supervised", {})
    for step in WAYS[start]:
        store.transition(1, step)
    if (start, to) in ALLOWED:
        assert store.transition(1, to).state == to
    else:
        with pytest.raises(RoundState, match=f"from {start}"):
            store.transition(1, to)
    expected = to if (start, to) in ALLOWED else start
    assert store.round(1).state == expected
    active = store.active_round()
    assert (active is not None) == (expected in ACTIVE_STATES)


def test_a_queued_round_pins_the_ledger_and_its_plan(store: Store) -> None:
    config = {"epochs": np.int64(3), "rates": (0.1, math.nan), "net": "auto"}
    record = store.queue_round("pseudo_label", config)
    assert (record.number, record.state, record.algorithm, record.attempt) == (1, "queued", "pseudo_label", 1)
    assert record.config == {"epochs": 3, "rates": [0.1, None], "net": "auto"}
    assert (record.ledger_seq, store.active_round(), store.rounds()) == (2, record, [record])


def test_a_second_round_is_refused_while_one_is_active(store: Store) -> None:
    store.queue_round("supervised", {})
    with pytest.raises(RoundActive, match=r"round 1 \(queued\)"):
        store.queue_round("supervised", {})
    store.transition(1, "cancelled")
    assert store.queue_round("supervised", {}).number == 2


def test_a_resume_is_refused_while_another_round_is_active(store: Store) -> None:
    store.queue_round("supervised", {})
    store.transition(1, "failed", error={"cause": "no luck"})
    store.queue_round("supervised", {})
    with pytest.raises(RoundActive, match="round 2"):
        store.transition(1, "queued")
    assert store.round(1).error == {"cause": "no luck"}


def test_a_resumed_round_is_a_new_attempt_and_fences_the_old_one_off(store: Store) -> None:
    first = store.queue_round("supervised", {})
    store.transition(1, "running", token=first.token, pid=42, pid_created=1.5)
    store.transition(1, "interrupted", token=first.token)
    second = store.transition(1, "queued")
    assert (second.attempt, second.pid, second.ended) == (2, None, None)
    assert second.token != first.token
    store.transition(1, "running", token=second.token)
    with pytest.raises(RoundState, match="fenced off"):
        store.transition(1, "finished", token=first.token, report={})
    with pytest.raises(RoundState, match="fenced off"):
        store.update_progress(1, {"epoch": 3}, token=first.token)
    assert (store.round(1).state, store.round(1).progress) == ("running", {})


def test_progress_is_replaced_while_the_round_is_active_only(store: Store) -> None:
    token = store.queue_round("supervised", {}).token
    store.transition(1, "running")
    store.update_progress(1, {"epoch": 1, "metrics": {"loss": math.inf}}, token=token)
    assert store.round(1).progress == {"epoch": 1, "metrics": {"loss": None}}
    store.transition(1, "finished", report={"verdict": {"promoted": True, "reason": "good"}})
    with pytest.raises(RoundState, match="over"):
        store.update_progress(1, {"epoch": 2}, token=token)
    record = store.round(1)
    assert (record.progress["epoch"], record.error) == (1, None)
    assert record.report == RoundReport(verdict=Verdict(True, "good"))
    assert record.started is not None
    assert record.ended is not None
    assert record.created < record.started < record.ended


def test_settings_are_replaced_of_a_live_round_only_and_by_its_own_writer(store: Store) -> None:
    live = store.begin_live("transductive", {"train": {"net": "a"}})
    assert store.describe_live(1, token=live.token, config={"train": {"net": "b"}}).config == {"train": {"net": "b"}}
    with pytest.raises(RoundState, match="fenced off"):
        store.describe_live(1, token="other", config={})
    store.update_live(1, token=live.token, report={}, seq=2, live=False)
    with pytest.raises(RoundState, match="not live"):
        store.describe_live(1, token=live.token, config={})
    assert store.round(1).config == {"train": {"net": "b"}}


def test_a_field_that_no_move_sets_and_a_round_that_is_not_there_are_named(store: Store) -> None:
    store.queue_round("supervised", {})
    with pytest.raises(ConfigError, match="token_of_mine"):
        store.transition(1, "running", token_of_mine="x")
    with pytest.raises(RoundState, match="no such round: 7"):
        store.round(7)
