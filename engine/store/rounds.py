"""Rounds as stored: at most one active, moved only along the table below, fenced by a token per attempt.

The unique index on `active` decides between two that start at once. The token decides between two attempts of
the same round: whoever holds an old one can change nothing any more. Each round has a digest over all but what its
worker last said (`seals`): one that differs is told as failed, without its report, and is not moved.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, Connection, RowMapping, Select, Text, cast, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from engine.errors import RESTORE, ConfigError, ProjectCorrupt, RoundActive, RoundState
from engine.records.rounds import ACTIVE_STATES, LIVE, RESUMABLE_STATES, RoundRecord, RoundReport, RoundStateName
from engine.store import seals
from engine.store.ledger import read_head_seq
from engine.store.rows import now, plain, text_flaw
from engine.store.schema import rounds

MOVES: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"running", "cancelling", "cancelled", "failed"}),
    "running": frozenset({"cancelling", "finished", "failed", "interrupted"}),
    "cancelling": frozenset({"cancelled", "finished", "failed", "interrupted"}),
    "interrupted": frozenset({"queued"}),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "finished": frozenset({"promoted", "held_back"}),
    "promoted": frozenset(),
    "held_back": frozenset(),
}
FIELDS = frozenset({"started", "ended", "progress", "error", "report", "pid", "pid_created"})
DAMAGED = "RoundDamaged"
"""The kind of a round's error where the round is not what was written."""
_JSON = tuple(column.name for column in rounds.columns if isinstance(column.type, JSON))
_TEXTS = [cast(column, Text).label(column.name) if column.name in _JSON else column for column in rounds.columns]


def queue_round(connection: Connection, algorithm: str, config: Mapping[str, Any]) -> RoundRecord:
    """Add a queued round that pins the ledger as it is now.

    Raises:
        RoundActive: another round is queued, running or being cancelled.
        ConfigError: the algorithm's name is not clean text.
    """
    if (flaw := text_flaw(algorithm)) is not None:
        raise ConfigError(f"the algorithm {flaw}", value=repr(algorithm))
    try:
        with connection.begin_nested():
            return _added(connection, algorithm, config, state="queued", active=1)
    except IntegrityError as error:
        raise _already_active(connection) from error


def begin_live(connection: Connection, algorithm: str, config: Mapping[str, Any]) -> RoundRecord:
    """Add a live round: in force from the start, written anew with each refit (`update_live`) until it is ended.

    It takes no place among the active rounds, so that another one may train beside it.

    Raises:
        ConfigError: the algorithm's name is not clean text.
    """
    if (flaw := text_flaw(algorithm)) is not None:
        raise ConfigError(f"the algorithm {flaw}", value=repr(algorithm))
    return _added(connection, algorithm, config, state="promoted", active=None, started=now(), progress={LIVE: True})


def update_live(
    connection: Connection, number: int, token: str, report: Mapping[str, Any], seq: int, live: bool
) -> RoundRecord:
    """Replace a live round's report and the ledger entry it knows; not live: it is ended and stays as it is.

    Raises:
        RoundState: no such round, the token is not its own, or it was ended.
    """
    _fence_live(_sound_round(connection, number), token)
    ended = None if live else now()
    values = {"report": plain(report), "ledger_seq": seq, "progress": {LIVE: live}, "ended": ended}
    connection.execute(update(rounds).where(rounds.c.number == number).values(values))
    return _sealed(connection, number)


def describe_live(connection: Connection, number: int, token: str, config: Mapping[str, Any]) -> RoundRecord:
    """Replace the settings of a live round, which goes on with other features.

    Raises:
        RoundState: no such round, the token is not its own, or it was ended.
    """
    _fence_live(_sound_round(connection, number), token)
    connection.execute(update(rounds).where(rounds.c.number == number).values(config=plain(config)))
    return _sealed(connection, number)


