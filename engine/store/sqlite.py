"""All that only SQLite understands: connections, pragmas, BEGIN IMMEDIATE, VACUUM INTO, checks, error codes.

Another database needs a file with the same function names; no other file of this room speaks to SQLite.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from engine.errors import (
    RESTORE,
    ConfigError,
    LedgerError,
    NotAProject,
    ProjectCorrupt,
    ProjectError,
    ProjectReadOnly,
    StarlingError,
)

log = logging.getLogger("starling.store")
BUSY_SECONDS = 10.0
POLL = 0.005
"""Seconds between two tries to get the write lock. SQLite itself tries every 0.1 s after a while, and where another
process writes one transaction after the other it may find none of the gaps between them for many seconds."""
HEAD = "-head"
"""Ends the name of the file that witnesses the ledger's end, see `engine.store.witness`."""
BESIDE = ("", "-wal", "-shm", "-journal", HEAD)
"""Endings of the files that make up a database, its own first."""
_IMMEDIATELY = "BEGIN IMMEDIATE"
_READ_ONLY_WAY_OUT = "Make its folder writable, or open the project read-only."


@dataclass(frozen=True)
class Source:
    """How to reach the database file for reading; `copy` is a private copy that lives as long as this."""

    uri: str
    copy: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def close(self) -> None:
        """Remove the private copy, if there is one."""
        if self.copy is not None:
            self.copy.cleanup()


def file_of(url: URL) -> Path:
    """Return the database file a URL names.

    Raises:
        ConfigError: the URL names no file (an in-memory database cannot be shared between connections).
    """
    if not url.database or url.database == ":memory:":
        raise ConfigError("the database URL names no file", value=str(url), way_out="Use sqlite:///path/to/file.")
    return Path(url.database).absolute()


def file_uri(file: Path, parameters: str) -> str:
    """Return SQLite's URI for a file, with every character that means something in a URI escaped."""
    return f"file:{quote(str(file))}?{parameters}"


def writer_engine(url: URL, *, create: bool = False, foreign_keys: bool = True) -> Engine:
    """Return an engine whose transactions take the write lock at once and are durable after COMMIT.

    `foreign_keys` False is for migrations only, which rebuild tables and check the keys before they commit.
    """
    uri = file_uri(file_of(url), "mode=rwc" if create else "mode=rw")
    pragmas = [
        "journal_mode=WAL",
        "synchronous=FULL",
        "fullfsync=ON",
        "checkpoint_fullfsync=ON",
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
    ]
    return _engine(url, uri, pragmas, begin=_IMMEDIATELY, pool_size=1, max_overflow=4)


def reader_engine(url: URL, source: Source) -> Engine:
    """Return an engine whose transactions see one snapshot and can write nothing."""
    return _engine(url, source.uri, ["query_only=ON"], begin="BEGIN", pool_size=8, max_overflow=56)


def _engine(url: URL, uri: str, pragmas: list[str], *, begin: str, pool_size: int, max_overflow: int) -> Engine:
    engine = create_engine(
        url,
        creator=_opener(uri, pragmas),
        poolclass=QueuePool,
        pool_reset_on_return=None,  # every use is a transaction that is ended: `Database.read` and `write`
        pool_size=pool_size,
        max_overflow=max_overflow,
    )

    def begin_explicitly(connection: Connection) -> None:
        if begin == _IMMEDIATELY:
            _wait_for_lock(connection)
        else:
            connection.exec_driver_sql(begin)

    event.listen(engine, "begin", begin_explicitly)
    return engine


def _wait_for_lock(connection: Connection) -> None:
    """Begin a transaction that writes, as soon as nobody else does and within BUSY_SECONDS."""
    driver: Any = connection.connection.dbapi_connection
    until = time.monotonic() + BUSY_SECONDS
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < until:
            try:
                driver.execute(_IMMEDIATELY)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            time.sleep(POLL)
        connection.exec_driver_sql(_IMMEDIATELY)  # says what it is, in SQLAlchemy's words
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")


