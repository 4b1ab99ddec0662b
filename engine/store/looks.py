"""Which states nobody has looked at one by one, which images came with a label, and answers to predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, or_, select

from engine.store.schema import current_labels, entries
from engine.store.undo import BY_A_PERSON, NOT_UNDONE


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


def read_imported(connection: Connection) -> NDArray[np.int64]:
    """Return the ids (M,) ascending of images that an import gave a label, whatever was decided of them since."""
    query = select(entries.c.image_id).where(entries.c.action == "import").distinct().order_by(entries.c.image_id)
    return np.array([row[0] for row in connection.execute(query).cursor.fetchall()], np.int64)


def read_answers(
    connection: Connection, number: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return the images (M,) ascending that a person answered with a round's prediction in front, whether it was
    accepted (M,), and its confidence then (M,), NaN where none was recorded: the first answer to each that was not
    taken back."""
    columns = (entries.c.image_id, entries.c.action, entries.c.confidence)
    alone = or_(entries.c.batch.is_(None), entries.c.seconds.is_not(None))
    query = (
        select(*columns).where(entries.c.round == number, alone, BY_A_PERSON, NOT_UNDONE).order_by(entries.c.seq.desc())
    )
    # newest first, so that the oldest stays
    first = {image_id: said for image_id, *said in connection.execute(query).cursor.fetchall()}
    ids = np.array(sorted(first), np.int64)
    said = [first[image_id] for image_id in ids.tolist()]
    accepted = np.array([action == "accept" for action, _ in said], bool)
    return ids, accepted, np.array([confidence for _, confidence in said], np.float64)