def _added(connection: Connection, algorithm: str, config: Mapping[str, Any], **fields: Any) -> RoundRecord:
    """Add a round with the next number that pins the ledger as it is now."""
    number = (connection.scalar(select(func.max(rounds.c.number))) or 0) + 1
    row = {
        "number": number,
        "algorithm": algorithm,
        "config": plain(config),
        "ledger_seq": read_head_seq(connection),
        "created": now(),
        "progress": {},
        "token": secrets.token_hex(16),
        "attempt": 1,
        "uid": secrets.token_hex(16),
    }
    connection.execute(insert(rounds), row | fields)
    return _sealed(connection, number)


def transition(
    connection: Connection, number: int, to: RoundStateName, token: str | None, fields: Mapping[str, Any]
) -> RoundRecord:
    """Move a round to another state and set fields; `started` and `ended` are filled in by the move.

    A move back to `queued` is a resume: one attempt more, a new token, what the last attempt left is cleared.

    Raises:
        RoundState: no such round, no such move, or the token is not the one of this attempt.
        RoundActive: a resume while another round is active.
        ConfigError: a field no transition sets.
        ProjectCorrupt: the round is not what was written.
    """
    unknown = set(fields) - FIELDS
    if unknown:
        raise ConfigError("a transition cannot set this field", value=min(unknown))
    before = _sound_round(connection, number)
    _fence(before, token)
    if to not in MOVES[before.state]:
        raise RoundState(f"round {number} cannot go from {before.state} to", value=to, way_out="Reload the page.")
    values: dict[str, Any] = {"state": to, "active": 1 if to in ACTIVE_STATES else None}
    if to == "queued":
        cleared = dict.fromkeys(("started", "ended", "error", "report", "pid", "pid_created"))
        values |= {**cleared, "token": secrets.token_hex(16), "attempt": before.attempt + 1}
    elif to == "running":
        values["started"] = now()
    elif to in RESUMABLE_STATES or to == "finished":
        values["ended"] = now()
    values |= {name: plain(value) for name, value in fields.items()}
    try:
        with connection.begin_nested():
            connection.execute(update(rounds).where(rounds.c.number == number).values(values))
    except IntegrityError as error:
        raise _already_active(connection) from error
    return _sealed(connection, number)


def update_progress(connection: Connection, number: int, progress: Mapping[str, Any], token: str) -> None:
    """Replace what an active round last said of itself.

    Raises:
        RoundState: the round is not active, or the token is not the one of this attempt.
    """
    before = _sound_round(connection, number)
    _fence(before, token)
    if not before.active:
        raise RoundState(f"round {number} is over; its state is", value=before.state)
    values = {"progress": plain(progress)}
    connection.execute(update(rounds).where(rounds.c.number == number).values(values))


def read_rounds(connection: Connection) -> list[RoundRecord]:
    """Return all rounds, oldest first."""
    return [_record(row) for row in connection.execute(_query().order_by(rounds.c.number)).mappings()]


def read_round(connection: Connection, number: int) -> RoundRecord:
    """Return one round.

    Raises:
        RoundState: there is none with this number.
    """
    row = connection.execute(_query().where(rounds.c.number == number)).mappings().first()
    if row is None:
        raise RoundState("there is no such round", value=number, way_out="Choose one from the list.")
    return _record(row)


def read_active(connection: Connection) -> RoundRecord | None:
    """Return the round that blocks others; None when there is none."""
    row = connection.execute(_query().where(rounds.c.active == 1)).mappings().first()
    return None if row is None else _record(row)


def find_flaws(connection: Connection) -> list[str]:
    """Return which rounds are not what was written, or are gone, a sentence each."""
    records = read_rounds(connection)
    flaws = [f"round {one.number}: {_DIFFERS}. {RESTORE}" for one in records if _is_damaged(one)]
    kept = {one.number for one in records}
    gone = [number for number in seals.sealed_rounds(connection) if number not in kept]
    return flaws + [f"round {number}: it is gone from the database. {RESTORE}" for number in gone]


