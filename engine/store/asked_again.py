"""How people answered when they were asked again, blind, about a label that a person had given: how often they slip."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from engine.store.audit_draws import asked_audit
from engine.store.ledger import LABELS
from engine.store.measured import MEASURES
from engine.store.rows import chunks
from engine.store.schema import entries
from engine.store.sources import is_alone
from engine.store.undo import NOT_UNDONE

_ENTRY = entries.c
_BY_CHANCE = frozenset({"all", "source:human"})
"""Orders of an audit that bring people's labels by chance; those of classes bring some classes more often."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """Labels that a person gave with the image alone in front and that chance chose to be asked again: how many got a
    blind answer, and how many of these another label, or none since the image was rejected."""

    asked: int
    differed: int


def read_asked_again(connection: Connection) -> AskedAgain:
    """Return how often people's labels got another answer in the measured set or an audit.

    Of each draw the first answer counts: what an audit asks a second time because two answers differ is chosen by them.
    Marks are no answer, and neither is what was taken back.
    """
    query = select(_ENTRY.seq, _ENTRY.image_id, _ENTRY.asked).where(_ENTRY.asked.is_not(None), NOT_UNDONE)
    asking = {seq: (image_id, _asker(text)) for seq, image_id, text in connection.execute(query)}
    asking = {seq: (image_id, asker) for seq, (image_id, asker) in asking.items() if asker}
    columns = (
        _ENTRY.image_id, _ENTRY.seq, _ENTRY.action, _ENTRY.label, _ENTRY.batch, _ENTRY.seconds, _ENTRY.seen_seconds
    )  # fmt: skip
    counted: set[tuple[int, str]] = set()
    given: dict[int, str | None] = {}
    differed = 0
    for chunk in chunks(sorted({image_id for image_id, _ in asking.values()})):
        standing = select(*columns).where(_ENTRY.image_id.in_(chunk), _ENTRY.action != "undo", NOT_UNDONE)
        for image_id, seq, action, label, batch, seconds, seen in connection.execute(standing.order_by(_ENTRY.seq)):
            before, answered = given.get(image_id), action in LABELS or action == "reject"
            if seq in asking and asking[seq] not in counted and before is not None and answered:
                counted.add(asking[seq])
                differed += action == "reject" or label != before
            if answered or action == "import":
                by_a_person = action in LABELS and is_alone(batch, seconds, seen)
                given[image_id] = label if by_a_person else None
    return AskedAgain(len(counted), differed)


def _asker(text: str) -> str:
    """Return what asked by chance: the measured set, or an audit by its number; "" where something else did."""
    if text == MEASURES:
        return text
    parts = text.split(" ", 3)
    return " ".join(parts[:2]) if asked_audit(text) and len(parts) == 4 and parts[3] in _BY_CHANCE else ""
