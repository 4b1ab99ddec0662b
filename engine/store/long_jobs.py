"""Doing what is written down in `engine.store.unfinished`: its parts one after the other, with room for others between.

Every kind of job has one line in KINDS.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection

from engine.errors import LedgerError, StarlingError
from engine.store import batches, imports, undo, unfinished
from engine.store.unfinished import Job

PAUSE, SHARE = 0.01, 0.2
"""Between two parts other processes find the database free: for so many seconds at least, and for such a share of what
the part took, since a machine that is slow at the one is slow at the other too. See engine.store.sqlite.POLL."""
T = TypeVar("T")
log = logging.getLogger("starling.store")


class Run(Protocol):
    """Runs work in a transaction and returns what it returns: `Store._read` or `Store._write`."""

    def __call__(self, work: Callable[[Connection], T]) -> T:
        """Run it."""


class Kind(NamedTuple):
    """How a kind of job is done.

    do: a part; returns what the end needs to know of it, and what the caller does. look: reads what the end needs
    beside that, in no transaction that others wait for. end: with the results of all parts and what was read. words:
    what it is, for a person.
    """

    do: Callable[[Connection, Any, Job], tuple[Any, Any]]
    look: Callable[[Connection, list[Any]], Any]
    end: Callable[[Connection, list[Any], Any], Any]
    words: str


def _nothing(*_: object) -> None:
    """There is nothing to do at the end."""


KINDS = {
    "batch": Kind(batches.do_part, _nothing, _nothing, "recording the batch"),
    "undo": Kind(undo.do_part, _nothing, _nothing, "taking back"),
    "import": Kind(imports.do_part, imports.read_part_digest, imports.end_parts, "importing"),
}


def carry_out(read: Run, write: Run, job: Job) -> tuple[list[Any], Any]:
    """Do all parts of a job and its end.

    Returns:
        What the parts have for the caller, None for one that another process did or that is not to be done any more;
        and what the end has, None where another process came to it first.

    Raises:
        LedgerError: the database does not save; what is done stays, and the rest is done at the next start.
    """
    kind, answers = KINDS[job.kind], list[Any]()
    try:
        for part in range(job.parts):
            began = time.monotonic()
            answers.append(write(lambda connection, part=part: _do(connection, kind, job, part)))  # type: ignore[misc]
            time.sleep(max(PAUSE, SHARE * (time.monotonic() - began)))
        seen = read(lambda connection: kind.look(connection, unfinished.read_results(connection, job)))
        return answers, write(lambda connection: _end(connection, kind, job, seen))
    except StarlingError as error:
        raise LedgerError(
            f"saved in part, {min(len(answers) * unfinished.PART, job.parts * unfinished.PART):,} of about "
            f"{job.parts * unfinished.PART:,}: {error.cause}",
            value=error.value,
            way_out="Mend that and open the project again: the rest is done then.",
        ) from error


def finish(read: Run, write: Run) -> list[str]:
    """Do what earlier processes have left; return in words what that was, one sentence a job.

    A job that cannot be done stays, and is told of too.
    """
    told = []
    for job in read(unfinished.read_jobs):
        what = f"{KINDS[job.kind].words} “{job.subject}”, begun on {job.time[:16].replace('T', ' at ')} UTC"
        try:
            carry_out(read, write, job)
            told.append(f"What had not come to its end was finished now: {what}.")
        except StarlingError as error:
            told.append(f"What had not come to its end could not be finished: {what}. {error}")
        log.warning(told[-1])
    return told


def _do(connection: Connection, kind: Kind, job: Job, part: int) -> Any:
    content = unfinished.read_part(connection, job, part)
    if content is None:
        return None
    result, answer = kind.do(connection, content, job)
    unfinished.cross_off(connection, job, part, result)
    return answer


def _end(connection: Connection, kind: Kind, job: Job, seen: Any) -> Any:
    results = unfinished.read_results(connection, job)
    if not results:
        return None
    ended = kind.end(connection, results, seen)
    unfinished.cross_out(connection, job)
    return ended
