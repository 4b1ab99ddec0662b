"""Schema revisions, run by Alembic from inside the program: no alembic.ini, no command line.

A revision is one file in migrations/versions. All of an upgrade happens in one transaction: it is there as a
whole or not at all.
"""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from engine.errors import NotAProject, SchemaTooNew

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = threading.Lock()  # Alembic keeps the running migration in module globals


def newest() -> str:
    """Return the revision this program writes."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    assert head is not None, "migrations/versions is empty"
    return head


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database; None where no Starling schema was ever made."""
    return MigrationContext.configure(connection).get_current_revision()


def needs_upgrade(connection: Connection) -> bool:
    """Return whether an upgrade is needed before this program can use the database.

    Raises:
        NotAProject: no Starling schema was ever made there.
        SchemaTooNew: the revision is not one this program knows.
    """
    revision = revision_of(connection)
    if revision is None:
        raise NotAProject("the database holds no Starling project", way_out="Create a project first.")
    known = {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}
    if revision not in known:
        raise SchemaTooNew(
            "this project was written by a newer Starling; its schema revision is",
            value=revision,
            way_out=f"Update Starling; this one knows revisions up to {newest()}.",
        )
    return revision != newest()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to a revision, inside the transaction that is open on the connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _LOCK:
        command.upgrade(config, revision)
