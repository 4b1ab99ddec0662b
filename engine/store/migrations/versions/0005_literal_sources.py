"""How long a tile was on the screen, and sources in the projection that say who saw an image.

The ledger's rows stay as they are: they are hashed. The projection is what was read of them, and is read anew.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PAGE = 5_000
_entries = sa.table(
    "annotations",
    *map(sa.column, ("seq", "image_id", "base_version", "action", "source", "reviewed", "batch", "undoes", "seconds")),
)
_batches = sa.table("batches", sa.column("batch"), sa.column("facts", sa.JSON()))
_labels = sa.table("current_labels", *map(sa.column, ("image_id", "version", "source", "reviewed")))


def upgrade() -> None:
    op.add_column("annotations", sa.Column("seen_seconds", sa.Float(53)))
    connection = op.get_bind()
    facts = connection.execute(sa.select(_batches.c.batch, _batches.c.facts))
    by_rule = {row.batch for row in facts if isinstance(row.facts, dict) and row.facts.get("kind") == "audit"}
    base: dict[int, int] = {}
    origin: dict[int, Any] = {}  # by seq: the entry that gave the label in force once it was written
    changes = []
    versions = connection.execute(sa.select(_labels.c.image_id, _labels.c.version))
    in_force = {row.image_id: row.version for row in versions}
    for row in _ledger(connection):
        base[row.seq] = row.base_version
        kept = row.base_version if row.undoes is None else base.get(row.undoes, 0)
        origin[row.seq] = row if row.action in ("import", "label", "correct", "accept") else origin.get(kept)
        gave = origin[row.seq]
        if in_force.get(row.image_id) != row.seq or gave is None:
            continue
        alone = gave.batch is None or gave.seconds is not None
        source, reviewed = row.source, int(bool(row.reviewed) and alone)
        if source == "accepted" and alone:
            source = "confirmed"
        elif source == "accepted":
            source = "accepted_by_threshold" if gave.batch in by_rule else "accepted_in_batch"
        if (source, reviewed) != (row.source, row.reviewed):
            changes.append({"number": row.image_id, "source": source, "reviewed": reviewed})
    if changes:
        change = sa.update(_labels).where(_labels.c.image_id == sa.bindparam("number"))
        connection.execute(change.values(source=sa.bindparam("source"), reviewed=sa.bindparam("reviewed")), changes)


def _ledger(connection: sa.Connection) -> Iterator[Any]:
    """Yield every entry, oldest first, a page at a time."""
    last = 0
    while True:
        page = sa.select(_entries).where(_entries.c.seq > last).order_by(_entries.c.seq).limit(_PAGE)
        rows = connection.execute(page).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].seq
