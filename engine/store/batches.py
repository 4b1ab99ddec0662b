"""Decisions recorded together: writing them with their facts, at once or part by part, and listing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, func, select, update

from engine.errors import StarlingError
from engine.records.labels import Ack, Asked, Decision, Suspected
from engine.records.quality import BatchInfo
from engine.store.facts import batch_id, read_facts, write_facts
from engine.store.ledger import LABELS, record
from engine.store.schema import audits, entries
from engine.store.undo import BY_A_PERSON
from engine.store.unfinished import Job, in_parts, packed

__all__ = ["batch_id", "read_batches", "read_facts", "record_batch"]

_ENTRY = entries.c
_FIELDS = tuple(one.name for one in fields(Decision))
_UNDOING = entries.alias("taking_back")


def record_batch(
    connection: Connection, decisions: Sequence[Decision], batch: str, facts: Mapping[str, Any] | None = None
) -> list[Ack]:
    """Record decisions that one undo takes back together, with their facts in the same transaction.

    Each decision is saved or answered on its own. Facts are kept only if at least one was saved.

    Raises:
        ConfigError: facts are given and the batch id does not hold their digest; nothing is saved.
    """
    acks = record(connection, [replace(decision, batch=batch) for decision in decisions])
    actors = [decision.actor for decision, ack in zip(decisions, acks, strict=True) if ack.status == "saved"]
    if facts is not None and actors:
        write_facts(connection, batch, actors[0], facts)
    return acks


def parts_of(
    decisions: Sequence[Decision], batch: str, facts: Mapping[str, Any] | None = None, audit: int | None = None
) -> list[bytes]:
    """Return sound and tidy decisions of one batch as they are written down, a part at a time.

    Args:
        decisions: as `engine.store.ledger.sort_out` leaves them.
        batch: what they are recorded under.
        facts: of the batch.
        audit: that lets them in.
    """
    same = {"batch": batch, "facts": facts, "audit": audit}
    return [packed({**same, "decisions": [_fields(one) for one in part]}) for part in in_parts(decisions)]


def do_part(connection: Connection, content: Mapping[str, Any], _: Job) -> tuple[None, list[Ack]]:
    """Record a part of a batch as `record_batch` records a whole one, and answer it. One that cannot be recorded is
    answered as refused: there is nobody left to whom an error could go."""
    decisions, batch = [_decision(one) for one in content["decisions"]], content["batch"]
    try:
        with connection.begin_nested():
            acks = record_batch(connection, decisions, batch, content["facts"])
    except StarlingError as error:
        return None, [Ack(one.uid, "refused", message=str(error)) for one in decisions]
    if content["audit"] is not None and any(ack.status == "saved" for ack in acks):
        connection.execute(update(audits).where(audits.c.number == content["audit"]).values(batch=batch))
    return None, acks


def _fields(decision: Decision) -> list[Any]:
    asked = decision.asked
    values = {name: getattr(decision, name) for name in _FIELDS}
    return list({**values, "asked": None if asked is None else [asked.audit, asked.order, asked.draws]}.values())


def _decision(values: Sequence[Any]) -> Decision:
    given = dict(zip(_FIELDS, values, strict=True))
    given["draws"] = tuple(given["draws"])
    given["suspected"] = tuple(Suspected(*one) for one in given["suspected"])
    if given["asked"] is not None:
        audit, order, draws = given["asked"]
        given["asked"] = Asked(audit, order, tuple(draws))
    return Decision(**given)


def read_batches(
    connection: Connection, limit: int, before: int | None, names: Collection[str] | None = None
) -> list[BatchInfo]:
    """Return at most `limit` batches of people's decisions, newest first; those with a smaller seq than `before`.

    Only those in `names` where given.

    `seq` is that of the batch's last decision, `time` that of its first. `label` and `action` are what all of its
    decisions have in common, None and "mixed" where they differ; a mark puts no label.
    """
    last = func.max(_ENTRY.seq)
    recent = select(_ENTRY.batch).where(_ENTRY.batch.is_not(None), BY_A_PERSON).group_by(_ENTRY.batch)
    if before is not None:
        recent = recent.having(last < int(before))
    if names is not None:
        recent = recent.where(_ENTRY.batch.in_(list(names)))
    chosen = list(connection.scalars(recent.order_by(last.desc()).limit(limit)))
    facts = read_facts(connection, chosen)
    batches = (_summary(connection, name) for name in chosen)
    return [
        BatchInfo(
            batch=row["batch"],
            actor=row["actor"],
            time=row["time"],
            seq=row["seq"],
            action=row["action"] if row["actions"] == 1 else "mixed",
            decisions=row["decisions"],
            undone=row["undone"],
            label=row["label"] if row["labels"] == 1 and row["labeling"] == row["decisions"] else None,
            facts=facts.get(row["batch"], {}),
        )
        for row in batches
    ]


def _summary(connection: Connection, name: str) -> RowMapping:
    label: ColumnElement[str | None] = case((_ENTRY.action.in_(LABELS), _ENTRY.label), else_=None)
    columns = (
        _ENTRY.batch,
        func.min(_ENTRY.actor).label("actor"),
        func.min(_ENTRY.time).label("time"),
        func.max(_ENTRY.seq).label("seq"),
        func.min(_ENTRY.action).label("action"),
        func.count(_ENTRY.action.distinct()).label("actions"),
        func.count().label("decisions"),
        func.count(_UNDOING.c.seq).label("undone"),
        func.min(label).label("label"),
        func.count(label.distinct()).label("labels"),
        func.count(label).label("labeling"),
    )
    rows = select(*columns).select_from(entries.outerjoin(_UNDOING, _UNDOING.c.undoes == _ENTRY.seq))
    query = rows.where(_ENTRY.batch == name, BY_A_PERSON).group_by(_ENTRY.batch)
    return connection.execute(query).mappings().one()
