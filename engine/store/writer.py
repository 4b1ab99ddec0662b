"""The one thread that writes: takes what waits, commits it together, and answers only after the COMMIT.

Each job runs in its own savepoint, so one that refuses leaves the others of its group untouched. If the
database itself fails under a group (disk full, lock), the whole group is rolled back and its jobs are tried
once more, one transaction each, so that only those that really cannot be saved are told so. Jobs must
therefore depend on nothing but what they read through their connection.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from engine.errors import ProjectError
from engine.store.database import Database, explain
from engine.store.witness import Witness

GROUP_SIZE = 256
IDLE_SECONDS = 2.0
"""After so long without a write the database's log is brought into its file."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Job:
    work: Callable[[Connection], Any]
    answer: Future[Any]


class Writer:
    """Runs jobs on one connection, in the order they were handed in.

    Args:
        database: open for writing.
        witness: notes the ledger's end after each commit; None where the database has none.
    """

    def __init__(self, database: Database, witness: Witness | None) -> None:
        self._database = database
        self._witness = witness
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="starling-store-writer", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result once it is on disk.

        Raises:
            ProjectError: the project was closed; nothing was saved.
            StarlingError: what `work` raised, or why the database did not save; nothing of `work` remains.
        """
        answer: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise ProjectError("not saved: the project is closed", way_out="Open the project again.")
            self._queue.put(_Job(work, answer))
        return answer.result()

    def close(self) -> None:
        """Finish what was handed in, then stop the thread. Calling it twice is harmless."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        idle = True
        while True:
            try:
                job = self._queue.get(timeout=None if idle else IDLE_SECONDS)
            except queue.Empty:
                if self._witness is not None:
                    self._witness.sync()
                self._database.checkpoint()
                idle = True
                continue
            if job is None:
                return
            idle = False
            group = [job]
            stopping = False
            while len(group) < GROUP_SIZE and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stopping = True
                    break
                group.append(following)
            self._save(group)
            if self._witness is not None:
                self._witness.sync_if_due()
            if stopping:
                return

    def _save(self, group: list[_Job]) -> None:
        try:
            outcomes = self._commit(group)
        except DBAPIError as error:
            if len(group) > 1:
                for job in group:
                    self._save([job])
            else:
                group[0].answer.set_exception(explain(self._database.url, error, writing=True))
            return
        except Exception as error:
            for job in group:
                job.answer.set_exception(error)
            return
        for job, (result, refusal) in zip(group, outcomes, strict=True):
            if refusal is None:
                job.answer.set_result(result)
            else:
                job.answer.set_exception(refusal)

    def _commit(self, group: list[_Job]) -> list[tuple[Any, Exception | None]]:
        with self._database.write() as connection:
            outcomes = [_attempt(job, connection) for job in group]
            if self._witness is not None:
                self._witness.see(connection)
        if self._witness is not None:
            self._witness.note()
        return outcomes


def _attempt(job: _Job, connection: Connection) -> tuple[Any, Exception | None]:
    """Run a job in a savepoint; return its result, or why it refused. A failure of the database is raised."""
    failure: DBAPIError | None = None
    try:
        with connection.begin_nested():
            try:
                return job.work(connection), None
            except DBAPIError as error:
                failure = error  # going back to the savepoint may fail too, and would hide this
                raise
    except DBAPIError as error:
        raise failure or error from error
    except Exception as refusal:
        return None, refusal
