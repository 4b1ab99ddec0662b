"""An audit worked out again from what leaves the project: the frozen labels, the ledger, the exported labels.

The draws are in no file: an answer that an audit asked for draws the images of its order up to its own, so that the
ledger gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from engine.errors import ConfigError
from engine.project.quality.audit_course import Course
from engine.quality import certificate
from engine.quality.certificate import Certificate, Freeze, Issued
from engine.quality.parts import Part
from engine.quality.standing import stand
from engine.records.goal import Goal
from engine.records.labels import LedgerEntry
from engine.records.quality import AuditRecord, Draw, FrozenLabels, Said
from engine.store.audit_draws import AuditNews, asked_order
from engine.store.sources import Origins, is_alone, is_reviewed


def replayed(
    freeze: Freeze, alpha: float, frozen: FrozenLabels, ledger: Sequence[LedgerEntry]
) -> tuple[Course, list[int]]:
    """Return the course of an audit as the ledger tells it, and the images that were not along their random order.

    Args:
        freeze: of the audit.
        alpha: of the audit.
        frozen: the labels.
        ledger: from its first entry on.
    """
    record = AuditRecord(
        freeze.audit, freeze.created, "", "export", None, None, None, alpha, freeze.ledger_seq, freeze.ledger_hash,
        freeze.salt, freeze.digest, "closed",
    )  # fmt: skip
    course, astray = Course(record, frozen), []
    for entry in ledger[freeze.ledger_seq :]:
        draws = _drawn(course, entry)
        if draws is None:
            astray.append(entry.image_id)
        said = [_said(entry)] if _is_said(entry) else []
        if draws or said:
            course.take(AuditNews(draws or [], said, entry.seq))
    return course, astray


def certified(
    course: Course,
    ledger: Iterable[LedgerEntry],
    exported: Mapping[int, str],
    freeze: Freeze,
    goal: Goal,
    issued: Issued,
    version: int = certificate.METHOD_VERSION,
) -> Certificate:
    """Return the certificate of an audit of exported labels.

    Args:
        course: of the audit.
        ledger: from its first entry on.
        exported: label by image id.
        freeze: of the audit.
        goal: of the project.
        issued: by and of what it is made.
        version: of the certificate's method.
    """
    frozen, answers = course.frozen, course.answers()
    found, changed, contradicting = certificate.contents(frozen, answers, exported)
    standings = stand(
        frozen, answers, [course.differs_blind(one) for one in answers], course.record.alpha,
        freeze.before + _place(ledger, freeze.audit), changed, contradicting,
    )  # fmt: skip
    return certificate.certify(answers, standings, found, freeze, goal, issued, version)


def looked_at(ledger: Sequence[LedgerEntry]) -> frozenset[int]:
    """Return the images with a label in force that a person gave or confirmed with the image alone in front.

    Args:
        ledger: its entries up to some one, from the first on.
    """
    origins, reviewed = Origins(), {}
    for entry in ledger:
        origin = origins.follow(asdict(entry))
        given = origin is not None and is_reviewed(origin) and entry.label is not None and entry.mark != "reject"
        reviewed[entry.image_id] = given
    return frozenset(image_id for image_id, given in reviewed.items() if given)


def _drawn(course: Course, entry: LedgerEntry) -> list[Draw] | None:
    """The draws that come with an answer; None where its order does not lead to it."""
    order = asked_order(entry.asked, course.record.number)
    row, known = course.frozen.rows(np.array([entry.image_id], np.int64))
    if not order or (known[0] and course.seen[row[0]]):
        return []
    draws = []
    try:
        for image_id in course.upcoming(Part.parse(order)):
            draws.append(Draw(image_id, order, entry.seq - 1))
            if image_id == entry.image_id:
                return draws
    except ConfigError:
        return None
    return None


def _is_said(entry: LedgerEntry) -> bool:
    alone = is_alone(entry.batch, entry.seconds, entry.seen_seconds)
    return entry.undoes is not None or (alone and entry.action not in ("import", "undo"))


def _said(entry: LedgerEntry) -> Said:
    return Said(
        entry.seq, entry.image_id, entry.action, entry.actor, entry.label, entry.time, entry.asked, entry.undoes
    )


def _place(ledger: Iterable[LedgerEntry], audit: int) -> int:
    """The how-manieth audit with an answer it is: by the first answer that drew for each."""
    numbers = [one.asked.split(" ", 3)[1] for one in ledger if one.asked and len(one.asked.split(" ", 3)) == 4]
    firsts = list(dict.fromkeys(numbers))
    return firsts.index(str(audit)) + 1 if str(audit) in firsts else len(firsts) + 1
