"""The ledger of labels: what is recorded, under which rule, and how it is read back.

One decision becomes one entry, if it was made on the version in force (compare and set) and its uid is new.
The entry and the projection change in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, TypedDict, cast

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from engine.records.labels import (
    ACCEPTED,
    Ack,
    Action,
    Decision,
    LabelSource,
    LabelState,
    LedgerEntry,
    Mark,
)
from engine.store import audit_draws
from engine.store.bulk import insert_rows
from engine.store.chain import entry_hash, read_head, write_head
from engine.store.measured import MEASURES, Drawing, add_draws
from engine.store.projection import load_states, row_of
from engine.store.rows import CHUNK, INTEGER_MAX, actor_flaw, chunks, nfc, now, text_flaw
from engine.store.schema import classes, current_labels, entries
from engine.store.sources import is_alone, source_of_accepted

LABELS = frozenset({"label", "correct", "accept"})
_MARKS = frozenset({"reject", "skip", "unsure", "flag"})
# What each decision needs is asked with statements made once: to make one anew costs three times what SQLite takes.
_OF_UIDS = select(entries.c.uid, entries.c.seq, entries.c.image_id, entries.c.action).where(
    entries.c.uid.in_(bindparam("uids", expanding=True))
)
_OF_NAMES = select(classes.c.name).where(classes.c.name.in_(bindparam("names", expanding=True)))
_CHANGE_LABELS = update(current_labels).where(current_labels.c.image_id == bindparam("changed"))


@dataclass(frozen=True)
class Draft:
    """An entry before it has its place in the chain; see LedgerEntry."""

    uid: str
    image_id: int
    action: str
    actor: str
    label: str | None
    source: LabelSource | None
    reviewed: bool
    mark: Mark | None
    round: int | None = None
    confidence: float | None = None
    batch: str | None = None
    undoes: int | None = None
    seconds: float | None = None
    seen_seconds: float | None = None
    asked: str | None = None


class Appending:
    """Entries being added in one writing transaction: `states` follows each, `flush` writes them all.

    Args:
        connection: of the transaction.
        image_ids: the images that the entries are about.
        time: of the entries; now when None.
    """

    def __init__(self, connection: Connection, image_ids: Iterable[int], time: str | None = None) -> None:
        self._connection = connection
        self._seq, self._hash = read_head(connection)
        self._time = time or now()
        self._rows: list[dict[str, Any]] = []
        self.states = load_states(connection, image_ids)
        self._without_row = {number for number, state in self.states.items() if state.version == 0}

    def add(self, draft: Draft) -> LabelState:
        """Put one entry at the end of the chain, based on the version in force; return the state after it."""
        self._seq += 1
        row = {
            **vars(draft),
            "seq": self._seq,
            "base_version": self.states[draft.image_id].version,
            "reviewed": int(draft.reviewed),
            "time": self._time,
            "prev_hash": self._hash,
        }
        row["hash"] = self._hash = entry_hash(row)
        self._rows.append(row)
        accepted = draft.source in ACCEPTED
        state = LabelState(
            image_id=draft.image_id,
            version=self._seq,
            label=draft.label,
            source=draft.source,
            round=draft.round if accepted else None,
            confidence=draft.confidence if accepted else None,
            reviewed=draft.reviewed,
            mark=draft.mark,
        )
        self.states[draft.image_id] = state
        return state

    def flush(self) -> None:
        """Write the entries, the projection and the new head."""
        if not self._rows:
            return
        insert_rows(self._connection, entries, self._rows)
        touched = [row_of(self.states[number]) for number in {row["image_id"] for row in self._rows}]
        fresh = [row for row in touched if row["image_id"] in self._without_row]
        known = [row for row in touched if row["image_id"] not in self._without_row]
        insert_rows(self._connection, current_labels, fresh)
        if known:
            self._connection.execute(_CHANGE_LABELS, [{**row, "changed": row["image_id"]} for row in known])
        write_head(self._connection, self._seq, self._hash)


def record(connection: Connection, decisions: Sequence[Decision]) -> list[Ack]:
    """Record each decision that is right and based on the version in force; answer every one, in order."""
    sound, flaws = sort_out(decisions)
    earlier = find_uids(connection, [decision.uid for decision in sound])
    labels = {decision.label for decision in sound if decision.label is not None}
    names = _known_classes(connection, labels | {nfc(label) for label in labels})
    appending = Appending(connection, (decision.image_id for decision in sound))
    numbers = {decision.asked.audit for decision in sound if decision.asked is not None}
    digests = audit_draws.read_open_digests(connection, numbers) if numbers else {}
    following = iter(sound)
    acks = [flaw or _decide(next(following), appending, earlier, names, digests) for flaw in flaws]
    appending.flush()
    saved = [
        (decision, ack.seq - 1)
        for decision, ack in zip(decisions, acks, strict=True)
        if ack.status == "saved" and ack.seq is not None
    ]
    add_draws(connection, [Drawing(one.draws, seq, one.suspected) for one, seq in saved if one.draws])
    audit_draws.add_draws(connection, [(one.asked, seq) for one, seq in saved if one.asked is not None])
    return acks


def sort_out(decisions: Sequence[Decision]) -> tuple[list[Decision], list[Ack | None]]:
    """Return the decisions that can be recorded, with Python's own numbers; and for each decision the answer to one
    that cannot, whatever is in the database, None where it can."""
    flaws = [_flaw(decision) for decision in decisions]
    sound = [_tidy(decision) for decision, flaw in zip(decisions, flaws, strict=True) if flaw is None]
    refusals = [
        None if flaw is None else Ack(decision.uid, "refused", message=flaw)
        for decision, flaw in zip(decisions, flaws, strict=True)
    ]
    return sound, refusals


def answer_again(connection: Connection, decisions: Sequence[Decision]) -> list[Ack]:
    """Answer decisions that another process recorded: saved where they are in the ledger, else in conflict."""
    earlier = find_uids(connection, [decision.uid for decision in decisions])
    states = load_states(connection, (decision.image_id for decision in decisions))
    message = "not saved: the image was changed since it was shown, or the batch was taken back"
    return [
        Ack(one.uid, "saved", states.get(one.image_id), earlier[one.uid][0])
        if one.uid in earlier
        else Ack(one.uid, "conflict", states.get(one.image_id), message=message)
        for one in decisions
    ]


def find_refusals(connection: Connection, decisions: Sequence[Decision]) -> list[Ack]:
    """Return the answers to those of these decisions that are to be refused, whatever is in force."""
    sound, flaws = sort_out(decisions)
    refused = [flaw for flaw in flaws if flaw is not None]
    labels = {decision.label for decision in sound if decision.label is not None}
    names = _known_classes(connection, labels | {nfc(label) for label in labels})
    states = load_states(connection, (decision.image_id for decision in sound))
    earlier = find_uids(connection, [decision.uid for decision in sound])
    for one in sound:
        if one.image_id not in states:
            refused.append(Ack(one.uid, "refused", message=f"there is no image {one.image_id}"))
        elif one.action in LABELS and (one.label is None or not {one.label, nfc(one.label)} & names):
            refused.append(Ack(one.uid, "refused", message=f"there is no class {one.label!r}"))
        elif one.uid in earlier and earlier[one.uid][1:] != (one.image_id, one.action):
            refused.append(Ack(one.uid, "refused", message="this uid was used for another decision"))
    return refused


def _decide(
    decision: Decision,
    appending: Appending,
    earlier: dict[str, tuple[int, int, str]],
    names: set[str],
    digests: Mapping[int, str],
) -> Ack:
    uid, state = decision.uid, appending.states.get(decision.image_id)
    if uid in earlier:
        seq, image_id, action = earlier[uid]
        if (image_id, action) != (decision.image_id, decision.action):
            return Ack(uid, "refused", state, message="this uid was used for another decision")
        return Ack(uid, "duplicate", state, seq, "this decision was saved before")
    if state is None:
        return Ack(uid, "refused", message=f"there is no image {decision.image_id}")
    if decision.action in LABELS and decision.label not in names:
        if decision.label is None or nfc(decision.label) not in names:
            return Ack(uid, "refused", state, message=f"there is no class {decision.label!r}")
        decision = replace(decision, label=nfc(decision.label))
    if decision.base_version != state.version:
        return Ack(uid, "conflict", state, message="not saved: the image was changed since it was shown")
    asked = decision.asked
    if asked is not None and asked.audit not in digests:
        return Ack(uid, "refused", state, message=f"audit {asked.audit} is not open")
    text = MEASURES if decision.blind else None
    if asked is not None:
        text = audit_draws.asked_text(digests[asked.audit], asked)
    after = appending.add(replace(_draft(decision, state), asked=text))
    earlier[uid] = (after.version, decision.image_id, decision.action)
    return Ack(uid, "saved", after, after.version)


def _draft(decision: Decision, before: LabelState) -> Draft:
    labels = decision.action in LABELS
    keeps_label = not labels and before.source in ACCEPTED  # a mark keeps the label and where it came from
    shown = (decision.batch, decision.seconds, decision.seen_seconds)
    given: LabelSource = source_of_accepted(*shown) if decision.action == "accept" else "human"
    return Draft(
        uid=decision.uid,
        image_id=decision.image_id,
        action=decision.action,
        actor=decision.actor,
        label=decision.label if labels else before.label,
        source=given if labels else before.source,
        reviewed=is_alone(*shown) if labels else before.reviewed,
        mark=None if labels else cast(Mark, decision.action),
        round=before.round if keeps_label else decision.round,
        confidence=before.confidence if keeps_label else decision.confidence,
        batch=decision.batch,
        seconds=decision.seconds,
        seen_seconds=decision.seen_seconds,
    )


def _flaw(decision: Decision) -> str | None:
    """Return why a decision cannot be recorded whatever is in the database; None when it can."""
    if (flaw := actor_flaw(decision.actor)) is not None:
        return f"the actor {flaw}"
    texts = {"uid": decision.uid}
    texts |= {} if decision.batch is None else {"batch": decision.batch}
    for name, text in texts.items():
        if (flaw := text_flaw(text)) is not None:
            return f"the {name} {flaw}"
    if decision.action not in LABELS and decision.action not in _MARKS:
        return f"a person cannot record the action {decision.action!r}"
    if decision.label is not None and text_flaw(decision.label) is not None:
        return f"the label {text_flaw(decision.label)}"
    whole = {"image": decision.image_id, "base version": decision.base_version}
    whole |= {} if decision.round is None else {"round": decision.round}
    for name, number in whole.items():
        if not isinstance(number, Integral) or not 0 <= int(number) <= INTEGER_MAX:
            return f"the {name} is not a whole number from 0 to {INTEGER_MAX}"
    if decision.confidence is not None and not _within(decision.confidence, 1.0):
        return "the confidence is not a number from 0 to 1"
    for seconds in (decision.seconds, decision.seen_seconds):
        if seconds is not None and not _within(seconds, math.inf):
            return "the seconds are not a number from 0 up"
    if decision.seconds is not None and decision.seen_seconds is not None:
        return "the image was in front alone or as a tile, not both: only one of seconds and seen_seconds can be given"
    return None


def _within(number: object, highest: float) -> bool:
    return isinstance(number, Real) and math.isfinite(number) and 0.0 <= float(number) <= highest


def _tidy(decision: Decision) -> Decision:
    """Return the decision with Python's own numbers, so that its hash does not depend on who made it."""
    return replace(
        decision,
        image_id=int(decision.image_id),
        base_version=int(decision.base_version),
        round=None if decision.round is None else int(decision.round),
        confidence=None if decision.confidence is None else float(decision.confidence),
        seconds=None if decision.seconds is None else float(decision.seconds),
        seen_seconds=None if decision.seen_seconds is None else float(decision.seen_seconds),
    )


