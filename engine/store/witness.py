"""A witness of the ledger's end: seq and hash of its last entry, in a small file beside an SQLite database.

A database whose write-ahead log is gone looks whole to SQLite, and its shorter ledger is chained as well as the longer
one was. So the writer notes the head here after each commit and before it answers: the note outlives the process. It
is brought to the disk after an answer, once a second at most, when nothing is written, and at the end. To do so with
each commit would double the waits for the disk, and find no more than a log that is lost in the same power cut as the
note's last second. Found at the next start:

- the same head: nothing is lost;
- an earlier one: the process ended between commit and note, or several wrote at once; it is noted anew;
- a later one, or another hash of an entry: entries were lost, and nobody writes before a person decides.

project.db-head is one line of 128 bytes, written in place: `head1 <seq> <hash> <check>`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from engine.errors import RESTORE, EntriesLost
from engine.files import replacing
from engine.store import sqlite
from engine.store.chain import SELECT_HEAD, find_broken_link
from engine.store.database import GENESIS, Database, read_setting, write_setting
from engine.store.rows import now
from engine.store.schema import entries

LOSSES = "losses"
"""The setting that holds what was lost and accepted, oldest first."""
_SIZE = 128
_MARK = "head1"
_HEAD = re.compile(r"\d{1,20}:[0-9a-f]{64}")
_TRIES, _PAUSE = 5, 0.01
_ACCEPT = "Or go on without what is lost: starling doctor PROJECT --accept-loss."
SYNC_SECONDS = 1.0
"""The note is brought to the disk at most so often while decisions come."""
_sync = getattr(os, "fdatasync", os.fsync)
log = logging.getLogger("starling.store")


@dataclass(frozen=True)
class Head:
    """The last entry of a ledger: seq, 0 for an empty one, and hash."""

    seq: int
    hash: str


class Witness:
    """The file beside one database. `see`, `note` and `sync` are the writer thread's alone."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + sqlite.HEAD)
        self._handle: int | None = None
        self._noted: str | None = None
        self._seen: str | None = None
        self._synced: str | None = None
        self._synced_at = -math.inf

    def read(self) -> Head | None:
        """Return what was last noted; None where there is no file, as beside a project of an earlier version.

        Raises:
            EntriesLost: the file is damaged, so that nobody can say whether entries were lost.
        """
        text = b""
        for _ in range(_TRIES):
            try:
                text = self.path.read_bytes()
            except FileNotFoundError:
                return None
            if (head := _parsed(text)) is not None:
                return head
            time.sleep(_PAUSE)  # it may be just being written
        raise EntriesLost(
            "the note of the ledger's end is damaged, so that entries may be lost",
            value=f"{self.path}: {text[:40]!r}",
            way_out=f"{RESTORE} {_ACCEPT}",
        )

    def see(self, connection: Connection) -> None:
        """Read the head that the transaction on this connection will leave."""
        self._seen = _head_text(connection)

    def note(self) -> None:
        """Note the head that was seen, once it is committed; it outlives this process when this returns.

        A note that fails is told in the log and harms nobody: the commit stands, and the file stays behind it.
        """
        if self._seen is None or self._seen == self._noted:
            return
        seq, _, digest = self._seen.partition(":")
        try:
            if self._handle is None:
                self._make()
                self._handle = os.open(self.path, os.O_RDWR)
            os.pwrite(self._handle, _line(seq, digest), 0)
            self._noted = self._seen
        except OSError as error:
            log.warning("the ledger's end could not be noted in %s: %s", self.path, error)

    def sync_if_due(self) -> None:
        """Bring what was noted to the disk, once in SYNC_SECONDS at most; meant for after an answer, not before it."""
        if time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Bring what was noted to the disk, where it is not there yet."""
        if self._handle is None or self._synced == self._noted:
            return
        try:
            _sync(self._handle)
            self._synced, self._synced_at = self._noted, time.monotonic()
        except OSError as error:
            log.warning("the note of the ledger's end could not be brought to the disk, %s: %s", self.path, error)

    def close(self) -> None:
        """Let go of the file, with all that was noted on the disk."""
        self.sync()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _make(self) -> None:
        if not self.path.exists():
            with replacing(self.path) as aside:
                aside.write_bytes(_line("0", GENESIS))


def beside(database: Database) -> Witness | None:
    """Return the witness of a database; None where it is no SQLite file."""
    return None if database.source is None else Witness(sqlite.file_of(database.url))


def settle(witness: Witness, database: Database, *, accept_loss: bool) -> None:
    """Compare a database that is being opened for writing with what was noted of it, and note what it is now.

    Args:
        witness: of the database.
        database: open for writing.
        accept_loss: write down what was lost, in the setting LOSSES, and go on.

    Raises:
        EntriesLost: entries were lost, or nobody can say so, and that is not accepted.
    """
    noted: Head | None = None
    flaw: EntriesLost | None = None
    try:
        noted = witness.read()  # before the ledger: that can only have become longer since
    except EntriesLost as error:
        flaw = error
    with database.read() as connection:
        flaw = flaw or find_loss(connection, noted)
        broken = flaw is None and noted is not None and find_broken_link(connection, noted.seq, noted.hash) is not None
        witness.see(connection)
    if flaw is not None and not accept_loss:
        raise flaw
    if flaw is not None:
        with database.write() as connection:
            _write_down(connection, noted)
        witness.path.unlink()
    if not broken:  # a ledger that is broken since the note is the doctor's matter, and the note stays
        witness.note()


def find_loss(connection: Connection, noted: Head | None) -> EntriesLost | None:
    """Return what says that a ledger has lost entries since its head was noted; None when it has not."""
    if noted is None or (text := _head_text(connection)) is None:
        return None
    seq, _, digest = text.partition(":")
    if text == f"{noted.seq}:{noted.hash}":
        return None
    if noted.seq > int(seq):
        cause = f"the end of the ledger is lost: entry {noted.seq} was written and the last one now is"
        return EntriesLost(cause, value=seq, way_out=f"{RESTORE} {_ACCEPT}")
    there = GENESIS if noted.seq == 0 else _hash_at(connection, noted.seq)
    if noted.seq == int(seq):
        there = digest
    if there != noted.hash:
        cause = "this is not the ledger that was written here: another one has entry"
        return EntriesLost(cause, value=noted.seq, way_out=f"{RESTORE} {_ACCEPT}")
    return None


def read_losses(connection: Connection) -> list[dict[str, Any]]:
    """Return what was lost and accepted, oldest first: time, noted_seq and noted_hash (None where the note itself was
    damaged), seq and hash of the last entry then."""
    losses: list[dict[str, Any]] = json.loads(read_setting(connection, LOSSES) or "[]")
    return losses


def _write_down(connection: Connection, noted: Head | None) -> None:
    seq, _, digest = (_head_text(connection) or f"0:{GENESIS}").partition(":")
    lost = {
        "time": now(),
        "noted_seq": None if noted is None else noted.seq,
        "noted_hash": None if noted is None else noted.hash,
        "seq": int(seq),
        "hash": digest,
    }
    write_setting(connection, LOSSES, json.dumps([*read_losses(connection), lost]))


def _head_text(connection: Connection) -> str | None:
    """Return the head as the ledger has it; None where it is damaged, which the chain finds."""
    text = connection.scalar(SELECT_HEAD)
    return text if isinstance(text, str) and _HEAD.fullmatch(text) else None


def _hash_at(connection: Connection, seq: int) -> str | None:
    return connection.scalar(select(entries.c.hash).where(entries.c.seq == seq))


def _line(seq: str, digest: str) -> bytes:
    text = f"{_MARK} {seq:>020} {digest:<64} "
    return f"{text}{_check(text)}\n".encode()


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[: _SIZE - 1 - len(text)]


def _parsed(line: bytes) -> Head | None:
    """Return the head that a line holds; None where it is not whole."""
    text = line.decode("ascii", "replace")
    parts = text.split(" ")
    if len(line) != _SIZE or len(parts) != 4 or parts[0] != _MARK or not parts[1].isdigit():
        return None
    head = Head(int(parts[1]), parts[2])
    return head if line == _line(str(head.seq), head.hash) else None