def _opener(uri: str, pragmas: list[str]) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def find_source(url: URL, *, read_only: bool) -> Source:
    """Find a way to read the database: plainly, or from a folder where SQLite cannot make its side files.

    In such a folder a database whose write-ahead log is empty is read in place as immutable; one with commits
    left in the log (its last writer was killed) is read from a private copy, so that none of them is missed.

    Raises:
        NotAProject: the file does not exist.
        ProjectCorrupt: the file is no SQLite database.
        ProjectReadOnly: `read_only` is False and the file cannot be written.
    """
    file = file_of(url)
    if not file.is_file():
        raise NotAProject("there is no project database", value=file, way_out="Create the project first.")
    if not read_only:
        _refuse_unwritable(file)
        return Source(file_uri(file, "mode=rw"))
    plain = Source(file_uri(file, "mode=ro"))
    if _answers(plain):
        return plain
    log = file.with_name(file.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        return Source(file_uri(file, "mode=ro&immutable=1"))
    copy = tempfile.TemporaryDirectory(prefix="starling-readonly-")
    for part in (file, log):
        shutil.copyfile(part, Path(copy.name) / part.name)
    return Source(file_uri(Path(copy.name) / file.name, "mode=rw"), copy)


def _refuse_unwritable(file: Path) -> None:
    for path in (file.parent, file):
        if not os.access(path, os.W_OK):
            raise ProjectReadOnly("the project cannot be written", value=path, way_out=_READ_ONLY_WAY_OUT)


def _answers(source: Source) -> bool:
    """Return whether the database can be read plainly; False where its folder does not let SQLite do so."""
    try:
        with closing(sqlite3.connect(source.uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return False
        raise explain(error, writing=False) from error
    except UnicodeDecodeError as error:  # SQLite quotes the damaged text in its message
        raise damaged(error) from error
    return True


def vacuum_into(source: Source, target: Path) -> None:
    """Write one consistent copy of the whole database to a new file, while others go on writing.

    Raises:
        StarlingError: as `translate`; a partial target is removed.
    """
    try:
        with closing(sqlite3.connect(source.uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise explain(error, writing=True) from error


def checkpoint(engine: Engine, mode: Literal["PASSIVE", "TRUNCATE"]) -> None:
    """Bring what stands in the write-ahead log alone into the database file, as far as readers let it.

    Args:
        engine: a writer's, with no transaction open.
        mode: PASSIVE waits for nobody; TRUNCATE waits for readers up to half a second, then empties the log.
    """
    if not _has_log(file_of(engine.url)):
        return
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=500")
            try:
                cursor.execute(f"PRAGMA wal_checkpoint({mode})")
            finally:
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
    except (sqlite3.Error, DBAPIError, UnicodeDecodeError) as error:
        # nothing is lost by it: the log is as good, and the next checkpoint tries again
        log.warning("the log of the database could not be written into it: %s", error)


def _has_log(file: Path) -> bool:
    try:
        return file.with_name(file.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def check_storage(connection: Connection) -> list[str]:
    """Return what SQLite itself finds wrong: pages, indexes, foreign keys. Empty when sound."""
    problems = [
        f"integrity check: {row[0]}" for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"
    ]
    problems += [
        f"foreign key: {table} row {row} names a missing {parent}"
        for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    return problems


def translate(error: DBAPIError, *, writing: bool) -> StarlingError:
    """Return the Starling error for a driver error; when `writing`, it says 'not saved'."""
    return explain(error.orig if error.orig is not None else error, writing=writing)


def explain(error: BaseException, *, writing: bool) -> StarlingError:
    """Return the Starling error for an error of the sqlite3 module."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text: Any = str(error)
    lost = "not saved: " if writing else ""
    if code == sqlite3.SQLITE_FULL:
        return LedgerError(f"{lost}the disk is full", value=text, way_out="Free some space, then do it again.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return ProjectReadOnly(
            f"{lost}the project cannot be {'written' if writing else 'opened'}",
            value=text,
            way_out=_READ_ONLY_WAY_OUT,
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(error, lost)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(
            f"{lost}another process held the database for {BUSY_SECONDS:.0f} s",
            value=text,
            way_out="Do it again when that process is done.",
        )
    if writing:
        return LedgerError("not saved: the database refused", value=text, way_out="Look at the disk, then do it again.")
    return ProjectError("the project database could not be read", value=text, way_out="Look at the disk.")


def damaged(error: BaseException, lost: str = "") -> ProjectCorrupt:
    """Return the error for a database whose content makes no sense; `lost` says what was not saved."""
    return ProjectCorrupt(
        f"{lost}the project database is damaged",
        value=str(error),
        way_out=f"Stop working on it. {RESTORE}",
    )
