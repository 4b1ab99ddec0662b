"""What the files of an export say of its audit, worked out again from them alone, without the project.

The frozen labels and the ledger give the random order, the draws and what people answered; with the exported labels
they give the certificate anew, which is compared with the one in the export, field by field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, ExportError
from engine.exporters.evidence import (
    CERTIFICATE,
    FROZEN,
    LEDGER,
    TEXT,
    ExportedRow,
    ReadBack,
    open_export,
    read_frozen,
    read_ledger,
)
from engine.exporters.rows import SOURCES
from engine.project.quality.audit_course import Course
from engine.project.quality.replay import certified, looked_at, replayed
from engine.quality import certificate
from engine.quality.certificate import Certificate
from engine.quality.frozen import frozen_digest, order_salt
from engine.records.labels import LedgerEntry
from engine.records.quality import FrozenLabels
from engine.store.audit_draws import DIGITS, asked_audit, asked_order
from engine.store.chain import entry_hash
from engine.store.database import GENESIS

FrozenRow = tuple[int, str, str, str]
NAMED = 5
"""Images named of those that do not hold."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was worked out again: whether it holds, and what was found."""

    holds: bool
    what: str


def verify(path: Path) -> list[Finding]:
    """Return what holds of the certificate of an export, and what does not.

    Args:
        path: a zip of images or the folder it was unpacked into, or a table with its evidence beside it.

    Raises:
        ExportError: there is no export, or it carries no certificate that can be read.
    """
    with open_export(path) as files:
        stored, told = _stored(files)
        frozen_rows, ledger = read_frozen(_needed(files, FROZEN)), read_ledger(_needed(files, LEDGER))
        rows = files.rows()
        findings = [Finding(False, f"{name} is twice in the archive") for name in files.twice]
        trusted = _trusted(frozen_rows, ledger, stored)
        findings += _frozen(frozen_rows, trusted, stored)
        findings += _ledger(ledger, stored)
        findings += _counted(ledger, stored)
        frozen = replace(_labels(frozen_rows), trusted=trusted)
        course, astray = replayed(stored.freeze, stored.alpha, frozen, ledger)
        findings.append(_along(course, astray))
        if rows is None:
            return [*findings, Finding(False, "The table of the export is missing: its labels were not compared")]
        exported = {row.image_id: row.label for row in rows if row.label}
        version = stored.method_version
        again = certified(course, ledger, exported, stored.freeze, stored.goal, stored.issued, version)
        findings += _compared(again, stored)
        findings += _words(files, stored, told)
        findings += _exported(rows, ledger, frozen_rows, stored)
        return [*findings, *_images(files, rows)]


def _stored(files: ReadBack) -> tuple[Certificate, dict[str, Any]]:
    data = files.read(CERTIFICATE)
    if data is None:
        raise ExportError(
            "This export carries no certificate", way_out="Freeze and audit the labels, then export them again."
        )
    try:
        told = json.loads(data)
        return certificate.of_json(told), told
    except (ValueError, ConfigError, AttributeError) as error:
        raise ExportError("The certificate cannot be read", value=error) from error


def _needed(files: ReadBack, name: str) -> bytes:
    data = files.read(name)
    if data is None:
        raise ExportError(f"{name} is missing from the export", way_out="Export the labels again.")
    return data


def _trusted(rows: Sequence[FrozenRow], ledger: Sequence[LedgerEntry], stored: Certificate) -> NDArray[np.int64] | None:
    """The labels that are taken as right, by image: those that a person had looked at and that were not frozen."""
    if stored.freeze.trusted is None:
        return None
    looked = looked_at(ledger[: stored.freeze.ledger_seq])
    return np.array(sorted(looked - {row[0] for row in rows}), np.int64)


def _frozen(rows: Sequence[FrozenRow], trusted: NDArray[np.int64] | None, stored: Certificate) -> Iterator[Finding]:
    """Whether the frozen labels, and those taken as right, are those of the certificate."""
    ids = [row[0] for row in rows]
    digest = frozen_digest(rows, trusted)
    if ids != sorted(set(ids)):
        yield Finding(False, "The frozen labels are not in the order of their images, or an image is among them twice")
    elif digest == stored.freeze.digest:
        yield Finding(True, f"The {len(rows):,} frozen labels have the digest of the certificate")
    else:
        yield Finding(
            False, f"The frozen labels have the digest {digest}, and the certificate says {stored.freeze.digest}"
        )
    if len(rows) != stored.freeze.labels:
        yield Finding(False, f"{len(rows):,} labels were frozen, and the certificate says {stored.freeze.labels:,}")
    if trusted is None:
        return
    told = f"Before the freeze people had looked at {len(trusted):,} more labels, which are taken as right"
    if len(trusted) == stored.freeze.trusted:
        yield Finding(True, told)
    else:
        yield Finding(False, f"{told}, and the certificate says {stored.freeze.trusted:,}")


