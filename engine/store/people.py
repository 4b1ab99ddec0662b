"""What people said, read for their pace and for where they disagree; imports and undone decisions left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, func, or_, select

from engine.store.ledger import LABELS
from engine.store.rows import chunks
from engine.store.schema import entries
from engine.store.sources import RULE_BATCHES
from engine.store.undo import BY_A_PERSON, NOT_UNDONE

_ENTRY = entries.c
_SETTLING = frozenset({"reject", "unsure"})
_UNSEEN = and_(_ENTRY.action == "accept", _ENTRY.source == "accepted_by_threshold")
_SAID = (BY_A_PERSON, NOT_UNDONE, ~_UNSEEN, or_(_ENTRY.batch.is_(None), _ENTRY.batch.not_in(RULE_BATCHES)))
"""Not what a rule let in, nor what was accepted with others and on no screen: nobody looked at those images."""
Saying = tuple[str, str, int]
"""Actor, label and seq of one label a person gave."""


@dataclass(frozen=True)
class Timings:
    """People's decisions that stand, oldest first. Every array is (N,) and read-only.

    time: Unix seconds; seconds: how long it took, NaN where unknown; batch: text or None; round: whose prediction was
    on screen, -1 where none was.
    """

    actor: NDArray[np.object_]
    time: NDArray[np.float64]
    seconds: NDArray[np.float64]
    action: NDArray[np.object_]
    batch: NDArray[np.object_]
    round: NDArray[np.int64]


def read_timings(connection: Connection) -> Timings:
    """Return who decided when, and how long it took."""
    columns = (_ENTRY.actor, _ENTRY.time, _ENTRY.seconds, _ENTRY.action, _ENTRY.batch, _ENTRY.round)
    query = select(*columns).where(BY_A_PERSON, NOT_UNDONE).order_by(_ENTRY.seq)
    # The driver's own tuples: no column here needs converting, and 100,000 rows take half the time.
    rows = connection.execute(query).cursor.fetchall()
    actor, time, seconds, action, batch, number = zip(*rows, strict=True) if rows else ((),) * 6
    known = {text: datetime.fromisoformat(text).timestamp() for text in set(time)}  # a batch has one time
    timings = Timings(
        actor=np.array(actor, dtype=object),
        time=np.array([known[text] for text in time], dtype=np.float64),
        seconds=np.array(seconds, dtype=np.float64),  # None becomes NaN
        action=np.array(action, dtype=object),
        batch=np.array(batch, dtype=object),
        round=np.array([-1 if value is None else value for value in number], dtype=np.int64),
    )
    for column in vars(timings).values():
        column.setflags(write=False)
    return timings


def read_relabeled(connection: Connection) -> list[tuple[int, list[Saying]]]:
    """Return the images on which people disagree, ascending, each with every person's last label, oldest first.

    People disagree on an image when the last labels of two or more differ. It counts as settled once someone who had
    labeled it labels it again after having seen the difference: another person's label given since the own first one,
    or two other people's given before it. It is settled too while the newest decision on it is to reject it, or unsure.
    Imported labels, predictions accepted unseen and undone decisions are nobody's.
    """
    several = select(_ENTRY.image_id).where(*_SAID, _ENTRY.action.in_(LABELS)).group_by(_ENTRY.image_id)
    several = several.having(func.count(_ENTRY.actor.distinct()) > 1, func.count(_ENTRY.label.distinct()) > 1)
    last_labels: dict[int, list[Saying]] = defaultdict(list)
    newest: dict[int, str] = {}
    for chunk in chunks(sorted(connection.scalars(several))):
        query = select(_ENTRY.image_id, _ENTRY.action, _ENTRY.actor, _ENTRY.label, _ENTRY.seq)
        query = query.where(*_SAID, _ENTRY.image_id.in_(chunk)).order_by(_ENTRY.image_id, _ENTRY.seq)
        for image_id, action, *saying in connection.execute(query):
            newest[image_id] = action
            if action in LABELS:
                last_labels[image_id].append((saying[0], saying[1], saying[2]))
    relabeled = []
    for image_id, sayings in last_labels.items():
        last = sorted({saying[0]: saying for saying in sayings}.values(), key=lambda saying: saying[2])
        settled = newest[image_id] in _SETTLING or _settled([saying[0] for saying in sayings])
        if len({saying[1] for saying in last}) > 1 and not settled:
            relabeled.append((image_id, last))
    return relabeled


def read_last_decided(connection: Connection) -> dict[str, str]:
    """Return when each person last decided something, or took it back, as ISO 8601 in UTC."""
    last = select(func.max(_ENTRY.seq)).group_by(_ENTRY.actor)
    query = select(_ENTRY.actor, _ENTRY.time).where(_ENTRY.seq.in_(last), _ENTRY.action != "import")
    return {row.actor: row.time for row in connection.execute(query)}


def _settled(actors: Sequence[str]) -> bool:
    """Return whether the last of these, who said something one after the other, had seen what others said before."""
    newest = actors[-1]
    first = actors.index(newest)
    if first == len(actors) - 1:
        return False
    return any(actor != newest for actor in actors[first:]) or len(set(actors[:first])) > 1
