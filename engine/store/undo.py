"""Taking decisions back: nothing is erased, an `undo` entry puts the state before it in force again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, or_, select

from engine.errors import LedgerError, NothingToUndo
from engine.records.labels import Ack
from engine.store import unfinished
from engine.store.ledger import Appending, Draft
from engine.store.projection import load_states, state_after
from engine.store.rows import actor_flaw, chunks, text_flaw
from engine.store.schema import entries
from engine.store.sources import Origins, RuleBatches
from engine.store.unfinished import Job, cross_out_about, in_parts, packed, write_down

_ENTRY = entries.c
_UNDOING = entries.alias("undoing")
BY_A_PERSON = _ENTRY.action.not_in(("import", "undo"))
NOT_UNDONE = ~select(_UNDOING.c.seq).where(_UNDOING.c.undoes == _ENTRY.seq).exists()


def undo(connection: Connection, uid: str, actor: str, target: str | None, *, anyones: bool = False) -> list[Ack] | Job:
    """Take back a decision or a batch; one answer for each of its entries, newest first.

    What is too much for one transaction is written down, to be taken back in parts. What is still to be recorded of a
    batch is not recorded any more.

    `conflict`: a later decision on the image is in force, which the undo would overwrite; it stays.

    Args:
        connection: of the transaction.
        uid: of the undo.
        actor: who takes back.
        target: uid or batch of what is taken back; the actor's last one when None.
        anyones: take back what another person decided too.

    Raises:
        LedgerError: the uid or the actor is no clean text, the actor is no person, the uid belongs to a decision, or
            another person decided the target.
        NothingToUndo: no such decision is left to take back.
    """
    for name, flaw in (("uid", text_flaw(uid)), ("actor", actor_flaw(actor))):
        if flaw is not None:
            raise LedgerError(f"not saved: the {name} {flaw}", way_out="Reload the page and do it again.")
    repeated = answer_again(connection, uid)
    if repeated:
        return repeated
    if target is not None:
        cross_out_about(connection, "batch", target)
    targets = _last_of(connection, actor) if target is None else _named(connection, target)
    if not targets:
        raise NothingToUndo(
            "no decision is left to take back", value=target or actor, way_out="Change the label instead."
        )
    others = {one for _, one, _ in targets} - {actor}
    if others and not anyones:
        raise LedgerError(
            "not taken back: another person decided this",
            value=", ".join(sorted(others)),
            way_out="Change the label instead, or let that person or a reviewer (starling ui --reviewer NAME) undo it.",
        )
    seqs = [seq for seq, _, _ in targets]
    if len(seqs) <= unfinished.PART:
        return _take_back(connection, uid, actor, seqs, batch=uid if len(seqs) > 1 else None)
    parts = [
        packed({"uid": uid, "actor": actor, "seqs": part, "first": at * unfinished.PART})
        for at, part in enumerate(in_parts(seqs))
    ]
    return write_down(connection, "undo", target or uid, parts)


def do_part(connection: Connection, content: Mapping[str, Any], _: Job) -> tuple[None, list[Ack]]:
    """Take back a part of what `undo` has written down, and answer it."""
    uid, actor, seqs, first = (content[name] for name in ("uid", "actor", "seqs", "first"))
    return None, _take_back(connection, uid, actor, seqs, batch=uid, first=first)


def answer_again(connection: Connection, uid: str) -> list[Ack]:
    """Answer an undo that was done before; empty where this uid undid nothing. Raises LedgerError where it is that of a
    decision."""
    same = or_(_ENTRY.uid == uid, and_(_ENTRY.action == "undo", _ENTRY.batch == uid))
    query = select(_ENTRY.seq, _ENTRY.image_id, _ENTRY.action).where(same).order_by(_ENTRY.seq)
    rows = connection.execute(query).all()
    if any(row.action != "undo" for row in rows):
        raise LedgerError("not saved: this uid belongs to a decision", value=uid, way_out="Undo with a uid of its own.")
    states = load_states(connection, {row.image_id for row in rows})
    return [Ack(uid, "duplicate", states[row.image_id], row.seq, "this was taken back before") for row in rows]


_Target = tuple[int, str, str | None]
"""Seq, actor and batch of an entry that can be taken back."""


def _targets(connection: Connection, query: Select[_Target]) -> list[_Target]:
    """The driver's own tuples, newest first: a batch may have 100,000, and nobody else can write meanwhile."""
    return list(connection.execute(query.order_by(_ENTRY.seq.desc())).cursor.fetchall())