def _counted(ledger: Sequence[LedgerEntry], stored: Certificate) -> Iterator[Finding]:
    """Whether the audits from before labels were frozen are counted that the ledger knows: those that let labels in."""
    if stored.method_version == 1:
        return
    asked = {(entry.asked or "").split(" ")[1] for entry in ledger if asked_audit(entry.asked)}
    batches = {(entry.batch or "").split("-")[1] for entry in ledger if (entry.batch or "").startswith("audit-")}
    least = len(batches - asked)
    if stored.freeze.before < least:
        yield Finding(
            False, f"The ledger has {least:,} audits from before labels were frozen, and the certificate counts "
            f"{stored.freeze.before:,}",
        )  # fmt: skip


def _labels(rows: Sequence[FrozenRow]) -> FrozenLabels:
    names = tuple(sorted({label for _, _, label, _ in rows}))
    strange = {source for _, _, _, source in rows} - set(SOURCES)
    if strange:
        raise ExportError("The frozen labels have an unknown source", value=sorted(strange)[0])
    code = {name: number for number, name in enumerate(names)}
    return FrozenLabels(
        np.array([row[0] for row in rows], np.int64),
        np.array([code[row[2]] for row in rows], np.int32),
        np.array([SOURCES.index(row[3]) for row in rows], np.int8),
        names,
        SOURCES,
    )


def _ledger(ledger: Sequence[LedgerEntry], stored: Certificate) -> Iterator[Finding]:
    """Whether the ledger's chain holds and leads through the freeze to the certificate."""
    digest, freeze = GENESIS, stored.freeze
    hashes = {0: GENESIS}
    for number, entry in enumerate(ledger, 1):
        row = {**asdict(entry), "reviewed": int(entry.reviewed)}
        if entry.seq != number or entry.prev_hash != digest or entry_hash(row) != entry.hash:
            yield Finding(False, f"Entry {number:,} of the ledger is not as it was written")
            return
        digest = hashes[number] = entry.hash
    at_end = (len(ledger), digest)
    if at_end == (stored.issued.ledger_seq, stored.issued.ledger_hash):
        yield Finding(
            True, f"The ledger's {len(ledger):,} entries are linked, up to the one that the certificate names"
        )
    else:
        yield Finding(False, f"The ledger ends with entry {at_end[0]:,}, {at_end[1]}, not as the certificate says")
    if hashes.get(freeze.ledger_seq) != freeze.ledger_hash:
        yield Finding(False, f"Entry {freeze.ledger_seq:,} of the ledger is not the one the certificate says was last")
    salt = order_salt(freeze.ledger_hash, freeze.audit)
    if salt == freeze.salt:
        yield Finding(True, "The random order is the one that the ledger's head at the freeze gives")
    else:
        yield Finding(False, f"The ledger's head at the freeze gives the salt {salt}, not {freeze.salt}")
    strange = next((one for one in ledger if _of_other_digest(one, stored)), None)
    if strange is not None:
        yield Finding(False, f"Entry {strange.seq:,} of the ledger answers for other frozen labels")


def _of_other_digest(entry: LedgerEntry, stored: Certificate) -> bool:
    if asked_order(entry.asked, stored.freeze.audit) is None:
        return False
    return (entry.asked or "").split(" ", 3)[2] != stored.freeze.digest[:DIGITS]


def _along(course: Course, astray: Sequence[int]) -> Finding:
    """Whether every image that was drawn was the first of its order at that time."""
    if astray:
        return Finding(False, f"Not along the random order: {_named(astray)}")
    return Finding(True, f"The {len(course.draws):,} images drawn were the next of the random order each time")


