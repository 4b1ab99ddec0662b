"""What an audit draws, and what people said since its freeze.

An image is drawn with its blind answer, in the same transaction; an answer to an image further along the order draws
those before it too, and they count as wrong until they are answered. Which comes next is for `engine.project`.

The ledger's entry of a blind answer says so itself: `asked` is "audit 3 DIGEST class:cat", with the beginning of the
digest of what audit 3 froze and the order that the question belongs to, or no order for a second look. It is hashed
with the entry, so that what was frozen cannot be changed once there is an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from engine.records.labels import Asked
from engine.records.quality import Draw, Said
from engine.store.past_audits import count_answered
from engine.store.rows import chunks
from engine.store.schema import audit_draws, audits, entries

DIGITS = 32
_ENTRY = entries.c
ALONE = and_(_ENTRY.seen_seconds.is_(None), or_(_ENTRY.batch.is_(None), _ENTRY.seconds.is_not(None)))
_SAID = or_(_ENTRY.undoes.is_not(None), and_(ALONE, _ENTRY.action.not_in(("import", "undo"))))


@dataclass(frozen=True)
class AuditNews:
    """What came to an audit: draws in their order, what was said or taken back, oldest first, and the ledger's last
    entry by then."""

    draws: list[Draw]
    said: list[Said]
    head: int


def read_news(connection: Connection, number: int, place: int, seq: int) -> AuditNews:
    """Return the draws of an audit from `place` on, and what people said after ledger entry `seq` of any image that
    they had alone in front."""
    drawn = select(audit_draws.c.image_id, audit_draws.c.order, audit_draws.c.ledger_seq)
    drawn = drawn.where(audit_draws.c.audit == number, audit_draws.c.place >= place).order_by(audit_draws.c.place)
    columns = (_ENTRY.seq, _ENTRY.image_id, _ENTRY.action, _ENTRY.actor, _ENTRY.label, _ENTRY.time, _ENTRY.asked)
    said = select(*columns, _ENTRY.undoes).where(_ENTRY.seq > seq, _SAID).order_by(_ENTRY.seq)
    return AuditNews(
        [Draw(*row) for row in connection.execute(drawn)],
        [Said(*row) for row in connection.execute(said)],
        connection.scalar(select(func.max(_ENTRY.seq))) or 0,
    )


def asked_text(digest: str, asked: Asked) -> str:
    """Return what the ledger's entry says of who asked."""
    return f"audit {asked.audit} {digest[:DIGITS]} {asked.order}".rstrip()


def asked_order(text: str | None, number: int) -> str | None:
    """Return the order that an answer belongs to, "" for none; None where this audit did not ask for it."""
    parts = (text or "").split(" ", 3)
    if len(parts) < 3 or parts[:2] != ["audit", str(number)]:
        return None
    return parts[3] if len(parts) == 4 else ""


def asked_audit(text: str | None) -> bool:
    """Return whether an entry answers for an audit."""
    return (text or "").startswith("audit ")


def read_open_digests(connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
    """Return the digests of those of these audits that are open."""
    query = select(audits.c.number, audits.c.digest).where(audits.c.number.in_(set(numbers)), audits.c.state == "open")
    return {row.number: row.digest for row in connection.execute(query)}


def add_draws(connection: Connection, answers: Sequence[tuple[Asked, int]]) -> None:
    """Add the images that answers draw to their audits, answer by answer in this order; those that are in one stay.

    The first draw makes an audit the next of the project's audits that have an answer; those from before labels were
    frozen count among them.

    Args:
        connection: of the transaction.
        answers: how an audit asked, and the ledger entry before the answer.
    """
    for number in dict.fromkeys(asked.audit for asked, _ in answers):
        _add_draws(connection, number, [one for one in answers if one[0].audit == number])


def _add_draws(connection: Connection, number: int, answers: Sequence[tuple[Asked, int]]) -> None:
    wanted = sorted({image_id for asked, _ in answers for image_id in asked.draws})
    drawn = select(audit_draws.c.image_id).where(audit_draws.c.audit == number)
    known = {
        image_id
        for chunk in chunks(wanted)
        for image_id in connection.scalars(drawn.where(audit_draws.c.image_id.in_(chunk)))
    }
    if known.issuperset(wanted):
        return
    last = connection.scalar(select(func.max(audit_draws.c.place)).where(audit_draws.c.audit == number))
    first = 0 if last is None else last + 1
    rows: list[dict[str, object]] = []
    for asked, seq in answers:
        for image_id in asked.draws:
            if image_id not in known:
                known.add(image_id)
                row = {"audit": number, "order": asked.order, "ledger_seq": seq}
                rows.append({**row, "place": first + len(rows), "image_id": image_id})
    connection.execute(insert(audit_draws), rows)
    if last is None:
        ordinal = 1 + count_answered_audits(connection)
        connection.execute(update(audits).where(audits.c.number == number).values(ordinal=ordinal))


def count_answered_audits(connection: Connection) -> int:
    """Return how many audits have an answer, those from before labels were frozen included."""
    last: int | None = connection.scalar(select(func.max(audits.c.ordinal)))
    return count_answered(connection) if last is None else last