def _last_of(connection: Connection, actor: str) -> list[_Target]:
    own = select(_ENTRY.seq, _ENTRY.actor, _ENTRY.batch).where(_ENTRY.actor == actor, BY_A_PERSON, NOT_UNDONE)
    last = _targets(connection, own.limit(1))
    if not last or last[0][2] is None:
        return last
    whole = _targets(connection, own.where(_ENTRY.batch == last[0][2]))
    if len(whole) > 1:
        raise LedgerError(
            f"not taken back: the last thing was a batch of {len(whole):,} decisions",
            way_out="Undo it on the History page, where you see what it holds.",
        )
    return whole


def _named(connection: Connection, target: str) -> list[_Target]:
    named = or_(_ENTRY.uid == target, _ENTRY.batch == target)
    query = select(_ENTRY.seq, _ENTRY.actor, _ENTRY.batch).where(named, BY_A_PERSON, NOT_UNDONE)
    return _targets(connection, query)


def _take_back(
    connection: Connection, uid: str, actor: str, seqs: Sequence[int], *, batch: str | None, first: int = 0
) -> list[Ack]:
    """Take back those of these entries, newest first, that nobody took back yet; `first` is the place of the first one
    in what the undo takes back, so that each has a uid of its own."""
    query = select(entries).where(NOT_UNDONE).order_by(_ENTRY.seq.desc())
    targets = [row for part in chunks(seqs) for row in connection.execute(query.where(_ENTRY.seq.in_(part))).mappings()]
    appending = Appending(connection, {row["image_id"] for row in targets})
    by_seq, standing, origins = _standing(connection, sorted(appending.states))
    by_rule = RuleBatches(connection)
    acks: list[Ack] = []
    saved = 0
    for row in targets:
        image_id, stack = row["image_id"], standing[row["image_id"]]
        if stack[-1] != row["seq"]:
            message = "not taken back: a later decision on this image is in force"
            acks.append(Ack(uid, "conflict", appending.states[image_id], message=message))
            continue
        stack.pop()
        before = by_seq.get(row["base_version"])
        state_before = None if before is None else state_after(before, origins.of(before["seq"]), by_rule)
        draft = Draft(
            uid=f"{uid}/{first + saved}" if first + saved else uid,
            image_id=image_id,
            action="undo",
            actor=actor,
            label=None if before is None else before["label"],
            source=None if state_before is None else state_before.source,
            reviewed=state_before is not None and state_before.reviewed,
            mark=None if before is None else before["mark"],
            round=None if before is None else before["round"],
            confidence=None if before is None else before["confidence"],
            batch=batch,
            undoes=row["seq"],
        )
        saved += 1
        state = appending.add(draft)
        acks.append(Ack(uid, "saved", state, state.version))
    appending.flush()
    return acks


def _standing(
    connection: Connection, image_ids: Sequence[int]
) -> tuple[dict[int, RowMapping], dict[int, list[int]], Origins]:
    """Return every entry of the images by seq, for each image the seqs not taken back, oldest first, and which entry
    gave each label."""
    by_seq: dict[int, RowMapping] = {}
    standing: dict[int, list[int]] = defaultdict(list)
    origins = Origins()
    for chunk in chunks(image_ids):
        query = select(entries).where(_ENTRY.image_id.in_(chunk)).order_by(_ENTRY.seq)
        for row in connection.execute(query).mappings():
            by_seq[row["seq"]] = row
            origins.follow(row)
            if row["undoes"] is None:
                standing[row["image_id"]].append(row["seq"])
            else:
                standing[row["image_id"]].remove(row["undoes"])
    return by_seq, standing, origins
