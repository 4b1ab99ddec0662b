"""The measured set as stored: its orders, and which images were drawn along them.

The first order is of the images there are when review begins; images imported later have an order of their own. Its
salt is made of the ledger's head at that moment, which nobody could know before the labels were given. An image is
drawn with its first blind answer, in the same transaction; which comes next is for `engine.quality.measured_set`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, insert, select

from engine.errors import ConfigError
from engine.query.order import random_order
from engine.records.labels import Suspected
from engine.store.audit_draws import ALONE
from engine.store.chain import read_head
from engine.store.images import read_test_split
from engine.store.rows import chunks
from engine.store.schema import current_labels, entries, images, measured, measured_orders

PURPOSE = "measured set"
GIVES_LABEL = frozenset({"label", "correct", "accept"})
MEASURES = "measured set"
"""What the ledger's entry of a blind answer says of who asked; entries of before this was written say nothing."""
_ENTRY = entries.c
_UNDOING = entries.alias("undoing")
_STANDING = ~select(_UNDOING.c.seq).where(_UNDOING.c.undoes == _ENTRY.seq).exists()


@dataclass(frozen=True)
class MeasuredDraws:
    """The images of the measured set (M,) in the order drawn, and the ledger entry (M,) before each draw.

    label: (M,) that an export would have held before the answer, where nobody had looked at the image; None for none.
    suspicion: (M,) of that label, 0..1, 0 without one; NaN where it was not noted, before revision 0008. answers: how
    many images a person had looked at when the first order began; 0 before any.
    """

    image_ids: NDArray[np.int64]
    drawn_at: NDArray[np.int64]
    label: NDArray[np.object_]
    suspicion: NDArray[np.float64]
    answers: int = 0


@dataclass(frozen=True)
class MeasuredAnswers:
    """What was answered of the images of the measured set (M,), in the order drawn.

    answered: whether there is an answer since the draw, blind and not taken back; a mark is one too. labels: the newest
    such answer's, None for a mark and where there is none.
    """

    answered: NDArray[np.bool_]
    labels: NDArray[np.object_]


@dataclass(frozen=True)
class MeasuredOrder:
    """An order of the images above the last order's `last_image`, up to its own. salt: 0 ≤ salt < 2^60."""

    last_image: int
    salt: int


class Drawing(NamedTuple):
    """Images that the measured set takes in with one answer: in their order, the ledger entry before the answer, and
    what was suspected of them then."""

    image_ids: tuple[int, ...]
    seq: int
    suspected: tuple[Suspected, ...] = ()


def read_draws(connection: Connection) -> MeasuredDraws:
    """Return what was drawn so far."""
    columns = (measured.c.image_id, measured.c.ledger_seq, measured.c.label, measured.c.suspicion)
    found = connection.execute(select(*columns).order_by(measured.c.place)).cursor.fetchall()
    ids, drawn_at, labels, suspicion = ([row[at] for row in found] for at in range(len(columns)))
    answers = connection.scalar(select(measured_orders.c.answers).where(measured_orders.c.number == 0))
    return MeasuredDraws(
        np.array(ids, np.int64), np.array(drawn_at, np.int64), np.array(labels, object),
        np.array(suspicion, np.float64), answers or 0,
    )  # fmt: skip


def read_answers(connection: Connection) -> MeasuredAnswers:
    """Return what was answered of the images drawn so far.

    Only what was asked blind is an answer: a correction made with the prediction in sight changes the label in force
    and measures nothing. Where the draw's own entry is from before blind answers said so, any that a person gave since
    the draw with the image alone in front counts.
    """
    drawn = select(measured.c.image_id, measured.c.ledger_seq).order_by(measured.c.place)
    draws = connection.execute(drawn).cursor.fetchall()
    place = {image_id: (at, seq) for at, (image_id, seq) in enumerate(draws)}
    own = select(_ENTRY.seq).join(measured, _ENTRY.seq == measured.c.ledger_seq + 1).where(_ENTRY.asked == MEASURES)
    says_so = set(connection.scalars(own))
    # joined, or asked for in order, SQLite would read the whole ledger instead of these images' entries
    said = connection.execute(
        select(_ENTRY.seq, _ENTRY.image_id, _ENTRY.action, _ENTRY.label, _ENTRY.asked).where(
            _ENTRY.image_id.in_(select(measured.c.image_id)),
            _ENTRY.action.not_in(("import", "undo")), ALONE, _STANDING,
        )
    )  # fmt: skip
    answered, labels = np.zeros(len(draws), np.bool_), np.full(len(draws), None, np.object_)
    for seq, image_id, action, label, asked in sorted(said.cursor.fetchall(), key=itemgetter(0)):
        at, drawn_at = place[image_id]
        if seq > drawn_at and (asked is not None or drawn_at + 1 not in says_so):
            answered[at], labels[at] = True, label if action in GIVES_LABEL else None
    return MeasuredAnswers(answered, labels)