def find_unsealed(connection: Connection) -> list[int]:
    """Return the numbers of the rounds that have no digest, ascending."""
    known = set(seals.sealed_rounds(connection))
    return [number for number in connection.scalars(select(rounds.c.number)) if number not in known]


def seal_all(connection: Connection) -> None:
    """Give the rounds that have no digest one, of what they are."""
    for number in find_unsealed(connection):
        _sealed(connection, number)


_DIFFERS = "what the database says of it is not what was written"


def _query() -> Select[Any]:
    """The rows of rounds, JSON as the text that is stored, each with the digest that was written of it."""
    return select(*_TEXTS, seals.stored(seals.round_key(rounds.c.number)).label("digest"))


def _digest(row: RowMapping) -> str:
    """The digest of a row: of all but `progress`, of which only counts whether the round is live. A column that holds
    nothing is left out, so that digests outlive a column that is added."""
    names = sorted(column.name for column in rounds.columns if column.name != "progress")
    live = bool((json.loads(row["progress"]) or {}).get(LIVE))
    return seals.digest_of([*((name, row[name]) for name in names if row[name] is not None), (LIVE, live)])


def _record(row: RowMapping) -> RoundRecord:
    values = {name: value for name, value in row.items() if name not in ("active", "digest")}
    try:
        if row["digest"] not in (None, _digest(row)):
            return _damaged(values)
        values |= {name: None if values[name] is None else json.loads(values[name]) for name in _JSON}
        report = values["report"]
        return RoundRecord(**values | {"report": None if report is None else RoundReport.from_json(report)})
    except (ValueError, TypeError, AttributeError):
        return _damaged(values)


def _damaged(values: Mapping[str, Any]) -> RoundRecord:
    """Return what is told of a round that is not what was written: no figures, and why."""
    cause = "What the database says of this round is not what was written"
    error = {"kind": DAMAGED, "cause": cause, "way_out": RESTORE}
    shown: dict[str, Any] = {"state": "failed", "report": None, "error": error, "progress": {}}
    return RoundRecord(**{**values, **shown, "config": {"algorithm": {}, "train": {}}})


def _is_damaged(record: RoundRecord) -> bool:
    return record.error is not None and record.error.get("kind") == DAMAGED


def _sound_round(connection: Connection, number: int) -> RoundRecord:
    """Return a round that is to be changed.

    Raises:
        RoundState: there is none with this number.
        ProjectCorrupt: it is not what was written; a new digest would hide that.
    """
    record = read_round(connection, number)
    if _is_damaged(record):
        raise ProjectCorrupt(f"not saved: {_DIFFERS}", value=f"round {number}", way_out=RESTORE)
    return record


def _sealed(connection: Connection, number: int) -> RoundRecord:
    """Write the digest of a round that was changed; return it."""
    row = connection.execute(_query().where(rounds.c.number == number)).mappings().one()
    seals.write(connection, f"{seals.ROUND}{number}", _digest(row))
    return read_round(connection, number)


def _fence(record: RoundRecord, token: str | None) -> None:
    if token is not None and not secrets.compare_digest(token.encode(), record.token.encode()):
        raise RoundState(
            f"fenced off: round {record.number} now belongs to attempt",
            value=record.attempt,
            way_out="Stop the worker of the older attempt.",
        )


def _fence_live(record: RoundRecord, token: str) -> None:
    _fence(record, token)
    if not record.live:
        raise RoundState(
            f"round {record.number} is not live, it is", value=record.state, way_out="Begin another live round."
        )


def _already_active(connection: Connection) -> RoundActive:
    active = read_active(connection)
    return RoundActive(
        "another round is active",
        value=None if active is None else f"round {active.number} ({active.state})",
        way_out="Wait for it to end, or cancel it.",
    )
