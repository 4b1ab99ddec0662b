"""What is too long for one transaction: written down whole in one, then done part by part, then crossed out.

A transaction of 100,000 entries takes seconds, in which nobody else can save. So what is to be done is committed first,
as it is, in parts: from then on it will be done. Each part is done in a transaction of its own, which also crosses it
off, and what others have to write comes in between. What a killed process leaves is done at the next start, by the
same steps. Two processes may do the parts of one job: each is done by whoever comes first.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from engine.store.rows import now
from engine.store.schema import unfinished

PART = 1_000
"""Decisions or images of a part: a transaction of some 0.1 s. What is not more is done in one, without this."""
_ROW = unfinished.c
_LEVEL = 1


@dataclass(frozen=True)
class Job:
    """A job that is written down. subject: what it is about, the name of a batch or the source of an import; time: when
    it was written down; parts: how many it has in all."""

    job: str
    kind: str
    subject: str
    time: str
    parts: int


def packed(content: object) -> bytes:
    """Return plain JSON as it is written down."""
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), _LEVEL)


def unpacked(content: bytes) -> Any:
    """Return what `packed` was given, tuples as lists."""
    return json.loads(zlib.decompress(content))


def write_down(connection: Connection, kind: str, subject: str, parts: Sequence[bytes]) -> Job:
    """Write a job down, each part as `packed` gives it; once that is committed, it will be done."""
    job = Job(secrets.token_hex(8), kind, subject, now(), len(parts))
    same = {"job": job.job, "kind": kind, "subject": subject, "time": job.time, "done": 0}
    connection.execute(insert(unfinished), [{**same, "part": at, "content": part} for at, part in enumerate(parts)])
    return job


def read_jobs(connection: Connection) -> list[Job]:
    """Return the jobs that are not crossed out, oldest first."""
    columns = (_ROW.job, _ROW.kind, _ROW.subject, _ROW.time)
    query = select(*columns, func.count().label("parts")).group_by(*columns).order_by(_ROW.time, _ROW.job)
    return [Job(**row) for row in connection.execute(query).mappings()]


def read_part(connection: Connection, job: Job, part: int) -> Any:
    """Return what a part is to do; None where it was done, or is not to be done any more."""
    query = select(_ROW.content).where(_ROW.job == job.job, _ROW.part == part, _ROW.done == 0)
    content = connection.scalar(query)
    return None if content is None else unpacked(content)


def read_first(connection: Connection, job: Job) -> Any:
    """Return what was noted of a job's first part; None before it is done."""
    content = connection.scalar(select(_ROW.content).where(_ROW.job == job.job, _ROW.part == 0, _ROW.done == 1))
    return None if content is None else unpacked(content)


def cross_off(connection: Connection, job: Job, part: int, result: object) -> None:
    """Note that a part is done, in its transaction, and what the end needs to know of it, as plain JSON."""
    row = update(unfinished).where(_ROW.job == job.job, _ROW.part == part)
    connection.execute(row.values(done=1, content=packed(result)))


def read_results(connection: Connection, job: Job) -> list[Any]:
    """Return what was noted of each part, in order; empty where the job was crossed out."""
    query = select(_ROW.content).where(_ROW.job == job.job, _ROW.done == 1).order_by(_ROW.part)
    return [unpacked(content) for content in connection.scalars(query)]


def cross_out(connection: Connection, job: Job) -> None:
    """Forget a job, done or not."""
    connection.execute(delete(unfinished).where(_ROW.job == job.job))


def cross_out_about(connection: Connection, kind: str, subject: str) -> None:
    """Forget the jobs of a kind about this subject: what is not done of them is not to be done."""
    connection.execute(delete(unfinished).where(_ROW.kind == kind, _ROW.subject == subject))


def in_parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Yield the items a part at a time."""
    for start in range(0, len(items), PART):
        yield items[start : start + PART]
