"""Audits from before revision 0007: a random sample of what a rule would accept. They are read, and never written."""

from __future__ import annotations

import zlib

import numpy as np
from sqlalchemy import Connection, RowMapping, func, or_, select

from engine.records.quality import PastAudit
from engine.store.rows import chunks
from engine.store.schema import batches, entries, past_audits

STATES = ("accepted", "abandoned")
NO_ANSWERS = ("import", "undo", "skip", "unsure", "flag")


def read_past_audits(connection: Connection) -> list[PastAudit]:
    """Return all of them, oldest first."""
    return [_record(row) for row in connection.execute(select(past_audits).order_by(past_audits.c.number)).mappings()]


def count_answered(connection: Connection) -> int:
    """Return how many of them have an answer: an image of the sample that was decided since, alone in front."""
    alone = or_(entries.c.batch.is_(None), entries.c.seconds.is_not(None))
    answered = 0
    for row in connection.execute(select(past_audits.c.sample, past_audits.c.ledger_seq)):
        since = select(func.count()).where(entries.c.seq > row.ledger_seq, entries.c.action.not_in(NO_ANSWERS), alone)
        answered += any(connection.scalar(since.where(entries.c.image_id.in_(chunk))) for chunk in chunks(row.sample))
    return answered


def find_flaws(connection: Connection) -> list[str]:
    """Return which of them do not hold together, one sentence each; empty when all do."""
    carrying = select(batches.c.batch, batches.c.facts).where(batches.c.batch.in_(select(past_audits.c.batch)))
    known = {row.batch: row.facts for row in connection.execute(carrying)}
    problems = []
    for row in connection.execute(select(past_audits).order_by(past_audits.c.number)).mappings():
        flaw = None
        try:
            population = _ids(row)
            if row["state"] not in STATES:
                flaw = f"is in no known state: {row['state']}"
            elif not np.isin(row["sample"], population).all():
                flaw = "has a sample that is not of its population"
            elif row["batch"] is not None and known.get(row["batch"]) != row["facts"]:
                flaw = "does not hold the facts of its batch"
        except (ValueError, TypeError, AttributeError, zlib.error) as error:
            flaw = f"cannot be read: {error}"
        if flaw is not None:
            problems.append(f"audits: audit {row['number']} {flaw}")
    return problems


def _ids(row: RowMapping) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(zlib.decompress(row["population"]), dtype="<i8")


def _record(row: RowMapping) -> PastAudit:
    return PastAudit(**{**row, "population": len(_ids(row)), "sample": len(row["sample"])})
