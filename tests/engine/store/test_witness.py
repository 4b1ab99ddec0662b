"""The file that witnesses the ledger's end: a lost log is found, what a crash leaves is not taken for a loss."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import EntriesLost
from engine.records.labels import Decision
from engine.store import Store, writer
from engine.store import witness as witness_module
from engine.store.witness import Witness

Make = Callable[..., Decision]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "project.db")


def without_log(folder: Path, target: Path) -> str:
    """Copy a database that is open, without its log, as a log that was lost leaves it; return its URL."""
    target.mkdir()
    for name in ("project.db", "project.db-head"):
        shutil.copy(folder / name, target)
    return f"sqlite:///{target / 'project.db'}"


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come about, a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_decision_is_noted_before_it_is_answered(
    store: Store, decide: Make, tmp_path: Path, witness: Witness
) -> None:
    for number in range(5):
        [ack] = store.record([decide(f"u{number}", 5)])
        head = witness.read()
        assert head is not None
        assert (head.seq, head.hash) == (ack.seq, store.history(limit=1)[0].hash)
        assert (tmp_path / "project.db-head").stat().st_size == 128


def test_a_lost_log_is_found_and_nobody_writes_before_a_person_decides(
    store: Store, decide: Make, tmp_path: Path
) -> None:
    """Found by an attack: of 490 entries 111 vanished with the log, and doctor called the rest sound."""
    store._database.checkpoint()
    for number in range(10):
        store.record([decide(f"u{number}", 5)])
    url = without_log(tmp_path, tmp_path / "lost")
    told = (
        r"entry 12 was written and the last one now is: 2\..*starling restore PROJECT BACKUP.*doctor PROJECT --accept"
    )
    with pytest.raises(EntriesLost, match=told):
        Store.open(url)
    with Store.open(url, read_only=True) as reader:
        [problem] = reader.verify()
        assert "the end of the ledger is lost: entry 12" in problem
    with Store.open(url, accept_loss=True) as going_on:
        [loss] = going_on.losses()
        assert (loss["noted_seq"], loss["seq"]) == (12, 2)
        assert loss["noted_hash"] == store.history(limit=1)[0].hash
        assert going_on.record([Decision("v1", 5, 0, "label", "fox")])[0].seq == 3
    with Store.open(url) as again:
        assert again.verify() == []
        assert len(again.losses()) == 1


@pytest.mark.parametrize("behind", [1, 4])
def test_a_note_that_a_crash_left_behind_is_brought_up_to_date(
    store: Store, url: str, decide: Make, tmp_path: Path, witness: Witness, behind: int
) -> None:
    for number in range(6):
        store.record([decide(f"u{number}", 5)])
        if number == 5 - behind:
            older = (tmp_path / "project.db-head").read_bytes()
    store.close()
    (tmp_path / "project.db-head").write_bytes(older)
    with Store.open(url) as opened:
        assert opened.verify() == []
    head = witness.read()
    assert head is not None
    assert head.seq == 8


def test_a_note_behind_a_ledger_that_is_broken_since_stays(
    store: Store, url: str, decide: Make, tmp_path: Path
) -> None:
    older = (tmp_path / "project.db-head").read_bytes()
    store.record([decide("u1", 5)])
    store.close()
    (tmp_path / "project.db-head").write_bytes(older)
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute("UPDATE annotations SET label = 'fox' WHERE seq = 3")
    with Store.open(url) as opened:
        assert any("does not match its hash" in problem for problem in opened.verify())
    assert (tmp_path / "project.db-head").read_bytes() == older


def test_an_older_copy_put_in_place_by_hand_and_written_on_is_another_ledger(
    store: Store, url: str, decide: Make, tmp_path: Path
) -> None:
    store.backup(tmp_path / "copy.db")
    store.record([decide("u1", 5)])
    store.close()
    with Store.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        copy.record([Decision("v1", 6, 0, "label", "fox"), Decision("v2", 7, 0, "label", "fox")])
    shutil.copy(tmp_path / "copy.db", tmp_path / "project.db")
    with pytest.raises(EntriesLost, match="not the ledger that was written here: another one has entry: 3"):
        Store.open(url)


@pytest.mark.parametrize("damage", [b"", b"head1 nonsense\n", None])
def test_a_damaged_note_is_told(store: Store, url: str, tmp_path: Path, damage: bytes | None) -> None:
    store.close()
    file = tmp_path / "project.db-head"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"2 ", b"1 ", 1) if damage is None else damage)
    with pytest.raises(EntriesLost, match="is damaged, so that entries may be lost"):
        Store.open(url)
    with Store.open(url, read_only=True) as reader:
        assert ["is damaged" in problem for problem in reader.verify()] == [True]
    with Store.open(url, accept_loss=True) as opened:
        assert opened.losses()[0]["noted_seq"] is None
    assert file.read_bytes() == whole


def test_a_project_without_a_note_gets_one(store: Store, url: str, tmp_path: Path, witness: Witness) -> None:
    store.close()
    (tmp_path / "project.db-head").unlink()
    Store.open(url, read_only=True).close()
    assert witness.read() is None
    Store.open(url).close()
    head = witness.read()
    assert head is not None
    assert head.seq == 2


def test_a_note_that_cannot_be_written_keeps_no_decision_from_being_saved(
    store: Store, url: str, decide: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    decision = decide("u1", 5)
    monkeypatch.setattr(os, "pwrite", fail)
    assert store.record([decision])[0].status == "saved"
    assert "could not be noted" in caplog.text
    monkeypatch.undo()
    store.close()
    with Store.open(url) as opened:
        assert (opened.head_seq(), opened.verify()) == (3, [])


def test_the_note_comes_to_the_disk_once_a_second_after_a_pause_and_at_the_end(
    store: Store, decide: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(witness_module, "_sync", synced.append)
    monkeypatch.setattr(witness_module, "SYNC_SECONDS", 1e9)
    store.record([decide("u1", 5)])
    store.record([decide("u2", 5)])
    assert synced == []
    monkeypatch.setattr(witness_module, "SYNC_SECONDS", 0.0)
    store.record([decide("u3", 5)])
    wait_for(lambda: len(synced) == 1)
    monkeypatch.setattr(witness_module, "SYNC_SECONDS", 1e9)
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.02)
    store.record([decide("u4", 5)])
    wait_for(lambda: len(synced) == 2)
    monkeypatch.setattr(writer, "IDLE_SECONDS", 60.0)
    store.record([decide("u5", 5)])
    store.close()
    assert len(synced) == 3


def test_an_answer_does_not_wait_for_the_notes_way_to_the_disk(
    store: Store, decide: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        begun.set()
        assert free.wait(60)

    monkeypatch.setattr(witness_module, "_sync", slow)
    monkeypatch.setattr(witness_module, "SYNC_SECONDS", 0.0)
    acks = ThreadPoolExecutor(1).submit(store.record, [decide("u1", 5)]).result(60)
    assert begun.wait(60)
    assert not free.is_set()
    assert acks[0].status == "saved"
    free.set()


def test_after_a_pause_the_database_file_alone_has_everything(
    store: Store, decide: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.02)
    store.record([decide("u1", 5)])
    deadline = time.monotonic() + 60
    number = 0
    while time.monotonic() < deadline:
        number += 1
        shutil.copy(tmp_path / "project.db", tmp_path / f"alone-{number}.db")
        with closing(sqlite3.connect(tmp_path / f"alone-{number}.db")) as connection:
            if connection.execute("SELECT count(*) FROM annotations").fetchone() == (3,):
                return
        time.sleep(0.05)
    pytest.fail("the log alone has the decision")


def test_closing_empties_the_log_though_another_process_has_the_project_open(
    store: Store, decide: Make, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "project.db")) as other:
        other.execute("SELECT count(*) FROM annotations").fetchone()
        store.record([decide("u1", 5)])
        assert (tmp_path / "project.db-wal").stat().st_size > 0
        store.close()
        assert (tmp_path / "project.db-wal").stat().st_size == 0
