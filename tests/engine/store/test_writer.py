import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, event, insert
from sqlalchemy.exc import OperationalError

from engine.errors import LedgerError, ProjectError, ProjectReadOnly
from engine.records.labels import Decision
from engine.store import Store, sqlite
from engine.store.database import Database, parse_url
from engine.store.schema import meta
from engine.store.writer import Writer
from tests.engine.store.store_samples import found

Make = Callable[..., Decision]


@pytest.fixture
def writer(store: Store, url: str):
    database = Database(parse_url(url), read_only=False)
    opened = Writer(database, None)
    yield opened
    opened.close()
    database.close()


def put(key: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(meta), {"key": key, "value": "x"})
        return key

    return work


def put_together(writer: Writer, works: list[Callable[[Connection], str]]) -> list[object]:
    """Hand the jobs in while the thread is held up, so that they form one group; return answers or errors."""
    started, go = threading.Event(), threading.Event()

    def hold_up(_: Connection) -> None:
        started.set()
        go.wait()

    def attempt(work: Callable[[Connection], str]) -> object:
        try:
            return writer.do(work)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works) + 1) as pool:
        pool.submit(writer.do, hold_up)
        started.wait()
        answers = [pool.submit(attempt, work) for work in works]
        while writer._queue.qsize() < len(works):
            pass
        go.set()
        return [answer.result() for answer in answers]


def test_a_job_that_refuses_is_taken_back_alone(writer: Writer, store: Store) -> None:
    def refuse(connection: Connection) -> str:
        put("half")(connection)
        raise ValueError("no")

    first, second, third = put_together(writer, [put("a"), refuse, put("b")])
    assert (first, str(second), third) == ("a", "no", "b")
    assert [store.meta(key) for key in ("a", "half", "b")] == ["x", None, "x"]


def test_a_database_failure_of_one_job_does_not_cost_the_others_of_its_group(writer: Writer, store: Store) -> None:
    def fail(connection: Connection) -> str:
        put("half")(connection)
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("disk"))

    first, second, third = put_together(writer, [put("a"), fail, put("b")])
    assert (first, third) == ("a", "b")
    assert isinstance(second, LedgerError)
    assert "not saved" in str(second)
    assert [store.meta(key) for key in ("a", "half", "b")] == ["x", None, "x"]


def test_jobs_that_wait_together_are_committed_together(writer: Writer) -> None:
    commits: list[int] = []
    assert writer._database.writers is not None
    event.listen(writer._database.writers, "commit", lambda _: commits.append(1))
    put_together(writer, [put(f"key {number}") for number in range(20)])
    assert len(commits) == 2  # the job that held the thread up, and all twenty


def test_every_commit_is_synced_to_disk(store: Store) -> None:
    settings = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}
    found_settings = store._write(
        lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in settings}
    )
    assert found_settings == settings


def test_a_full_disk_says_not_saved_and_changes_nothing(store: Store, decide: Make) -> None:
    writers = store._database.writers
    assert writers is not None
    with writers.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    images = [found(f"new/{number}.png", "cat") for number in range(500)]
    with pytest.raises(LedgerError, match=r"not saved: the disk is full.*Free some space"):
        store.add_import("x", "tree", images, ["owl"], [])
    assert (len(store.image_ids()), store.classes(), store.head_seq()) == (8, ("cat", "dog", "fox"), 2)
    with writers.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert store.record([decide("u1", 5)])[0].status == "saved"
    assert store.verify() == []


def test_a_locked_database_says_not_saved(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(url) as other:
        monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
        told = pytest.raises(LedgerError, match="not saved: another process held the database")
        with store._database.write(), told:
            other.record([Decision("u1", 5, 0, "label", "cat")])
        assert other.record([Decision("u1", 5, 0, "label", "cat")])[0].status == "saved"


def test_a_closed_store_records_nothing_more(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(ProjectError, match="not saved: the project is closed"):
        store.record([Decision("u1", 5, 0, "label", "cat")])


def test_a_store_opened_read_only_refuses_every_write(store: Store, url: str) -> None:
    with Store.open(url, read_only=True) as reader:
        writes: list[Callable[[], object]] = [
            lambda: reader.record([Decision("u1", 5, 0, "label", "cat")]),
            lambda: reader.add_class("owl"),
            lambda: reader.queue_round("supervised", {}),
            lambda: reader.set_meta("key", "value"),
            reader.rebuild_projection,
        ]
        for write in writes:
            with pytest.raises(ProjectReadOnly, match="not saved"):
                write()
        store.record([Decision("u1", 5, 0, "label", "fox")])
        assert (reader.read_only, reader.states([5])[0].label) == (True, "fox")


def test_a_setting_is_kept_and_the_stores_own_are_protected(store: Store) -> None:
    store.set_meta("split_seed", "1")
    store.set_meta("split_seed", "2")
    assert (store.meta("split_seed"), store.meta("never set")) == ("2", None)
    for key in ("ledger_head", "name"):
        with pytest.raises(ValueError, match="belongs to the store"):
            store.set_meta(key, "x")
