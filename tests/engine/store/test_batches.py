import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, LedgerError
from engine.records.labels import Decision
from engine.records.quality import BatchInfo
from engine.store import Store, batches
from engine.store.facts import batch_id, digest_of
from engine.store.rows import CHUNK
from tests.engine.store.store_samples import found

Make = Callable[..., Decision]
FACTS = {"kind": "grid", "threshold": 0.5, "classes": ["cat"]}
BATCH = batch_id("grid-1", FACTS)


def run(file: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement, values)


def test_a_batch_id_holds_the_digest_of_the_canonical_json() -> None:
    text = '{"classes":["cat"],"kind":"grid","threshold":0.5}'
    assert "grid-1-" + hashlib.sha256(text.encode()).hexdigest()[:32] == BATCH
    shuffled = {"threshold": np.float64(0.5), "classes": ("cat",), "kind": "grid"}
    assert batch_id("grid-1", shuffled) == BATCH
    assert digest_of({**FACTS, "threshold": 0.25}) != digest_of(FACTS)
    with pytest.raises(ConfigError, match="plain JSON"):
        batch_id("grid-1", {"ids": {1, 2}})


def test_facts_are_kept_with_the_decisions_and_a_repeat_changes_neither(store: Store, decide: Make) -> None:
    decisions = [decide("u1", 5), decide("u2", 6)]
    assert [ack.status for ack in store.record_batch(decisions, BATCH, FACTS)] == ["saved", "saved"]
    rows = store._read(lambda connection: connection.exec_driver_sql("SELECT * FROM batches").all())
    assert [ack.status for ack in store.record_batch(decisions, BATCH, FACTS)] == ["duplicate", "duplicate"]
    assert store.record_batch([*decisions, decide("u3", 7)], BATCH, FACTS)[2].status == "saved"
    assert store._read(lambda connection: connection.exec_driver_sql("SELECT * FROM batches").all()) == rows
    assert store.batch_facts() == {BATCH: FACTS}
    assert {entry.batch for entry in store.history(limit=3)} == {BATCH}
    assert store.verify() == []


def test_a_batch_without_facts_or_without_a_saved_decision_leaves_none(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5)], "page")
    [ack] = store.record_batch([decide("u2", 5, base_version=0)], BATCH, FACTS)
    assert (ack.status, store.batch_facts()) == ("conflict", {})


@pytest.mark.parametrize("batch", ["grid-1", batch_id("grid-1", {"kind": "other"}), BATCH.replace("-", "")])
def test_an_id_that_does_not_hold_the_digest_saves_neither_facts_nor_decisions(
    store: Store, decide: Make, batch: str
) -> None:
    with pytest.raises(ConfigError, match=r"not saved.*must hold their digest.*batch_id"):
        store.record_batch([decide("u1", 5)], batch, FACTS)
    assert (store.head_seq(), store.batch_facts()) == (2, {})


def test_a_fault_while_the_facts_are_written_leaves_nothing_of_the_batch(
    store: Store, decide: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = batches.write_facts

    def fail(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("pulled plug")

    monkeypatch.setattr(batches, "write_facts", fail)
    with pytest.raises(RuntimeError, match="pulled plug"):
        store.record_batch([decide("u1", 5)], BATCH, FACTS)
    assert (store.head_seq(), store.batch_facts(), store.states([5])) == (2, {}, [])
    monkeypatch.undo()
    assert store.record_batch([decide("u1", 5)], BATCH, FACTS)[0].status == "saved"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE batches SET facts = replace(facts, '0.5', '0.9')", "do not match their digest"),
        ("UPDATE batches SET digest = 'f' || substr(digest, 2)", "do not match their digest"),
        ("UPDATE batches SET facts = '7'", "do not match their digest"),
        ("UPDATE batches SET facts = '{'", "batches: cannot be read"),
        ("UPDATE batches SET batch = 'b' || substr(batch, 2)", "belong to no ledger entry"),
        ("UPDATE batches SET batch = 'page'", "do not match the batch id"),
    ],
)
def test_verify_names_changed_facts(store: Store, decide: Make, tmp_path: Path, statement: str, problem: str) -> None:
    store.record_batch([decide("u1", 5)], BATCH, FACTS)
    store.record_batch([decide("u2", 6)], "page")
    assert store.verify() == []
    run(tmp_path / "project.db", statement)
    [found_problem] = store.verify()
    assert problem in found_problem


