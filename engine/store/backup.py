"""Backups: one consistent copy, checked before it takes the place of an older one."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ConfigError, LedgerError, ProjectCorrupt, ProjectError
from engine.files import replacing
from engine.store import sqlite
from engine.store.database import Database, parse_url
from engine.store.verify import find_problems


def backup(database: Database, target: Path) -> None:
    """Copy the database to `target` while others write to it, check the copy, then put it in place at once.

    Raises:
        ConfigError: `target` is the database itself or its folder is missing.
        ProjectCorrupt: the copy is not sound; `target` stays as it was.
        LedgerError, ProjectReadOnly: the target could not be written; `target` stays as it was.
        ProjectError: this kind of database has its own tool for backups.
    """
    if database.source is None:
        raise ProjectError(
            "this database is not a file", value=str(database.url), way_out="Back it up with its own tool."
        )
    target = target.absolute()
    if not target.parent.is_dir() or target.is_dir():
        raise ConfigError("a backup needs a file name in a folder that exists", value=target)
    if target.exists() and target.samefile(sqlite.file_of(database.url)):
        raise ConfigError("a backup cannot replace the project itself", value=target)
    try:
        with replacing(target) as aside:
            sqlite.vacuum_into(database.source, aside)
            _check(aside)
    except OSError as error:
        raise LedgerError("not saved: the backup could not be written", value=str(error)) from error


def copy(source: Path, target: Path) -> None:
    """Copy a database that nobody need have open, with the commits in a log beside it, into a new file.

    Raises:
        NotAProject, ProjectCorrupt, ProjectReadOnly, LedgerError: it is no database, or cannot be read or copied.
    """
    found = sqlite.find_source(parse_url("sqlite://").set(database=str(source)), read_only=True)
    try:
        sqlite.vacuum_into(found, target)
    finally:
        found.close()


def _check(aside: Path) -> None:
    url = parse_url("sqlite://").set(database=str(aside))
    copy = Database(url, read_only=True)
    try:
        with copy.read() as connection:
            problems = find_problems(connection)
    finally:
        copy.close()
    if problems:
        raise ProjectCorrupt(
            "not saved: the backup is not sound",
            value=problems[0],
            way_out="Keep the last good backup and check the project.",
        )
