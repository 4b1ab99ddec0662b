"""The one thread that writes: takes what waits, commits it together, and answers only after the COMMIT.

Decisions that wait one behind the other, from however many callers, are recorded by one call of the ledger: it asks
and writes in a few statements for all of them what it would else in a few for each. It answers each decision as if
they had come one by one.

In a group of several kinds each job runs in its own savepoint, so one that refuses leaves the others untouched. If
the database itself fails under a group (disk full, lock), the whole group is rolled back and its jobs are tried once
more, one transaction each, so that only those that really cannot be saved are told so. Jobs must therefore depend on
nothing but what they read through their connection.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from engine.errors import ProjectError
from engine.records.labels import Ack, Decision
from engine.store.database import Database, explain
from engine.store.ledger import record
from engine.store.witness import Witness

GROUP_SIZE = 256
GROUP_DECISIONS = 2_000
"""A group that holds so many takes no further job in, so that its transaction stays short."""
IDLE_SECONDS = 2.0
"""After so long without a write the database's log is brought into its file."""

T = TypeVar("T")


Outcome = tuple[Any, Exception | None]
"""What a job returned, or why it refused."""


@dataclass(frozen=True)
class _Job:
    """decisions: to record; None where `work` is something else."""

    work: Callable[[Connection], Any]
    answer: Future[Any]
    decisions: Sequence[Decision] | None = None


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
        self._hand_in(_Job(work, answer))
        return answer.result()

    def record(self, decisions: Sequence[Decision]) -> list[Ack]:
        """Record decisions, by one call of the ledger with others that wait; return one answer each, in order, once
        the saved ones are on disk. Raises as `do`."""
        answer: Future[list[Ack]] = Future()
        self._hand_in(_Job(lambda connection: record(connection, decisions), answer, decisions))
        return answer.result()

    def _hand_in(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise ProjectError("not saved: the project is closed", way_out="Open the project again.")
            self._queue.put(job)

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
            held = len(job.decisions or ())
            stopping = False
            while len(group) < GROUP_SIZE and held < GROUP_DECISIONS and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stopping = True
                    break
                group.append(following)
                held += len(following.decisions or ())
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

    def _commit(self, group: list[_Job]) -> list[Outcome]:
        outcomes: list[Outcome] | None = None
        if len(group) == 1 or all(job.decisions is not None for job in group):
            outcomes = self._commit_at_once(group)
        if outcomes is None:
            outcomes = []
            with self._database.write() as connection:
                for deciding, jobs in groupby(group, lambda job: job.decisions is not None):
                    outcomes += (_record if deciding else _one_by_one)(list(jobs), connection)
                self._see(connection)
        if self._witness is not None:
            self._witness.note()
        return outcomes

    def _commit_at_once(self, group: list[_Job]) -> list[Outcome] | None:
        """Commit what is one job, or one call of the ledger, and needs no savepoint: where it refuses, the transaction
        is taken back. None where it did, of several jobs, so that each must be tried by itself."""
        try:
            with self._database.write() as connection:
                if len(group) == 1:
                    outcomes: list[Outcome] = [(group[0].work(connection), None)]
                else:
                    outcomes = [(acks, None) for acks in _recorded(group, connection)]
                self._see(connection)
        except DBAPIError:
            raise
        except Exception as refusal:
            return [(None, refusal)] if len(group) == 1 else None
        return outcomes

    def _see(self, connection: Connection) -> None:
        if self._witness is not None:
            self._witness.see(connection)


def _recorded(jobs: list[_Job], connection: Connection) -> list[list[Ack]]:
    """Record the decisions of several jobs by one call; return the answers to each job."""
    following = iter(record(connection, [one for job in jobs for one in job.decisions or ()]))
    return [list(islice(following, len(job.decisions or ()))) for job in jobs]


def _record(jobs: list[_Job], connection: Connection) -> list[Outcome]:
    """Record the decisions of several jobs by one call; one by one where that refuses, so that only the one with the
    fault is."""
    if len(jobs) > 1:
        answers, refusal = _attempt(lambda connection: _recorded(jobs, connection), connection)
        if refusal is None:
            return [(acks, None) for acks in answers]
    return _one_by_one(jobs, connection)


def _one_by_one(jobs: list[_Job], connection: Connection) -> list[Outcome]:
    return [_attempt(job.work, connection) for job in jobs]


def _attempt(work: Callable[[Connection], Any], connection: Connection) -> Outcome:
    """Do something in a savepoint; return its result, or why it refused. A failure of the database is raised."""
    failure: DBAPIError | None = None
    try:
        with connection.begin_nested():
            try:
                return work(connection), None
            except DBAPIError as error:
                failure = error  # going back to the savepoint may fail too, and would hide this
                raise
    except DBAPIError as error:
        raise failure or error from error
    except Exception as refusal:
        return None, refusal
