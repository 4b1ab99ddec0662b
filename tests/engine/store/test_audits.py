"""Audits in the store: labels frozen with their digest, draws with their answers, what doctor finds."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError, LedgerError, RoundState
from engine.quality.frozen import along, order_salt
from engine.quality.parts import ALL, Part
from engine.records.labels import Asked, Decision
from engine.records.quality import AuditRecord, FrozenLabels
from engine.store import Store, audits
from engine.store.facts import batch_id

Make = Callable[..., Decision]
FACTS = {"kind": "audit", "audit": 1, "wrong": 0, "bound": 0.25}
BATCH = batch_id("audit-1", FACTS)
ACCEPTED = [Decision(f"a{number}", number, 0, "accept", "fox", round=1, confidence=0.75) for number in (3, 4, 5)]
SOURCES = ("imported", "human", "pseudo")
FROZEN = FrozenLabels(
    np.arange(1, 9), np.array([0, 1, 2, 2, 2, 2, 0, 0], np.int32), np.array([0, 0, 2, 2, 2, 2, 2, 2], np.int8),
    ("cat", "dog", "fox"), SOURCES,
)  # fmt: skip
FOXES = Part("class", "fox")


@pytest.fixture(autouse=True)
def rounds(store: Store) -> None:
    """A complete round."""
    store.queue_round("supervised", {})
    for state in ("running", "finished", "promoted"):
        store.transition(1, state)  # type: ignore[arg-type]


def start(store: Store, **fields: Any) -> AuditRecord:
    given = {"actor": "anna", "scope": "export", "alpha": 0.05, "frozen": FROZEN, "ledger_seq": store.head_seq()}
    return store.add_audit(**{**given, **fields})


def cats(ids: list[int], code: int = 0) -> FrozenLabels:
    codes = np.full(len(ids), code)
    return FrozenLabels(np.array(ids, np.int64), codes.astype(np.int32), codes.astype(np.int8), ("cat",), ("human",))


def order_of(record: AuditRecord, part: Part = ALL) -> list[int]:
    ids = FROZEN.image_ids if part == ALL else FROZEN.image_ids[FROZEN.label_code == FROZEN.names.index(part.name)]
    return ids[along(ids, order_salt(record.ledger_hash, record.number, part))].tolist()  # type: ignore[no-any-return]


def answer(store: Store, image_id: int, draws: list[int], order: str = "all", audit: int = 1, **more: Any) -> Any:
    table = store.label_table()
    version = int(table.version[table.rows(np.array([image_id]))[0]])
    given = {"action": "label", "label": "cat", "seconds": 1.0, **more}
    asked = Asked(audit, order, tuple(draws))
    uid = f"u{store.head_seq()}"
    return store.record([Decision(uid, image_id, version, asked=asked, **given)])[0]


def test_an_audit_is_kept_as_it_was_made(store: Store) -> None:
    made = start(store, round=1, rate=0.02)
    with Store.open(f"sqlite:///{store._database.url.database}", read_only=True) as other:
        read, frozen = other.audit(1), other.frozen_labels(1)
        assert [record.number for record in other.audits()] == [1]
    assert made == read
    assert (read.scope, read.round, read.thresholds, read.rate, read.alpha) == ("export", 1, None, 0.02, 0.05)
    assert (read.ledger_seq, read.state, read.ordinal, read.batch, read.facts) == (2, "open", None, None, {})
    head = list(store.entries())[-1].hash
    assert (read.ledger_hash, read.salt) == (head, order_salt(head, 1))
    for name in ("image_ids", "label_code", "source_code"):
        assert (getattr(frozen, name) == getattr(FROZEN, name)).all()
        assert getattr(frozen, name).dtype == getattr(FROZEN, name).dtype
    assert (frozen.names, frozen.sources) == (FROZEN.names, FROZEN.sources)


def test_the_digest_is_of_one_line_a_label(store: Store) -> None:
    shas = [item.sha256 for item in store.images()]
    lines = [
        f"{image_id}\t{sha}\t{FROZEN.names[label]}\t{SOURCES[source]}\n"
        for image_id, sha, label, source in zip(range(1, 9), shas, FROZEN.label_code, FROZEN.source_code, strict=True)
    ]
    assert start(store).digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_only_one_audit_is_open_at_a_time_and_past_ones_count(store: Store, tmp_path: Path) -> None:
    start(store)
    with pytest.raises(LedgerError, match=r"audit 1\. Close it first"):
        start(store)
    closed = store.close_audit(1, {"statement": "8 labels, 0 of the first 20, 0 wrong"})
    assert (closed.state, closed.ended is not None) == ("closed", True)
    with pytest.raises(LedgerError, match="no longer open"):
        store.close_audit(1)
    assert start(store).number == 2


def test_labels_that_changed_meanwhile_are_frozen_again(store: Store, decide: Make) -> None:
    head = store.head_seq()
    store.record([decide("u1", 3, "label", "dog")])
    with pytest.raises(LedgerError, match="changed while they were frozen"):
        start(store, ledger_seq=head)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"frozen": cats([])}, ConfigError, "are none"),
        ({"frozen": cats([4, 3])}, ConfigError, "order"),
        ({"frozen": cats([3], code=1)}, ConfigError, "listed"),
        ({"frozen": cats([9])}, ConfigError, "no such image"),
        ({"alpha": 1.0}, ConfigError, "outside 0 to 1"),
        ({"rate": 1.5}, ConfigError, "outside 0 to 1"),
        ({"scope": "rule"}, ConfigError, "thresholds"),
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


def test_an_answer_draws_its_image_and_those_before_it_and_the_ledger_says_who_asked(store: Store) -> None:
    record = start(store)
    first, second, third, *_ = order_of(record)
    assert answer(store, first, [first]).status == "saved"
    assert answer(store, third, [second, third]).status == "saved"
    assert answer(store, third, []).status == "saved"
    news = store.audit_news(1, 0, record.ledger_seq)
    assert [(one.image_id, one.order, one.ledger_seq) for one in news.draws] == [
        (first, "all", 2), (second, "all", 3), (third, "all", 3),
    ]  # fmt: skip
    assert [one.image_id for one in store.audit_news(1, 2, 4).draws] == [third]
    assert [one.seq for one in store.audit_news(1, 2, 4).said] == [5]
    assert {one.asked for one in news.said} == {f"audit 1 {record.digest[:32]} all"}
    assert store.verify() == []


def test_a_part_has_an_order_of_its_own_that_passes_over_what_was_looked_at(store: Store, decide: Make) -> None:
    record = start(store)
    foxes = order_of(record, FOXES)
    assert order_salt(record.ledger_hash, 1, FOXES) not in (record.salt, order_salt(record.ledger_hash, 2, FOXES))
    store.record([decide("look", foxes[0], "label", "fox", seconds=1.0)])
    assert answer(store, foxes[1], [foxes[1]], "class:fox").status == "saved"
    assert store.verify() == []
    assert answer(store, foxes[3], [foxes[3]], "class:fox").status == "saved"
    assert store.verify() == ["audits: audit 1 left images out of its order of class:fox"]


def test_the_first_answer_says_the_how_manieth_audit_it_is(store: Store) -> None:
    start(store)
    store.close_audit(1)
    second = start(store)
    assert answer(store, order_of(second)[0], [order_of(second)[0]], audit=2).status == "saved"
    store.close_audit(2)
    third = start(store)
    answer(store, order_of(third)[0], [order_of(third)[0]], audit=3)
    assert [record.ordinal for record in store.audits()] == [None, 1, 2]


def test_a_closed_audit_takes_no_answer(store: Store) -> None:
    first = order_of(start(store))[0]
    store.close_audit(1)
    ack = answer(store, first, [first])
    assert (ack.status, ack.message) == ("refused", "audit 1 is not open")
    assert store.audit_news(1, 0, 0).draws == []


def test_only_what_one_had_alone_in_front_is_said_and_what_was_taken_back_is_told(store: Store, decide: Make) -> None:
    record = start(store)
    store.record_batch([decide("b1", 3, "label", "dog"), decide("b2", 4, "label", "dog")], "page")
    store.record([decide("s1", 5, "accept", "fox", seen_seconds=2.0)])
    store.record([decide("l1", 6, "accept", "fox", seconds=2.0)])
    store.undo("z1", "local", "l1")
    news = store.audit_news(1, 0, record.ledger_seq)
    assert [(one.image_id, one.action, one.undoes) for one in news.said] == [(6, "accept", None), (6, "undo", 6)]
    assert news.head == store.head_seq() == 7


def test_accepting_records_the_batch_its_facts_and_the_end_together(store: Store) -> None:
    start(store, scope="rule", thresholds={"fox": 0.5}, round=1)
    acks = store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    assert [ack.status for ack in acks] == ["saved"] * 3
    record = store.audit(1)
    assert (record.state, record.batch, record.facts) == ("closed", BATCH, FACTS)
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
    assert (store.audit(1).state, store.audit(1).batch, store.audit(1).facts) == ("closed", None, FACTS)
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


def test_there_is_no_audit_under_another_number(store: Store) -> None:
    start(store)
    for read in (store.audit, store.close_audit, store.frozen_labels):
        with pytest.raises(LedgerError, match="no such audit: 2"):
            read(2)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audits SET state = 'paused'", "audit 1 is in no known state: export, paused"),
        ("UPDATE audits SET image_ids = x'00'", "audit 1 cannot be read"),
        ('UPDATE audits SET names = \'["dog", "cat", "fox"]\'', "does not hold the labels that its digest is of"),
        ("UPDATE audits SET digest = replace(digest, substr(digest, 1, 4), 'beef')", "answers to other labels"),
        ("UPDATE audits SET salt = salt + 1", "does not have the order that its ledger entry gives"),
        ("UPDATE audits SET facts = replace(facts, '0.25', '0.01')", "audit 1 does not hold the facts of its batch"),
        ("DELETE FROM batches", "audit 1 does not hold the facts of its batch"),
        ("UPDATE audit_draws SET ledger_seq = ledger_seq + 1", "has drawn images with no answer of the ledger"),
        ("UPDATE audit_draws SET place = 5 - place", "did not draw along its order of all"),
        ("DELETE FROM audit_draws WHERE place = 0", "left images out of its order of all"),
    ],
)
def test_doctor_names_a_changed_audit(store: Store, tmp_path: Path, statement: str, problem: str) -> None:
    along_all = order_of(start(store))
    for image_id in along_all[1:3]:
        answer(store, image_id, along_all[: along_all.index(image_id) + 1])
    store.accept_audit(1, [], BATCH, FACTS)
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        carried = "INSERT INTO batches VALUES (?, '', 'anna', ?, '')"
        connection.execute(carried, (BATCH, json.dumps(FACTS)))
        connection.execute("UPDATE audits SET batch = ?", (BATCH,))
    assert not any("audits:" in found for found in store.verify())
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute(statement)
    assert any(problem in found for found in store.verify())


def test_who_asked_is_part_of_the_hash_chain(store: Store, tmp_path: Path) -> None:
    first = order_of(start(store))[0]
    answer(store, first, [first])
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute("UPDATE annotations SET asked = NULL WHERE seq = 3")
    assert "ledger entry 3: its content does not match its hash" in store.verify()


def test_what_was_suspected_and_what_is_taken_as_right_are_kept_and_are_in_the_digest(store: Store) -> None:
    plain = start(store)
    store.close_audit(plain.number)
    ids = FROZEN.image_ids
    noted = replace(FROZEN, suspicion=np.linspace(0, 1, 8, dtype=np.float32))
    assert start(store, frozen=noted).digest == plain.digest
    read = store.frozen_labels(2)
    assert read.suspicion is not None
    assert read.suspicion.tolist() == noted.suspicion.tolist()  # type: ignore[union-attr]
    assert (read.trusted, read.whole) == (None, 8)
    store.close_audit(2)
    some = FrozenLabels(ids[2:], FROZEN.label_code[2:], FROZEN.source_code[2:], FROZEN.names, SOURCES)
    without = start(store, frozen=some)
    store.close_audit(3)
    trusting = start(store, frozen=replace(some, trusted=ids[:2]))
    assert trusting.digest != without.digest
    assert store.frozen_labels(4).whole == 8
    assert store.verify() == []
    store.close_audit(4)
    with pytest.raises(ConfigError, match="taken as right and audited"):
        start(store, frozen=replace(some, trusted=ids[:3]))


def test_an_audit_that_let_labels_in_is_not_gone_on_with(store: Store) -> None:
    start(store, scope="rule", round=1, thresholds={"fox": 0.5})
    store.accept_audit(1, ACCEPTED, BATCH, FACTS)
    with pytest.raises(LedgerError, match="let its labels in"):
        store.reopen_audit(1)
    start(store)
    store.close_audit(2, {"statement": "kept"})
    start(store)
    with pytest.raises(LedgerError, match="another audit is open"):
        store.reopen_audit(2)
    store.close_audit(3)
    again = store.reopen_audit(2)
    assert (again.state, again.ended, again.facts) == ("open", None, {"statement": "kept"})
