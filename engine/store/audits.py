"""Audits as stored: the labels that were frozen with their digest, what was drawn of them, and how it ended.

At most one audit is open at a time, so that an answer belongs to one. Every transaction that writes is alone, so
looking before adding is enough.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from engine.errors import ConfigError, LedgerError
from engine.quality.frozen import along, frozen_digest, order_salt
from engine.quality.parts import ALL, Part
from engine.records.labels import Ack, Decision
from engine.records.quality import AuditRecord, AuditScope, FrozenLabels
from engine.store.audit_draws import DIGITS, asked_order, read_news
from engine.store.batches import record_batch
from engine.store.chain import read_head
from engine.store.database import GENESIS
from engine.store.facts import check_facts
from engine.store.rounds import read_round
from engine.store.rows import actor_flaw, now, plain
from engine.store.schema import audits, batches, entries, images, past_audits
from engine.store.unfinished import Job, read_jobs, write_down

SCOPES = ("export", "rule")
STATES = ("open", "closed")
_BLOBS = ("image_ids", "label_codes", "source_codes", "names", "sources", "suspicion", "trusted")
_LIGHT = tuple(column for column in audits.c if column.name not in _BLOBS)


class AuditFields(TypedDict):
    """What makes an audit.

    frozen: the labels, as they are in force once ledger entry `ledger_seq` is written. round: whose predictions are
    among them, None without one; thresholds: the rule that they follow, for the scope "rule". rate: the goal, the share
    wrong that is to be left at most, 0..1, None for no goal. alpha: the chance that the bound fails, 0..1, both
    excluded.
    """

    actor: str
    scope: AuditScope
    frozen: FrozenLabels
    ledger_seq: int
    alpha: float
    round: NotRequired[int | None]
    thresholds: NotRequired[Mapping[str, float] | None]
    rate: NotRequired[float | None]


def add_audit(connection: Connection, fields: AuditFields) -> AuditRecord:
    """Open an audit of these labels.

    Raises:
        LedgerError: another audit is open, or labels changed since `ledger_seq`.
        RoundState: there is no such round.
        ConfigError: an actor, scope, goal or labels that make no audit.
    """
    _check_none_open(connection)
    _check(fields)
    seq, head = read_head(connection)
    if seq != fields["ledger_seq"]:
        raise LedgerError("labels changed while they were frozen", value=seq, way_out="Freeze them again.")
    number, frozen = fields.get("round"), fields["frozen"]
    if number is not None:
        number = read_round(connection, int(number)).number
    last = [connection.scalar(select(func.max(table.c.number))) or 0 for table in (audits, past_audits)]
    audit, rate = max(last) + 1, fields.get("rate")
    row = {
        "number": audit, "created": now(), "actor": fields["actor"], "scope": fields["scope"], "round": number,
        "thresholds": plain(fields.get("thresholds")), "rate": None if rate is None else float(rate),
        "alpha": float(fields["alpha"]), "ledger_seq": seq, "ledger_hash": head, "salt": order_salt(head, audit),
        "digest": _digest(connection, frozen), "names": list(frozen.names), "sources": list(frozen.sources),
        "image_ids": _packed(frozen.image_ids, "<i8"), "label_codes": _packed(frozen.label_code, "<i4"),
        "source_codes": _packed(frozen.source_code, "i1"), "state": "open", "facts": {},
        "suspicion": None if frozen.suspicion is None else _packed(frozen.suspicion, "<f4"),
        "trusted": None if frozen.trusted is None else _packed(frozen.trusted, "<i8"),
    }  # fmt: skip
    connection.execute(insert(audits), row)
    return read_audit(connection, audit)


def _check(fields: AuditFields) -> None:
    if (flaw := actor_flaw(fields["actor"])) is not None:
        raise ConfigError(f"the actor of an audit {flaw}", value=repr(fields["actor"]))
    if fields["scope"] not in SCOPES or (fields["scope"] == "rule" and not fields.get("thresholds")):
        raise ConfigError("an audit is of an export, or of a rule with thresholds", value=fields["scope"])
    rate = fields.get("rate")
    if not 0.0 < fields["alpha"] < 1.0 or not (rate is None or 0.0 <= rate < 1.0):
        raise ConfigError(
            "the goal of an audit is outside 0 to 1",
            value=f"{rate}, wrong by a chance of {fields['alpha']}",
            way_out="Choose 0.01 for 1 %, and 0.05 for 95 % sure.",
        )
    if (flaw := _shape_flaw(fields["frozen"])) is not None:
        raise ConfigError(f"the labels of an audit {flaw}", way_out="Label some images first.")


def _shape_flaw(frozen: FrozenLabels) -> str | None:
    """What keeps these from being the labels of an audit; None where nothing does."""
    if not len(frozen):
        return "are none"
    if len(frozen.label_code) != len(frozen) or len(frozen.source_code) != len(frozen):
        return "differ in number from their images"
    if (np.diff(frozen.image_ids) <= 0).any():
        return "are not in the order of their images"
    if frozen.suspicion is not None and len(frozen.suspicion) != len(frozen):
        return "differ in number from their suspicions"
    if frozen.trusted is not None and np.isin(frozen.trusted, frozen.image_ids).any():
        return "are taken as right and audited"
    for codes, texts in ((frozen.label_code, frozen.names), (frozen.source_code, frozen.sources)):
        if codes.min() < 0 or codes.max() >= len(texts):
            return "name a class or source that is not listed"
    return None


def _digest(connection: Connection, frozen: FrozenLabels) -> str:
    """The digest of the frozen labels. Raises ConfigError where there is no such image."""
    shas = dict(connection.execute(select(images.c.id, images.c.sha256)).cursor.fetchall())
    labels, sources = np.array(frozen.names, object), np.array(frozen.sources, object)
    columns = (labels[frozen.label_code].tolist(), sources[frozen.source_code].tolist())
    rows = zip(frozen.image_ids.tolist(), *columns, strict=True)
    try:
        return frozen_digest(((number, shas[number], label, source) for number, label, source in rows), frozen.trusted)
    except KeyError as error:
        raise ConfigError("there is no such image to audit", value=error, way_out="Freeze the labels again.") from error


def close_audit(
    connection: Connection, number: int, facts: Mapping[str, Any] | None = None, batch: str | None = None
) -> AuditRecord:
    """End an open audit with what it showed, and with the batch it let in, if any.

    Raises:
        LedgerError: there is no such audit, or it was closed before; it stays as it is.
    """
    before = read_audit(connection, number)
    if before.state != "open":
        raise LedgerError(
            f"not saved: audit {number} is no longer open; it was closed",
            value=before.ended,
            way_out="Start a new audit, or reload the page.",
        )
    values = {"state": "closed", "ended": now(), "batch": batch, "facts": plain(facts or {})}
    connection.execute(update(audits).where(audits.c.number == before.number).values(values))
    return read_audit(connection, number)


def reopen_audit(connection: Connection, number: int) -> AuditRecord:
    """Take answers to a closed audit again: of the labels that it froze, along its orders, as the audit that it was.

    Raises:
        LedgerError: it is open, another one is, it let labels in, or there is no such audit; all stays as it is.
    """
    before = read_audit(connection, number)
    if before.batch is not None:
        raise LedgerError(
            f"audit {number} let its labels in and is over", value=before.batch, way_out="Start a new audit."
        )
    if any(job.subject.startswith(f"audit-{number}-") for job in read_jobs(connection)):
        raise LedgerError(f"audit {number} is letting its labels in", value=before.ended, way_out="Start a new audit.")
    _check_none_open(connection)
    connection.execute(update(audits).where(audits.c.number == before.number).values(state="open", ended=None))
    return read_audit(connection, number)


def _check_none_open(connection: Connection) -> None:
    waiting = connection.scalar(select(audits.c.number).where(audits.c.state == "open"))
    if waiting is not None:
        raise LedgerError(
            "another audit is open", value=f"audit {waiting}", way_out="Close it first; its answers stay."
        )


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
    refuse([ack for ack in acks if ack.status == "refused"], len(acks))
    recorded = any(ack.status == "saved" for ack in acks)
    close_audit(connection, number, facts, batch if recorded else None)
    return acks


def refuse(refused: Sequence[Ack], count: int) -> None:
    """Raise LedgerError where some of so many labels of an audit are refused."""
    if refused:
        raise LedgerError(
            f"not saved: {len(refused)} of {count} labels of the audit were refused",
            value=refused[0].message,
            way_out="Reload the page and accept again.",
        )


def begin_accept(
    connection: Connection, number: int, batch: str, facts: Mapping[str, Any], parts: Sequence[bytes]
) -> Job:
    """End an audit that lets in more than fits into one transaction, and write down what it lets in; the first part
    that is recorded notes the batch. The arguments are those of `accept_audit`, with its decisions in parts.

    Raises:
        LedgerError: the audit is not open; nothing is saved.
        ConfigError: the batch id does not hold the digest of the facts; nothing is saved.
    """
    check_facts(batch, facts)
    close_audit(connection, number, facts)
    return write_down(connection, "batch", batch, parts)


def read_audits(connection: Connection) -> list[AuditRecord]:
    """Return all audits, oldest first."""
    return [AuditRecord(**row) for row in connection.execute(select(*_LIGHT).order_by(audits.c.number)).mappings()]


def read_audit(connection: Connection, number: int) -> AuditRecord:
    """Return one audit.

    Raises:
        LedgerError: there is none with this number.
    """
    row = connection.execute(select(*_LIGHT).where(audits.c.number == int(number))).mappings().first()
    if row is None:
        raise LedgerError("there is no such audit", value=number, way_out="Choose one from the list.")
    return AuditRecord(**row)


def read_frozen(connection: Connection, number: int) -> FrozenLabels:
    """Return the labels that an audit froze; the arrays cannot be written.

    Raises:
        LedgerError: there is no audit with this number.
    """
    columns = [audits.c[name] for name in _BLOBS]
    row = connection.execute(select(*columns).where(audits.c.number == int(number))).mappings().first()
    if row is None:
        raise LedgerError("there is no such audit", value=number, way_out="Choose one from the list.")
    return _frozen(row)


def _frozen(row: RowMapping) -> FrozenLabels:
    return FrozenLabels(
        image_ids=_unpacked(row["image_ids"], "<i8").astype(np.int64),
        label_code=_unpacked(row["label_codes"], "<i4").astype(np.int32),
        source_code=_unpacked(row["source_codes"], "i1").astype(np.int8),
        names=tuple(row["names"]),
        sources=tuple(row["sources"]),
        suspicion=None if row["suspicion"] is None else _unpacked(row["suspicion"], "<f4").astype(np.float32),
        trusted=None if row["trusted"] is None else _unpacked(row["trusted"], "<i8").astype(np.int64),
    )


def _packed(numbers: NDArray[Any], kind: str) -> bytes:
    return zlib.compress(np.asarray(numbers, kind).tobytes(), 1)


def _unpacked(blob: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(blob), kind)


def find_flaws(connection: Connection) -> list[str]:
    """Return which audits do not hold together, one sentence each; empty when all do."""
    carrying = select(batches.c.batch, batches.c.facts).where(batches.c.batch.in_(select(audits.c.batch)))
    known = {row.batch: row.facts for row in connection.execute(carrying)}
    problems = []
    for row in connection.execute(select(audits).order_by(audits.c.number)).mappings():
        try:
            flaws = _flaws(connection, row, known)
        except (ValueError, TypeError, AttributeError, zlib.error, ConfigError) as error:
            flaws = [f"cannot be read: {error}"]
        problems += [f"audits: audit {row['number']} {flaw}" for flaw in flaws]
    return problems


def _flaws(connection: Connection, row: RowMapping, known: Mapping[str, Any]) -> list[str]:
    number, frozen = row["number"], _frozen(row)
    if row["state"] not in STATES or row["scope"] not in SCOPES:
        return [f"is in no known state: {row['scope']}, {row['state']}"]
    if (flaw := _shape_flaw(frozen)) is not None:
        return [f"holds labels that {flaw}"]
    flaws = []
    if row["digest"] != _digest(connection, frozen):
        flaws.append("does not hold the labels that its digest is of")
    head = connection.scalar(select(entries.c.hash).where(entries.c.seq == row["ledger_seq"]))
    if row["ledger_hash"] != (head or GENESIS) or row["salt"] != order_salt(row["ledger_hash"], number):
        flaws.append("does not have the order that its ledger entry gives")
    if row["batch"] is not None and known.get(row["batch"]) != row["facts"]:
        flaws.append("does not hold the facts of its batch")
    asked = select(entries.c.asked).where(entries.c.asked.startswith(f"audit {number} ")).distinct()
    digests = {str(text).split(" ")[2] for text in connection.scalars(asked)}
    if digests - {row["digest"][:DIGITS]}:
        flaws.append("has answers to other labels than those that it froze")
    return [*flaws, *_draw_flaws(connection, row, frozen)]


def _draw_flaws(connection: Connection, row: RowMapping, frozen: FrozenLabels) -> list[str]:
    """Which draws are not those that the orders give: each is the next of its order that nobody had looked at."""
    number = row["number"]
    news = read_news(connection, number, 0, row["ledger_seq"])
    ids = np.array([one.image_id for one in news.draws], np.int64)
    if not frozen.rows(ids)[1].all():
        return ["has drawn images that it did not freeze"]
    given = {one.seq: (one.image_id, asked_order(one.asked, number)) for one in news.said}
    seen = {one.image_id: one.seq for one in reversed(news.said) if one.undoes is None and one.action not in _UNDECIDED}
    for draw in reversed(news.draws):
        seen[draw.image_id] = min(draw.ledger_seq + 1, seen.get(draw.image_id, draw.ledger_seq + 1))
    flaws = []
    if any(given.get(draw.ledger_seq + 1, (0, None))[1] != draw.order for draw in news.draws):
        flaws.append("has drawn images with no answer of the ledger")
    for order in dict.fromkeys(draw.order for draw in news.draws):
        part = Part.parse(order)
        rows = np.arange(len(frozen)) if part == ALL else _rows_of(frozen, part)
        members = frozen.image_ids[rows]
        in_order = members[along(members, order_salt(row["ledger_hash"], number, part))]
        place = {image_id: at for at, image_id in enumerate(in_order.tolist())}
        drawn = [draw for draw in news.draws if draw.order == order]
        places = np.array([place.get(draw.image_id, -1) for draw in drawn], np.int64)
        if (places < 0).any() or (np.diff(places) < 0).any():
            flaws.append(f"did not draw along its order of {order}")
            continue
        passed = np.setdiff1d(np.arange(places[-1]), places)
        passed_at = [drawn[at].ledger_seq + 1 for at in np.searchsorted(places, passed).tolist()]
        if any(seen.get(int(in_order[at]), seq + 1) > seq for at, seq in zip(passed, passed_at, strict=True)):
            flaws.append(f"left images out of its order of {order}")
    return flaws


_UNDECIDED = frozenset({"skip", "unsure", "flag"})


def _rows_of(frozen: FrozenLabels, part: Part) -> NDArray[np.int64]:
    codes, names = (frozen.label_code, frozen.names) if part.kind == "class" else (frozen.source_code, frozen.sources)
    return np.flatnonzero(codes == names.index(part.name))