def read_measuring(connection: Connection) -> NDArray[np.int64]:
    """Return the ids (M,) ascending of the images that measure: those drawn, and the test split that came with them."""
    return np.union1d(read_draws(connection).image_ids, read_test_split(connection))


def read_orders(connection: Connection) -> list[MeasuredOrder]:
    """Return the orders there are, oldest first."""
    rows = connection.execute(select(measured_orders).order_by(measured_orders.c.number))
    return [MeasuredOrder(row.last_image, row.salt) for row in rows]


def begin_order(connection: Connection) -> None:
    """Begin an order of the images that are in none yet, if there are any."""
    newest = connection.scalar(select(func.max(images.c.id))) or 0
    if newest <= (connection.scalar(select(func.max(measured_orders.c.last_image))) or 0):
        return
    number = connection.scalar(select(func.count()).select_from(measured_orders)) or 0
    seq, digest = read_head(connection)
    seen = (current_labels.c.reviewed == 1) | current_labels.c.mark.is_not(None)
    looked_at = select(func.count()).select_from(current_labels).where(seen)
    row = {
        "number": number, "last_image": newest, "salt": salt_of(digest, number), "ledger_seq": seq,
        "ledger_hash": digest, "answers": connection.scalar(looked_at) or 0,
    }  # fmt: skip
    connection.execute(insert(measured_orders), row)


def add_draws(connection: Connection, drawings: Sequence[Drawing]) -> None:
    """Add images to the measured set, drawing by drawing in this order; those that are in it stay.

    What was suspected of them before the answer is noted, where it is known.

    Raises:
        ConfigError: one is in no order.
    """
    wanted = {image_id for drawing in drawings for image_id in drawing.image_ids}
    if not wanted:
        return
    known = {
        image_id
        for chunk in chunks(sorted(wanted))
        for image_id in connection.scalars(select(measured.c.image_id).where(measured.c.image_id.in_(chunk)))
    }
    if wanted <= known:
        return
    place = connection.scalar(select(func.count()).select_from(measured)) or 0
    lasts = [one.last_image for one in read_orders(connection)]
    rows: list[dict[str, object]] = []
    for drawing in drawings:
        before = {one.image_id: one for one in drawing.suspected}
        for image_id in drawing.image_ids:
            if image_id in known:
                continue
            known.add(image_id)
            rows.append(
                {
                    "place": place + len(rows),
                    "image_id": image_id,
                    "order": bisect_left(lasts, image_id),
                    "ledger_seq": drawing.seq,
                    "label": before[image_id].label if image_id in before else None,
                    "suspicion": before[image_id].suspicion if image_id in before else None,
                }
            )
    lost = [row["image_id"] for row in rows if row["order"] == len(lasts)]
    if lost:
        raise ConfigError(
            "not saved: an image is in no order of the measured set", value=lost, way_out="Reload the page."
        )
    connection.execute(insert(measured), rows)


def salt_of(ledger_hash: str, number: int) -> int:
    """Return the salt of an order: the first 60 bits of the SHA-256 of the ledger's head, the purpose and the number
    of the order."""
    return int(hashlib.sha256(f"{ledger_hash} {PURPOSE} {number}".encode()).hexdigest()[:15], 16)


def find_flaws(connection: Connection) -> list[str]:
    """Return which orders are not those that their ledger entry gives, and which images were not drawn along theirs,
    one sentence each; empty when all is well."""
    problems = []
    for row in connection.execute(select(measured_orders).order_by(measured_orders.c.number)).all():
        if row.salt != salt_of(row.ledger_hash, row.number):
            problems.append(f"measured set: order {row.number} is not the one that its ledger entry gives")
            continue
        drawn = select(measured.c.image_id).where(measured.c.order == row.number).order_by(measured.c.place)
        places = random_order(np.array(connection.scalars(drawn).all(), np.int64), row.salt)
        if (np.diff(places) < 0).any():
            problems.append(f"measured set: images of order {row.number} were not drawn along it")
    return problems
