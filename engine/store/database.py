"""One database of one project: opened, migrated, read from snapshots, written in exclusive transactions.

The only place that asks which kind of database the URL names. On others than SQLite the row `ledger_head` is
locked at the start of each writing transaction, which orders the writers as BEGIN IMMEDIATE does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, bindparam, create_engine, insert, inspect, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError

from engine.errors import (
    RESTORE,
    ConfigError,
    LedgerError,
    ProjectCorrupt,
    ProjectError,
    ProjectExists,
    ProjectReadOnly,
    StarlingError,
)
from engine.store import migrate, sqlite
from engine.store.rows import text_flaw
from engine.store.schema import meta

HEAD_KEY = "ledger_head"
GENESIS = "0" * 64
_SETTING = select(meta.c.value).where(meta.c.key == bindparam("wanted"))


class Database:
    """The engines of one open project. `writers` is None when it was opened read-only."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.url = url
        self.source = sqlite.find_source(url, read_only=read_only) if is_sqlite(url) else None
        self._readers = _reader_engine(url, self.source)
        self.writers = None if read_only else _writer_engine(url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot of the database and cannot change it.

        Raises:
            StarlingError: the database is damaged, cannot be opened, or stays locked.
        """
        try:
            with self._readers.connect() as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise explain(self.url, error, writing=False) from error
        except UnicodeDecodeError as error:
            raise sqlite.damaged(error) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection that alone may write; commits at the end, rolls back on any error.

        Raises:
            ProjectReadOnly: the project was opened read-only; nothing is saved.
        """
        if self.writers is None:
            raise ProjectReadOnly(
                "not saved: the project is open read-only",
                way_out="Open it in a writable folder to change it.",
            )
        with self.writers.begin() as connection:
            if self.source is None:  # SQLite's BEGIN IMMEDIATE has the lock
                connection.execute(select(meta.c.value).where(meta.c.key == HEAD_KEY).with_for_update())
            yield connection

    def checkpoint(self) -> None:
        """Bring what stands in SQLite's log alone into the database file: there it outlives the log."""
        if self.source is not None and self.writers is not None:
            sqlite.checkpoint(self.writers, "PASSIVE")

    def close(self) -> None:
        """Close every connection; SQLite's log is emptied into the database file."""
        self._readers.dispose()
        if self.writers is not None:
            if self.source is not None:
                sqlite.checkpoint(self.writers, "TRUNCATE")
            self.writers.dispose()
        if self.source is not None:
            self.source.close()


def parse_url(url: str) -> URL:
    """Return the parsed database URL; for SQLite everything after sqlite:/// is the path, `?` included.

    Raises:
        ConfigError: it is not a database URL.
    """
    if url.startswith("sqlite:///"):
        return URL.create("sqlite", database=url.removeprefix("sqlite:///"))
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError("not a database URL", value=url, way_out="Use sqlite:///path/to/project.db.") from error


def create(url: URL, name: str) -> None:
    """Make the schema and name the project, in one transaction.

    Raises:
        ProjectExists: the database already holds a project, or tables of something else.
        ProjectReadOnly: the folder is missing or cannot be written.
        ConfigError: the name is empty, too long, or holds a control character.
    """
    if (flaw := text_flaw(name)) is not None:
        raise ConfigError(f"the project name {flaw}", value=repr(name), way_out="Choose another name.")
    engine = _writer_engine(url, create=True)
    try:
        with engine.begin() as connection:
            if migrate.revision_of(connection) is not None:
                raise ProjectExists("a project is already there", value=url, way_out="Open it instead.")
            if inspect(connection).get_table_names():
                raise ProjectExists("the database holds something else", value=url, way_out="Choose another file.")
            migrate.upgrade(connection)
            rows = [{"key": "name", "value": name}, {"key": HEAD_KEY, "value": f"0:{GENESIS}"}]
            connection.execute(insert(meta), rows)
    except DBAPIError as error:
        raise explain(url, error, writing=True) from error
    finally:
        engine.dispose()


def open_database(url: URL, *, read_only: bool) -> Database:
    """Open a database at the newest schema revision; an older one is copied to backups/, then upgraded.

    Raises:
        NotAProject, SchemaTooNew, ProjectCorrupt: it is not a project this program can use.
        ProjectReadOnly: it cannot be written, or it is older than this program and open for reading only.
    """
    database = Database(url, read_only=read_only)
    try:
        with database.read() as connection:
            outdated = migrate.needs_upgrade(connection)
        if outdated and read_only:
            raise ProjectReadOnly(
                "the project is of an older Starling and must be upgraded before it is read",
                value=url.database,
                way_out="Open a copy in a writable folder.",
            )
        if outdated:
            _upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(database: Database) -> None:
    if database.source is not None:
        sqlite.vacuum_into(database.source, _safety_copy(sqlite.file_of(database.url)))
    engine = _writer_engine(database.url, foreign_keys=False)
    try:
        with engine.begin() as connection:
            if not migrate.needs_upgrade(connection):
                return  # another process was faster
            migrate.upgrade(connection)
            problems = sqlite.check_storage(connection) if database.source is not None else []
            if problems:
                raise ProjectCorrupt(
                    "the upgrade of the project was taken back: its data do not fit",
                    value=problems[0],
                    way_out=RESTORE,
                )
    except DBAPIError as error:
        raise explain(database.url, error, writing=True) from error
    finally:
        engine.dispose()


def _safety_copy(file: Path) -> Path:
    folder = file.parent / "backups"
    folder.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return folder / f"before-upgrade-{stamp}.db"


def read_setting(connection: Connection, key: str) -> str | None:
    """Return a setting of the project; None when it was never set."""
    return connection.scalar(_SETTING, {"wanted": key})


def write_setting(connection: Connection, key: str, value: str) -> None:
    """Set a setting of the project.

    Raises:
        ConfigError: the store keeps this key for itself.
    """
    if key in (HEAD_KEY, "name") or key.startswith("digest of "):
        raise ConfigError("this key belongs to the store", value=key)
    if connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(meta), {"key": key, "value": value})


def is_sqlite(url: URL) -> bool:
    """Return whether the URL names an SQLite file."""
    return url.get_backend_name() == "sqlite"


def _writer_engine(url: URL, *, create: bool = False, foreign_keys: bool = True) -> Engine:
    if is_sqlite(url):
        return sqlite.writer_engine(url, create=create, foreign_keys=foreign_keys)
    return create_engine(url)


def _reader_engine(url: URL, source: sqlite.Source | None) -> Engine:
    if source is not None:
        return sqlite.reader_engine(url, source)
    return create_engine(url, isolation_level="REPEATABLE READ", pool_size=8, max_overflow=56)


def explain(url: URL, error: DBAPIError, *, writing: bool) -> StarlingError:
    """Return the Starling error for a driver error; when `writing`, it says 'not saved'."""
    if is_sqlite(url):
        return sqlite.translate(error, writing=writing)
    if writing:
        return LedgerError("not saved: the database refused", value=str(error.orig), way_out="Do it again.")
    return ProjectError("the project database could not be read", value=str(error.orig))
