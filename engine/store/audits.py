"""Audits as stored: the images a rule would accept, a random sample of them, and how it ended.

At most one audit is open at a time. Every transaction that writes is alone, so looking before adding is enough.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from engine.errors import ConfigError, LedgerError
from engine.records.labels import Ack, Decision
from engine.records.quality import AuditRecord
from engine.store.batches import record_batch
from engine.store.ledger import read_head_seq
from engine.store.rounds import read_round
from engine.store.rows import now, plain, text_flaw
from engine.store.schema import audits, batches

STATES = ("open", "accepted", "abandoned")
AuditEnd = Literal["accepted", "abandoned"]
Ids = Sequence[int] | NDArray[np.int64]


class AuditFields(TypedDict):
    """What makes an audit.

    round and thresholds: the rule. level: one-sided confidence of its bound, between 0 and 1. population: (N,) the ids
    of the images the rule would accept; sample: (M,) those to look at, drawn from it. ledger_seq: the ledger entry the
    population was found at; the last one if not said.
    """

    actor: str
    round: int
    thresholds: Mapping[str, float]
    level: float
    population: Ids
    sample: Ids
    ledger_seq: NotRequired[int]


def add_audit(connection: Connection, fields: AuditFields) -> AuditRecord:
    """Open an audit; its `look` counts all audits of its round, this one included.

    Raises:
        LedgerError: another audit is open.
        RoundState: there is no such round.
        ConfigError: a level, actor, population or sample that makes no audit.
    """
    waiting = connection.scalar(select(audits.c.number).where(audits.c.state == "open"))
    if waiting is not None:
        raise LedgerError("another audit is open", value=f"audit {waiting}", way_out="Finish it or abandon it first.")
    population, sample = (np.asarray(fields[name], dtype="<i8") for name in ("population", "sample"))
    _check(fields["actor"], fields["level"], population, sample)
    number = read_round(connection, int(fields["round"])).number
    earlier = select(func.count()).select_from(audits).where(audits.c.round == number)
    row = {
        "number": (connection.scalar(select(func.max(audits.c.number))) or 0) + 1,
        "created": now(),
        "actor": fields["actor"],
        "round": number,
        "thresholds": plain(fields["thresholds"]),
        "level": float(fields["level"]),
        "look": 1 + (connection.scalar(earlier) or 0),
        "ledger_seq": int(fields["ledger_seq"]) if "ledger_seq" in fields else read_head_seq(connection),
        "population": zlib.compress(population.tobytes()),
        "sample": sample.tolist(),
        "state": "open",
        "batch": None,
        "facts": {},
    }
    connection.execute(insert(audits), row)
    return read_audit(connection, row["number"])


def _check(actor: str, level: float, population: NDArray[np.int64], sample: NDArray[np.int64]) -> None:
    if (flaw := text_flaw(actor)) is not None:
        raise ConfigError(f"the actor of an audit {flaw}", value=repr(actor))
    if not 0.0 < level < 1.0:
        raise ConfigError("the level of an audit must lie between 0 and 1", value=level, way_out="Try 0.95.")
    for name, ids in (("population", population), ("sample", sample)):
        if ids.ndim != 1 or not len(ids) or len(np.unique(ids)) < len(ids):
            raise ConfigError(
                f"the {name} of an audit must be distinct images, at least one",
                value=f"{ids.size} ids",
                way_out="Choose a rule that accepts some images.",
            )
    strange = np.setdiff1d(sample, population)
    if len(strange):
        raise ConfigError(
            "the sample of an audit must come from its population",
            value=f"image {strange[0]}",
            way_out="Draw it from the images that would be accepted.",
        )


def close_audit(
    connection: Connection,
    number: int,
    state: AuditEnd,
    batch: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> AuditRecord:
    """End an open audit: accepted with its batch and what was found, or abandoned.

    Raises:
        LedgerError: there is no such audit, or it was ended before; it stays as it is.
        ConfigError: `state` is no end of an audit.
    """
    if state not in STATES[1:]:
        raise ConfigError("an audit ends accepted or abandoned, not", value=state)
    before = read_audit(connection, number)
    if before.state != "open":
        raise LedgerError(
            f"not saved: audit {number} is no longer open; it was",
            value=before.state,
            way_out="Start a new audit, or reload the page.",
        )
    values = {"state": state, "batch": batch, "facts": plain(facts or {})}
    connection.execute(update(audits).where(audits.c.number == before.number).values(values))
    return read_audit(connection, number)


def accept_audit(
    connection: Connection, number: int, decisions: Sequence[Decision], batch: str, facts: Mapping[str, Any]
) -> list[Ack]:
    """Record what an audit lets in, its facts, and its end, in the one transaction of the connection.

    An image that was changed meanwhile is answered as a conflict and keeps what it has. Without any saved decision
    the audit ends without a batch.

    Raises:
        LedgerError: the audit is not open, or a decision is refused; nothing is saved.
        ConfigError: the batch id does not hold the digest of the facts; nothing is saved.
    """
    acks = record_batch(connection, decisions, batch, facts)
    refused = [ack for ack in acks if ack.status == "refused"]
    if refused:
        raise LedgerError(
            f"not saved: {len(refused)} of {len(acks)} labels of the audit were refused",
            value=refused[0].message,
            way_out="Reload the page and accept again.",
        )
    recorded = any(ack.status == "saved" for ack in acks)
    close_audit(connection, number, "accepted", batch if recorded else None, facts)
    return acks


def read_audits(connection: Connection) -> list[AuditRecord]:
    """Return all audits, oldest first."""
    return [_record(row) for row in connection.execute(select(audits).order_by(audits.c.number)).mappings()]


def read_audit(connection: Connection, number: int) -> AuditRecord:
    """Return one audit.

    Raises:
        LedgerError: there is none with this number.
    """
    row = connection.execute(select(audits).where(audits.c.number == int(number))).mappings().first()
    if row is None:
        raise LedgerError("there is no such audit", value=number, way_out="Choose one from the list.")
    return _record(row)


def find_flaws(connection: Connection) -> list[str]:
    """Return which audits do not hold together, one sentence each; empty when all do."""
    carrying = select(batches.c.batch, batches.c.facts).where(batches.c.batch.in_(select(audits.c.batch)))
    known = {row.batch: row.facts for row in connection.execute(carrying)}
    problems = []
    for row in connection.execute(select(audits).order_by(audits.c.number)).mappings():
        try:
            flaw = _flaw(_record(row), known)
        except (ValueError, TypeError, AttributeError, zlib.error) as error:
            flaw = f"cannot be read: {error}"
        if flaw is not None:
            problems.append(f"audits: audit {row['number']} {flaw}")
    return problems


def _flaw(record: AuditRecord, known: Mapping[str, Any]) -> str | None:
    if record.state not in STATES:
        return f"is in no known state: {record.state}"
    if not np.isin(record.sample, record.population).all():
        return "has a sample that is not of its population"
    if record.batch is not None and known.get(record.batch) != record.facts:
        return "does not hold the facts of its batch"
    return None


def _record(row: RowMapping) -> AuditRecord:
    ids = np.frombuffer(zlib.decompress(row["population"]), dtype="<i8").astype(np.int64)
    ids.setflags(write=False)
    return AuditRecord(**{**row, "population": ids, "sample": tuple(row["sample"])})
