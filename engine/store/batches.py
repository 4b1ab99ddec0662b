"""Decisions recorded together: writing them with their facts, and listing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, func, select

from engine.records.labels import Ack, Decision
from engine.records.quality import BatchInfo
from engine.store.facts import batch_id, read_facts, write_facts
from engine.store.ledger import LABELS, record
from engine.store.schema import entries
from engine.store.undo import BY_A_PERSON

__all__ = ["batch_id", "read_batches", "read_facts", "record_batch"]

_ENTRY = entries.c
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
