"""Which states nobody has looked at one by one, and which images came with a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, func, or_, select

from engine.store.schema import current_labels, entries


def read_unseen(connection: Connection) -> NDArray[np.int64]:
    """Return the ids (M,) ascending of images whose state in force came in a batch, or back by an undo.

    A decision that was timed was made with its image in front, also when it shares a batch.
    """
    together = and_(entries.c.batch.is_not(None), entries.c.seconds.is_(None))
    query = (
        select(current_labels.c.image_id)
        .join(entries, entries.c.seq == current_labels.c.version)
        .where(or_(together, entries.c.action == "undo"))
        .order_by(current_labels.c.image_id)
    )
    return np.array([row[0] for row in connection.execute(query).cursor.fetchall()], np.int64)


def count_looked(connection: Connection, after: int, until: int) -> int:
    """Return of how many images a person gave or confirmed the label, alone in front, after one entry of the ledger and
    up to another."""
    alone = and_(entries.c.seen_seconds.is_(None), or_(entries.c.batch.is_(None), entries.c.seconds.is_not(None)))
    given = entries.c.action.in_(("label", "correct", "accept"))
    query = select(func.count(entries.c.image_id.distinct()))
    return connection.scalar(query.where(entries.c.seq > after, entries.c.seq <= until, given, alone)) or 0


def read_imported(connection: Connection) -> NDArray[np.int64]:
    """Return the ids (M,) ascending of images that an import gave a label, whatever was decided of them since."""
    query = select(entries.c.image_id).where(entries.c.action == "import").distinct().order_by(entries.c.image_id)
    return np.array([row[0] for row in connection.execute(query).cursor.fetchall()], np.int64)