def find_uids(connection: Connection, uids: Sequence[str]) -> dict[str, tuple[int, int, str]]:
    """Return (seq, image id, action) of the uids that are recorded already."""
    return {
        row.uid: (row.seq, row.image_id, row.action)
        for chunk in chunks(uids)
        for row in connection.execute(_OF_UIDS, {"uids": chunk})
    }


def _known_classes(connection: Connection, labels: set[str]) -> set[str]:
    return {name for chunk in chunks(sorted(labels)) for name in connection.scalars(_OF_NAMES, {"names": chunk})}


def entry_of(row: RowMapping) -> LedgerEntry:
    """Return a ledger row as the record other rooms see."""
    return LedgerEntry(**{**row, "reviewed": bool(row["reviewed"])})


def read_head_seq(connection: Connection) -> int:
    """Return the seq of the last entry; 0 when the ledger is empty."""
    return connection.scalar(select(func.max(entries.c.seq))) or 0


class Same(TypedDict, total=False):
    """What entries can be asked to have; None asks for nothing."""

    actor: str | None
    action: Action | None
    batch: str | None


def read_history(
    connection: Connection, image_id: int | None, limit: int, before: int | None, same: Same
) -> list[LedgerEntry]:
    """Return at most `limit` entries, newest first; of one image, older than seq `before`, by `same`, if given."""
    query = select(entries).order_by(entries.c.seq.desc()).limit(limit)
    if image_id is not None:
        query = query.where(entries.c.image_id == int(image_id))
    if before is not None:
        query = query.where(entries.c.seq < int(before))
    for name, value in same.items():
        if value is not None:
            query = query.where(entries.c[name] == value)
    return [entry_of(row) for row in connection.execute(query).mappings()]


def read_after(connection: Connection, seq: int, limit: int = CHUNK) -> list[LedgerEntry]:
    """Return at most `limit` entries after `seq`, oldest first."""
    query = select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(limit)
    return [entry_of(row) for row in connection.execute(query).mappings()]