def _compared(again: Certificate, stored: Certificate) -> Iterator[Finding]:
    """Whether each field of the certificate is what the files give."""
    if again.answers == stored.answers:
        yield Finding(True, f"The {len(again.answers):,} answers are those of the ledger")
    else:
        differing = [
            one.image_id for one in {*again.answers} ^ {*stored.answers}
        ] or [one.image_id for one in stored.answers]  # fmt: skip
        yield Finding(False, f"The answers are not those of the ledger: {_named(sorted(set(differing)))}")
    agree = True
    for name in (one.name for one in fields(Certificate) if one.name != "answers"):
        ours, theirs = getattr(again, name), getattr(stored, name)
        if ours != theirs:
            agree = False
            yield Finding(False, f"“{name}” of the certificate does not follow from its files: {_apart(ours, theirs)}")
    if agree:
        yield Finding(True, f"The bounds follow from the answers. {certificate.statement(again)}")
        yield Finding(True, _by_method(again))


def _by_method(again: Certificate) -> str:
    """By which method the bounds of classes and sources were worked out again."""
    if again.method_version == 1:
        return "By method 1: each bound of a class or source holds by itself, not all together"
    return (
        f"By method {again.method_version}: the {again.table:,} bounds of classes and sources hold together, each "
        f"where E reaches {again.table * again.threshold:g}"
    )


def _apart(ours: Any, theirs: Any) -> str:
    """Where two values differ."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        return next(_apart(one, two) for one, two in zip(ours, theirs, strict=True) if one != two)
    if hasattr(ours, "__dataclass_fields__"):
        name = next(one.name for one in fields(ours) if getattr(ours, one.name) != getattr(theirs, one.name))
        return f"{name} is {getattr(ours, name)}, not {getattr(theirs, name)}"
    return f"it is {ours}, not {theirs}"


def _words(files: ReadBack, stored: Certificate, told: dict[str, Any]) -> Iterator[Finding]:
    """Whether the texts say what the numbers say."""
    if json.loads(json.dumps(certificate.as_json(stored))) != told:
        yield Finding(False, f"{CERTIFICATE} says in words something else than its numbers")
    if (files.read(TEXT) or b"").decode(errors="replace") != certificate.as_text(stored):
        yield Finding(False, f"{TEXT} is not what {CERTIFICATE} says")
    else:
        yield Finding(True, f"{TEXT} says what {CERTIFICATE} says")


def _exported(
    rows: Sequence[ExportedRow], ledger: Sequence[LedgerEntry], frozen_rows: Sequence[FrozenRow], stored: Certificate
) -> Iterator[Finding]:
    """Whether the exported labels are those of the ledger, or of the freeze, and of the same images."""
    in_force = {entry.image_id: entry.label for entry in ledger}
    shas = {number: sha for number, sha, _, _ in frozen_rows}
    labels = {number: label for number, _, label, _ in frozen_rows}
    ids = [row.image_id for row in rows]
    if len(set(ids)) < len(ids):
        yield Finding(False, "An image is in the table twice")
    changed = set(stored.contents.changed)
    wrong, other, loose = [], [], 0
    for row in rows:
        if shas.get(row.image_id, row.sha256) != row.sha256:
            other.append(row.image_id)
        if not row.label:
            continue
        if row.source != "pseudo":
            expected = in_force.get(row.image_id)
        elif row.image_id in labels and row.image_id not in changed:
            expected = labels[row.image_id]
        else:
            expected, loose = row.label, loose + 1
        if row.label != expected:
            wrong.append(row.image_id)
    if wrong:
        yield Finding(False, f"Not the label of the ledger or of the freeze: {_named(wrong)}")
    else:
        labels_there = sum(bool(row.label) for row in rows)
        but = f", but for {loose:,} pseudo-labels that rest on a model alone" if loose else ""
        yield Finding(True, f"The {labels_there:,} exported labels are those of the ledger and of the freeze{but}")
    if other:
        yield Finding(False, f"Not the image that was frozen: {_named(other)}")


def _images(files: ReadBack, rows: Sequence[ExportedRow]) -> Iterator[Finding]:
    """Whether the image files are those of the table."""
    if not files.has_images:
        return
    wrong = []
    for row in rows:
        data = files.image(row.file_name)
        if data is None or hashlib.sha256(data).hexdigest() != row.sha256:
            wrong.append(row.image_id)
    if wrong:
        yield Finding(False, f"Missing, or not the image of the table: {_named(wrong)}")
    else:
        yield Finding(True, f"The {len(rows):,} images have the SHA-256 of the table")


def _named(ids: Sequence[int]) -> str:
    """Return some images by number, and how many there are."""
    some = ", ".join(str(one) for one in ids[:NAMED])
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return f"image{'s' * (len(ids) > 1)} {some}{more}"
