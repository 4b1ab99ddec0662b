"""Rounds as stored: at most one active, moved only along the table below, fenced by a token per attempt.

The unique index on `active` decides between two that start at once. The token decides between two attempts of
the same round: whoever holds an old one can change nothing any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from engine.errors import ConfigError, RoundActive, RoundState
from engine.records.rounds import ACTIVE_STATES, LIVE, RESUMABLE_STATES, RoundRecord, RoundReport, RoundStateName
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
    _fence_live(read_round(connection, number), token)
    ended = None if live else now()
    values = {"report": plain(report), "ledger_seq": seq, "progress": {LIVE: live}, "ended": ended}
    connection.execute(update(rounds).where(rounds.c.number == number).values(values))
    return read_round(connection, number)


def describe_live(connection: Connection, number: int, token: str, config: Mapping[str, Any]) -> RoundRecord:
    """Replace the settings of a live round, which goes on with other features.

    Raises:
        RoundState: no such round, the token is not its own, or it was ended.
    """
    _fence_live(read_round(connection, number), token)
    connection.execute(update(rounds).where(rounds.c.number == number).values(config=plain(config)))
    return read_round(connection, number)


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
    return read_round(connection, number)


def transition(
    connection: Connection, number: int, to: RoundStateName, token: str | None, fields: Mapping[str, Any]
) -> RoundRecord:
    """Move a round to another state and set fields; `started` and `ended` are filled in by the move.

    A move back to `queued` is a resume: one attempt more, a new token, what the last attempt left is cleared.

    Raises:
        RoundState: no such round, no such move, or the token is not the one of this attempt.
        RoundActive: a resume while another round is active.
        ConfigError: a field no transition sets.
    """
    unknown = set(fields) - FIELDS
    if unknown:
        raise ConfigError("a transition cannot set this field", value=min(unknown))
    before = read_round(connection, number)
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
    return read_round(connection, number)


def update_progress(connection: Connection, number: int, progress: Mapping[str, Any], token: str) -> None:
    """Replace what an active round last said of itself.

    Raises:
        RoundState: the round is not active, or the token is not the one of this attempt.
    """
    before = read_round(connection, number)
    _fence(before, token)
    if not before.active:
        raise RoundState(f"round {number} is over; its state is", value=before.state)
    values = {"progress": plain(progress)}
    connection.execute(update(rounds).where(rounds.c.number == number).values(values))


def read_rounds(connection: Connection) -> list[RoundRecord]:
    """Return all rounds, oldest first."""
    return [_record(row) for row in connection.execute(select(rounds).order_by(rounds.c.number)).mappings()]


def read_round(connection: Connection, number: int) -> RoundRecord:
    """Return one round.

    Raises:
        RoundState: there is none with this number.
    """
    row = connection.execute(select(rounds).where(rounds.c.number == number)).mappings().first()
    if row is None:
        raise RoundState("there is no such round", value=number, way_out="Choose one from the list.")
    return _record(row)


def read_active(connection: Connection) -> RoundRecord | None:
    """Return the round that blocks others; None when there is none."""
    row = connection.execute(select(rounds).where(rounds.c.active == 1)).mappings().first()
    return None if row is None else _record(row)


def _record(row: RowMapping) -> RoundRecord:
    values = {name: value for name, value in row.items() if name != "active"}
    report = values["report"]
    return RoundRecord(**values | {"report": None if report is None else RoundReport.from_json(report)})


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
