import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError, LedgerError, RoundState
from engine.records.labels import Decision
from engine.records.quality import AuditRecord
from engine.store import Store, audits
from engine.store.facts import batch_id

Make = Callable[..., Decision]
FACTS = {"audit": 1, "wrong": 0, "bound": 0.25}
BATCH = batch_id("audit-1", FACTS)
ACCEPTED = [Decision(f"a{number}", number, 0, "accept", "fox", round=1, confidence=0.75) for number in (3, 4, 5)]


@pytest.fixture(autouse=True)
def rounds(store: Store) -> None:
    """Two complete rounds."""
    for number in (1, 2):
        store.queue_round("supervised", {})
        for state in ("running", "finished", "promoted"):
            store.transition(number, state)  # type: ignore[arg-type]


def start(store: Store, **fields: Any) -> AuditRecord:
    given = {"actor": "anna", "round": 1, "thresholds": {"cat": 0.5, "fox": 2.0}, "level": 0.95}
    return store.add_audit(**{**given, "population": [5, 3, 4, 6], "sample": [4, 6], **fields})


def test_an_audit_is_kept_as_it_was_made(store: Store) -> None:
    made = start(store, population=np.array([5, 3, 4, 6]), sample=np.array([4, 6]), level=np.float64(0.95))
    with Store.open(f"sqlite:///{store._database.url.database}", read_only=True) as other:
        read = other.audit(1)
        assert [record.number for record in other.audits()] == [1]
    for record in (made, read):
        assert (record.number, record.actor, record.round, record.look) == (1, "anna", 1, 1)
        assert (record.thresholds, record.level) == ({"cat": 0.5, "fox": 2.0}, 0.95)
        assert (record.ledger_seq, record.state, record.batch, record.facts) == (2, "open", None, {})
        assert (record.population.dtype, record.population.tolist()) == (np.int64, [5, 3, 4, 6])
        assert record.sample == (4, 6)
    assert made.created == read.created


def test_the_population_is_zlib_of_little_endian_int64(store: Store, tmp_path: Path) -> None:
    start(store, population=[258, 4], sample=[4])
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        [[blob]] = connection.execute("SELECT population FROM audits").fetchall()
    assert zlib.decompress(blob) == bytes([2, 1, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])


def test_each_audit_of_a_round_is_a_further_look_whatever_became_of_the_earlier(store: Store) -> None:
    for number, (of_round, look) in enumerate([(1, 1), (2, 1), (1, 2), (1, 3)], start=1):
        made = start(store, round=of_round)
        assert (made.number, made.look) == (number, look)
        store.close_audit(number, "abandoned")
    assert [record.state for record in store.audits()] == ["abandoned"] * 4