def test_facts_changed_together_with_their_digest_no_longer_match_the_ledger(
    store: Store, decide: Make, tmp_path: Path
) -> None:
    store.record_batch([decide("u1", 5)], BATCH, FACTS)
    better = {**FACTS, "threshold": 0.99}
    change = "UPDATE batches SET facts = ?, digest = ?"
    run(tmp_path / "project.db", change, '{"kind":"grid","threshold":0.99,"classes":["cat"]}', digest_of(better))
    assert store.verify() == [f"batches: the facts of {BATCH} do not match the batch id, which the ledger holds"]


def test_batches_are_listed_newest_first_with_what_they_share(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5), decide("u2", 6)], BATCH, FACTS)
    store.record([decide("single", 4)])
    mixed = [decide("u3", 7, "label", "dog", actor="anna"), decide("u4", 8, "flag", None, actor="anna")]
    store.record_batch(mixed, "mixed")
    store.record_batch([decide("u5", 3, "label", "dog"), decide("u6", 4, "label", "fox")], "two")
    store.record_batch([decide("u7", 1, "reject", None), decide("u8", 5, "reject", None)], "marks")
    entries = {entry.uid: entry for entry in store.entries()}
    assert store.batches() == [
        BatchInfo("marks", "local", entries["u7"].time, entries["u8"].seq, "reject", 2, 0, None),
        BatchInfo("two", "local", entries["u5"].time, entries["u6"].seq, "label", 2, 0, None),
        BatchInfo("mixed", "anna", entries["u3"].time, entries["u4"].seq, "mixed", 2, 0, None),
        BatchInfo(BATCH, "local", entries["u1"].time, entries["u2"].seq, "label", 2, 0, "cat", FACTS),
    ]


def test_batches_tell_how_much_was_undone_and_leave_undo_itself_out(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5), decide("u2", 6), decide("u3", 7)], "page")
    store.record([decide("later", 6, "label", "dog", actor="anna")])
    store.undo("z1", "local", "page")
    [page] = store.batches()
    assert (page.batch, page.decisions, page.undone) == ("page", 3, 2)


def test_batches_page_backwards(store: Store, decide: Make) -> None:
    for number in (3, 4, 5, 6):
        store.record_batch([decide(f"u{number}", number)], f"b{number}")
    first = store.batches(limit=2)
    assert [info.batch for info in first] == ["b6", "b5"]
    assert [info.batch for info in store.batches(limit=2, before=first[-1].seq)] == ["b4", "b3"]


def test_history_is_of_one_person_action_or_batch(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5), decide("u2", 6, "skip", None)], "page")
    store.record([decide("u3", 5, "skip", None, actor="anna")])
    assert [entry.uid for entry in store.history(action="skip")] == ["u3", "u2"]
    assert [entry.uid for entry in store.history(actor="anna")] == ["u3"]
    assert [entry.uid for entry in store.history(batch="page")] == ["u2", "u1"]
    assert [entry.uid for entry in store.history(5, actor="local", batch="page")] == ["u1"]


def test_a_batch_longer_than_any_one_query_is_undone_as_a_whole(store: Store) -> None:
    size = CHUNK + 1_000
    store.add_import("folder", "class tree", [found(f"many/{number}.png") for number in range(size)], [], [])
    ids = store.image_ids()[8:].tolist()
    decisions = [Decision(f"m{number}", number, 0, "accept", "cat", round=1, confidence=0.5) for number in ids]
    batch = batch_id("audit-1", {"audit": 1})
    store.record_batch(decisions, batch, {"audit": 1})
    assert store.counts().accepted_by_threshold == size
    acks = store.undo("z1", "local", batch)
    assert {ack.status for ack in acks} == {"saved"}
    assert (len(acks), store.counts().accepted_by_threshold, store.batches()[0].undone) == (size, 0, size)
    assert store.verify() == []
    with pytest.raises(LedgerError, match="no decision is left"):
        store.undo("z2", "local", batch)


def test_batches_are_found_by_their_names_however_old(store: Store, decide: Make) -> None:
    for number in range(4):
        store.record_batch([decide(f"u{number}", number + 4)], f"b{number}")
    store.undo("z1", "local", "b1")
    found = store.batches(2, names=["b1", "b0", "unknown"])
    assert [(info.batch, info.undone) for info in found] == [("b1", 1), ("b0", 0)]
    assert store.batches(2, names=[]) == []
