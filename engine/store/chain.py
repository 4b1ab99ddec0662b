"""The hash chain: each ledger entry carries the SHA-256 of itself and of the entry before it.

A changed, missing or reordered row breaks it; a row missing at the end is found through `ledger_head` in the
table meta, which moves in the same transaction. The chain finds damage, not a forger who rewrites all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, RowMapping, bindparam, select, update
from sqlalchemy.exc import DBAPIError

from engine.errors import RESTORE, ProjectCorrupt
from engine.records.labels import LabelState
from engine.store.database import GENESIS, HEAD_KEY
from engine.store.projection import state_after
from engine.store.rows import CHUNK, Row
from engine.store.schema import entries, meta
from engine.store.sources import Origins, RuleBatches

LATER = ("seen_seconds", "asked")
"""Columns that came after the first entries: hashed only where they hold something, so that older hashes still fit."""
SELECT_HEAD = select(meta.c.value).where(meta.c.key == HEAD_KEY)
_UPDATE_HEAD = update(meta).where(meta.c.key == HEAD_KEY).values(value=bindparam("head"))
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
HASHED = tuple(column.name for column in entries.columns if column.name not in ("hash", *LATER))


def entry_hash(entry: Row) -> str:
    """Return the SHA-256, as hex, of the entry's canonical JSON, which includes the hash of the one before.

    Columns of LATER that are NULL are left out of it.

    Raises:
        TypeError, ValueError: a damaged row holds bytes or a number that is none.
    """
    content = {name: entry[name] for name in HASHED}
    content |= {name: entry[name] for name in LATER if entry.get(name) is not None}
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()


def read_head(connection: Connection) -> tuple[int, str]:
    """Return seq and hash of the last entry, as the writing transaction must continue them.

    Raises:
        ProjectCorrupt: the head is missing or damaged.
    """
    text = connection.scalar(SELECT_HEAD)
    seq, _, digest = (text or "").partition(":")
    if not seq.isdigit() or len(digest) != len(GENESIS):
        raise ProjectCorrupt("not saved: the head of the ledger is damaged", value=text, way_out=RESTORE)
    return int(seq), digest


def write_head(connection: Connection, seq: int, digest: str) -> None:
    """Note the last entry, in the transaction that adds it."""
    connection.execute(_UPDATE_HEAD, {"head": f"{seq}:{digest}"})


def stream(connection: Connection, last: int = 0) -> Iterator[RowMapping]:
    """Yield every ledger row after entry `last`, oldest first, a page at a time."""
    while True:
        page = select(entries).where(entries.c.seq > last).order_by(entries.c.seq).limit(CHUNK)
        rows = connection.execute(page).mappings().all()
        yield from rows
        if len(rows) < CHUNK:
            return
        last = rows[-1]["seq"]


@dataclass
class Replay:
    """What the ledger says when read from its start. `problems` is empty when every link holds."""

    problems: list[str] = field(default_factory=list)
    states: dict[int, LabelState] = field(default_factory=dict)


def replay(connection: Connection) -> Replay:
    """Read the ledger from its start, check every link, collect what is in force; stops at a broken one."""
    result = Replay()
    seq, digest = 0, GENESIS
    origins, by_rule = Origins(), RuleBatches(connection)
    try:
        for row in stream(connection):
            problem = _broken_link(row, seq, digest, result.states)
            if problem is not None:
                result.problems.append(f"ledger entry {seq + 1}: {problem}")
                return result
            seq, digest = row["seq"], row["hash"]
            result.states[row["image_id"]] = state_after(row, origins.follow(row), by_rule)
        if read_head(connection) != (seq, digest):
            result.problems.append(f"ledger: entries after {seq} are missing")
    except (DBAPIError, ProjectCorrupt) as error:
        result.problems.append(f"ledger: cannot be read after entry {seq}: {error}")
    return result


def find_broken_link(connection: Connection, seq: int, digest: str) -> str | None:
    """Return what breaks the chain from entry `seq`, whose hash is `digest`, to the head; None when it holds."""
    try:
        for row in stream(connection, seq):
            if (problem := _broken_hash(row, seq, digest)) is not None:
                return f"ledger entry {seq + 1}: {problem}"
            seq, digest = row["seq"], row["hash"]
        return None if read_head(connection) == (seq, digest) else f"ledger: entries after {seq} are missing"
    except (DBAPIError, ProjectCorrupt) as error:
        return f"ledger: cannot be read after entry {seq}: {error}"


def _broken_link(row: RowMapping, seq: int, digest: str, states: Mapping[int, LabelState]) -> str | None:
    problem = _broken_hash(row, seq, digest)
    if problem is not None:
        return problem
    before = states.get(row["image_id"])
    if row["base_version"] != (0 if before is None else before.version):
        return "was not based on the version then in force"
    return None


def _broken_hash(row: RowMapping, seq: int, digest: str) -> str | None:
    if row["seq"] != seq + 1:
        return f"missing; the next one is {row['seq']}"
    if row["prev_hash"] != digest:
        return "does not follow the entry before it"
    try:
        if row["hash"] != entry_hash(row):
            return "its content does not match its hash"
    except (TypeError, ValueError) as error:
        return f"its content is damaged ({error})"
    return None