def test_only_one_audit_is_open_at_a_time(store: Store) -> None:
    start(store)
    with pytest.raises(LedgerError, match=r"audit 1\. Finish it or abandon it"):
        start(store, round=2)
    store.close_audit(1, "abandoned")
    assert start(store, round=2).number == 2


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"population": [], "sample": []}, ConfigError, "the population of an audit"),
        ({"population": [3, 3], "sample": [3]}, ConfigError, "the population of an audit"),
        ({"sample": []}, ConfigError, "the sample of an audit"),
        ({"sample": [4, 4]}, ConfigError, "the sample of an audit"),
        ({"sample": [4, 8]}, ConfigError, "must come from its population: image 8"),
        ({"level": 1.0}, ConfigError, "the level"),
        ({"actor": ""}, ConfigError, "the actor of an audit is empty"),
        ({"round": 3}, RoundState, "no such round"),
    ],
)
def test_an_audit_that_makes_no_sense_is_refused(
    store: Store, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        start(store, **fields)
    assert store.audits() == []


def test_accepting_records_the_batch_its_facts_and_the_end_together(store: Store) -> None:
    start(store)
    acks = store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    assert [ack.status for ack in acks] == ["saved"] * 3
    record = store.audit(1)
    assert (record.state, record.batch, record.facts) == ("accepted", BATCH, FACTS)
    assert store.batch_facts() == {BATCH: FACTS}
    assert [info.batch for info in store.batches()] == [BATCH]
    assert store.verify() == []


def test_an_image_labeled_meanwhile_keeps_its_label(store: Store, decide: Make) -> None:
    start(store)
    store.record([decide("u1", 4, "label", "dog")])
    assert [ack.status for ack in store.accept_audit(1, ACCEPTED, BATCH, FACTS)] == ["saved", "conflict", "saved"]
    assert [state.label for state in store.states([3, 4, 5])] == ["fox", "dog", "fox"]


def test_an_audit_with_nothing_left_to_accept_ends_without_a_batch(store: Store) -> None:
    start(store)
    store.accept_audit(1, [], BATCH, FACTS)
    assert (store.audit(1).state, store.audit(1).batch, store.audit(1).facts) == ("accepted", None, FACTS)
    assert (store.batch_facts(), store.verify()) == ({}, [])


def untouched(store: Store) -> bool:
    return (store.head_seq(), store.batch_facts(), store.audit(1).state) == (2, {}, "open")


def test_a_fault_at_the_end_of_accepting_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    start(store)
    close = audits.close_audit

    def fail(*arguments: Any) -> None:
        close(*arguments)
        raise RuntimeError("pulled plug")

    monkeypatch.setattr(audits, "close_audit", fail)
    with pytest.raises(RuntimeError, match="pulled plug"):
        store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    assert untouched(store)
    monkeypatch.undo()
    assert [ack.status for ack in store.accept_audit(1, ACCEPTED, BATCH, FACTS)] == ["saved"] * 3


def test_a_refused_label_takes_the_whole_acceptance_back(store: Store) -> None:
    start(store)
    wrong = Decision("a9", 7, 0, "accept", "horse", round=1, confidence=0.75)
    with pytest.raises(LedgerError, match=r"1 of 4 labels of the audit were refused: there is no class 'horse'"):
        store.accept_audit(1, [*ACCEPTED, wrong], BATCH, FACTS)
    assert untouched(store)


def test_facts_that_the_batch_id_does_not_hold_are_not_accepted(store: Store) -> None:
    start(store)
    with pytest.raises(ConfigError, match="must hold their digest"):
        store.accept_audit(1, ACCEPTED, BATCH, {**FACTS, "bound": 0.01})
    assert untouched(store)


@pytest.mark.parametrize("end", ["accepted", "abandoned"])
def test_an_audit_ends_once(store: Store, end: Any) -> None:
    start(store)
    store.close_audit(1, end)
    with pytest.raises(LedgerError, match=rf"no longer open; it was: {end}"):
        store.close_audit(1, "abandoned")
    with pytest.raises(LedgerError, match="no longer open"):
        store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    assert (store.audit(1).state, store.head_seq()) == (end, 2)


def test_an_audit_cannot_be_reopened_or_found_under_another_number(store: Store) -> None:
    start(store)
    with pytest.raises(ConfigError, match="ends accepted or abandoned, not: open"):
        store.close_audit(1, "open")  # type: ignore[arg-type]
    for read in (store.audit, lambda number: store.close_audit(number, "abandoned")):
        with pytest.raises(LedgerError, match="no such audit: 2"):
            read(2)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audits SET state = 'closed'", "audit 1 is in no known state: closed"),
        ("UPDATE audits SET population = x'00'", "audit 1 cannot be read"),
        ("UPDATE audits SET sample = '[7]'", "audit 1 has a sample that is not of its population"),
        ("UPDATE audits SET facts = replace(facts, '0.25', '0.01')", "audit 1 does not hold the facts of its batch"),
        ("DELETE FROM batches", "audit 1 does not hold the facts of its batch"),
    ],
)
def test_verify_names_a_changed_audit(store: Store, tmp_path: Path, statement: str, problem: str) -> None:
    start(store)
    store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    assert store.verify() == []
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute(statement)
    assert any(problem in found for found in store.verify())
