"""The certificate of an audit: what was frozen, every answer, the bound, and how to work it out again.

All of it but names and dates follows from three things that leave the project together: the frozen labels, the ledger
and the exported labels. Whoever has them makes the same certificate again with `certify` and compares; that is what
`starling verify` does.

What the certificate states is about the frozen labels, as they are exported. Three things may come between:

- A label that nobody looked at since the freeze and that is exported as another one counts as wrong, for nobody knows.
- An image that was drawn and is not settled, or is exported against its answers, counts as wrong and not put right.
- Images that are not exported, or were not frozen, are outside of it: so many of all frozen labels are wrong at most,
  but what share of a part of them is, chosen in any way, nobody has bounded.

Method 1, of exports made before method 2, gave each bound of a class or source by itself and left audits from before
labels were frozen uncounted. Its certificates are worked out again by its own rules.

Sources: see `engine.quality.betting` and `engine.quality.standing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.percent import at_least, at_most, percent, short
from engine.quality.parts import ALL
from engine.quality.standing import SHOWN, PartStanding, Standings, bets
from engine.records.goal import Goal
from engine.records.quality import AuditAnswer, FrozenLabels

FORMAT, METHOD_VERSION = "starling/certificate", 2
_METHOD_1 = (
    "All labels of the population were frozen before the first answer: image ids, SHA-256 of the images, labels and "
    "sources, with the digest above.",
    "Images were drawn along a random order that is made of the ledger's head at the freeze, and asked blind. An "
    "answer that differs from the label took a second blind look; the label counts as wrong where that differs too. "
    "Images drawn and not settled count as wrong.",
    "The bound is a confidence sequence for sampling without replacement by betting (Ville 1939; Waudby-Smith and "
    "Ramdas 2020 and 2024): before each random answer p = (K − W) / (N − L), each bet is multiplied by "
    "1 + (1 − λ)(p − y) / (1 − p), and U is the largest K whose mixture E(K) never reached the threshold. It holds at "
    "whichever answer one stops.",
    "The j-th frozen audit of a project that has an answer needs a threshold of j (j + 1) / 2 / alpha.",
    "Left wrong at most: U / (1 − q) − W + C, with q the share of wrong labels that people are taken to pass, and C "
    "the labels that changed since without a look; drawn images that are not settled are added.",
)
_METHOD_2 = (
    *_METHOD_1[:-2],
    "The j-th frozen audit of a project that has an answer needs a threshold of j (j + 1) / 2 / alpha; audits from "
    "before labels were frozen count too.",
    "The bounds of classes and sources are a table of C bounds that hold together: each needs C times that threshold. "
    "Whether the goal is reached in every class is told at the threshold itself.",
    "The bound of a class is of the labels of that class. It says nothing of images of the class that are called "
    "otherwise.",
    _METHOD_1[-1],
)
_TRUSTING = (
    "The answers that people gave before the freeze, each with its image alone in front, are taken as the truth: those "
    "labels are not among the N, and q is 0. The goal is a share of all labels."
)


@dataclass(frozen=True, slots=True)
class Freeze:
    """What was frozen, when, and at which entry of the ledger; see `engine.records.quality.AuditRecord`.

    trusted: how many labels beside these are taken as right; None where people's answers are audited too. before: how
    many audits from before labels were frozen have an answer.
    """

    audit: int
    scope: str
    created: str
    ledger_seq: int
    ledger_hash: str
    salt: int
    digest: str
    labels: int
    trusted: int | None = None
    before: int = 0


@dataclass(frozen=True, slots=True)
class ListedAnswer:
    """One answer: the image, whether chance drew it ("random") or it was looked at for another reason ("look"), along
    which order, how many images it is about, and the share of them whose frozen label counts as wrong."""

    image_id: int
    kind: str
    order: str | None
    size: int
    y: float
    settled: bool


@dataclass(frozen=True, slots=True)
class PartBound:
    """What the answers come to for all labels, or for those of a class or a source.

    upper, left_wrong: of a class or source at the threshold of the table; None below 20 random answers. reached: by
    itself.
    """

    part: str
    labels: int
    random: int
    wrong: int
    looked: int
    found: int
    unsettled: int
    changed: int
    upper: int | None
    left_wrong: int | None
    reached: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """How the export and the frozen labels differ.

    labels: exported ones. changed: frozen images nobody looked at that are exported with another label. contradicting:
    settled images exported against their answers. left_out: frozen ones nobody looked at that are exported without a
    label, or not at all. added: exported labels that were neither frozen nor taken as right.
    """

    labels: int
    changed: tuple[int, ...]
    contradicting: tuple[int, ...]
    left_out: int
    added: int


@dataclass(frozen=True, slots=True)
class Issued:
    """By and of what a certificate was made; none of it can be worked out again but the ledger's head."""

    project: str
    created: str
    starling: str
    ledger_seq: int
    ledger_hash: str
    round: int | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an audit has shown of the labels of one export.

    place: j, the how-manieth frozen audit with an answer. missed: q; people_asked: human labels behind it, below 20 of
    which it is assumed. table: C, bounds of classes and sources, which need C times the threshold. method_version: of
    the rules that all of it follows.
    """

    issued: Issued
    goal: Goal
    freeze: Freeze
    alpha: float
    place: int
    threshold: float
    missed: float
    people_asked: int
    answers: tuple[ListedAnswer, ...]
    total: PartBound
    classes: tuple[PartBound, ...]
    sources: tuple[PartBound, ...]
    contents: Contents
    reached: bool
    table: int = 1
    method_version: int = METHOD_VERSION


def contents(
    frozen: FrozenLabels, answers: Sequence[AuditAnswer], exported: Mapping[int, str]
) -> tuple[Contents, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return how exported labels, by image id, differ from the frozen ones.

    Returns:
        The difference, and as masks (N,) over the frozen labels which are changed and which contradicting.
    """
    seen = {one.image_id: one for one in answers}
    changed, contradicting = np.zeros(len(frozen), np.bool_), np.zeros(len(frozen), np.bool_)
    left_out = there = 0
    for row, (image_id, code) in enumerate(zip(frozen.image_ids.tolist(), frozen.label_code.tolist(), strict=True)):
        label, answer = exported.get(image_id), seen.get(image_id)
        there += label is not None
        if answer is None:
            left_out += label is None
            changed[row] = label is not None and label != frozen.names[code]
        elif answer.settled and label is not None:
            contradicting[row] = answer.wrong != (label != frozen.names[code])
    ids = frozen.image_ids
    trusted = set() if frozen.trusted is None else exported.keys() & set(frozen.trusted.tolist())
    found = Contents(
        len(exported), tuple(ids[changed].tolist()), tuple(ids[contradicting].tolist()), left_out,
        len(exported) - there - len(trusted),
    )  # fmt: skip
    return found, changed, contradicting


def certify(
    answers: Sequence[AuditAnswer],
    standings: Standings,
    found: Contents,
    freeze: Freeze,
    goal: Goal,
    issued: Issued,
    version: int = METHOD_VERSION,
) -> Certificate:
    """Return what an audit has shown of the labels of an export.

    Args:
        answers: in their order.
        standings: what they come to, with the labels that the export changed.
        found: how the export differs.
        freeze: what was frozen and when.
        goal: of the project.
        issued: by and of what it is made.
        version: of the method.
    """
    listed = tuple(
        ListedAnswer(bet.id, bet.kind, answer.order, bet.size, bet.y, answer.settled)
        for bet, answer in zip(bets(answers)[ALL], answers, strict=True)
    )
    parts = [
        tuple(sorted((_bound(part, goal.rate, version > 1) for part in some), key=lambda one: one.part))
        for some in (standings.classes, standings.sources)
    ]
    total = _bound(standings.total, goal.rate, False)
    sure = 1.0 - standings.alpha >= goal.level - 1e-9
    met = all(part.reached for part in parts[0]) if goal.per_class else total.reached
    return Certificate(
        issued, goal, freeze, standings.alpha, standings.place, standings.total.threshold, standings.missed,
        standings.people.asked, listed, total, parts[0], parts[1], found,
        sure and met and not found.left_out and not found.added,
        len(parts[0]) + len(parts[1]) if version > 1 else 1, version,
    )  # fmt: skip


def _bound(part: PartStanding, rate: float, tabled: bool) -> PartBound:
    shown = part.shown
    upper, left = (part.tabled.upper, part.tabled_left) if tabled else (part.upper, part.left_wrong)
    return PartBound(
        str(part.part), part.labels, part.random, part.wrong, part.looked, part.found, part.unsettled, part.changed,
        upper if shown else None, left if shown else None, part.reached(rate),
    )  # fmt: skip


def statement(certificate: Certificate) -> str:
    """Return what is certified in a sentence or a few: the bound, the goal, and what is outside of it."""
    total, about = certificate.total, certificate.contents
    if total.left_wrong is None:
        return (
            f"{total.random:,} of the first {SHOWN} random answers to {total.labels:,} frozen labels, {total.wrong:,} "
            "wrong: no bound yet."
        )
    trusted = certificate.freeze.trusted
    whole = total.labels + (trusted or 0)
    share = at_most(min(1.0, total.left_wrong / whole))
    parts = [
        f"At most {total.left_wrong:,} of {whole:,} labels are wrong ({share}), "
        f"{at_least(1.0 - certificate.alpha)} sure."
    ]
    if trusted is not None:
        parts.append(
            f"This takes the answers of people as the truth: {_some(trusted, 'label', 'labels')} that a person had "
            f"looked at {'is' if trusted == 1 else 'are'} supposed to be right, and {total.labels:,} were audited."
        )
    goal = certificate.goal
    of = " in every class" if goal.per_class else ""
    met = "reached" if certificate.reached else "not reached"
    parts.append(f"The goal of at most {short(goal.rate)} wrong{of}, {short(goal.level)} sure, is {met}.")
    if about.left_out:
        parts.append(
            f"This export leaves out {about.left_out:,} of these labels that nobody has looked at: of the share wrong "
            "among the exported ones nothing is claimed."
        )
    if about.added:
        parts.append(f"Of {about.added:,} exported labels that were not frozen nothing is claimed.")
    if about.changed or about.contradicting:
        changed = len(about.changed) + len(about.contradicting)
        parts.append(f"{_some(changed, 'label has', 'labels have')} changed since the freeze, and may be wrong.")
    return " ".join(parts)


def as_json(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate as JSON has it, with its statement and the method in words."""
    fields, version = asdict(certificate), certificate.method_version
    if version == 1:
        del fields["table"], fields["method_version"], fields["freeze"]["trusted"], fields["freeze"]["before"]
    return {
        "format": FORMAT, "format_version": version, "statement": statement(certificate), **fields,
        "method": list(_method(certificate)),
    }  # fmt: skip


def _method(certificate: Certificate) -> tuple[str, ...]:
    if certificate.method_version == 1:
        return _METHOD_1
    return _METHOD_2 if certificate.freeze.trusted is None else (*_METHOD_2, _TRUSTING)


def of_json(value: Mapping[str, Any]) -> Certificate:
    """Return the certificate that JSON holds.

    Raises:
        ConfigError: it is no certificate of this version, or a part of it is missing or of the wrong kind.
    """
    version = value.get("format_version")
    if value.get("format") != FORMAT or version not in (1, METHOD_VERSION):
        raise ConfigError("This is no certificate that this version reads", value=value.get("format"))
    try:
        about = value["contents"]
        return Certificate(
            Issued(**value["issued"]), Goal(**value["goal"]), Freeze(**value["freeze"]), value["alpha"], value["place"],
            value["threshold"], value["missed"], value["people_asked"],
            tuple(ListedAnswer(**one) for one in value["answers"]), PartBound(**value["total"]),
            tuple(PartBound(**one) for one in value["classes"]), tuple(PartBound(**one) for one in value["sources"]),
            Contents(**{**about, "changed": tuple(about["changed"]), "contradicting": tuple(about["contradicting"])}),
            value["reached"], *((1, 1) if version == 1 else (value["table"], value["method_version"])),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError("The certificate cannot be read", value=error, way_out="Export anew.") from error


def as_text(certificate: Certificate) -> str:
    """Return a certificate for people to read; it says all but the single answers."""
    freeze, issued, total = certificate.freeze, certificate.issued, certificate.total
    looks = total.looked - total.random
    people = (
        f"measured on {certificate.people_asked:,} labels of people asked again"
        if certificate.people_asked >= SHOWN
        else f"assumed, since {certificate.people_asked:,} of {SHOWN} labels of people were asked again so far"
    )
    trusted = freeze.trusted
    if trusted is not None:
        people = "their answers are taken as the truth"
    model = "none" if issued.model is None else issued.model
    table = "Each of these bounds holds by itself:"
    if certificate.method_version > 1:
        table = (
            f"These {certificate.table:,} bounds hold together, each where E reaches "
            f"{certificate.table * certificate.threshold:g}. That of a class says nothing of images of this class that "
            "are called otherwise:"
        )
    lines = [
        f"CERTIFICATE of the labels of {issued.project}",
        f"Made {issued.created} by Starling {issued.starling}",
        "",
        statement(certificate),
        "",
        f"Population   {freeze.labels:,} labels, frozen {freeze.created} at ledger entry {freeze.ledger_seq:,}",
        f"             {freeze.ledger_hash}",
        *([] if trusted is None else [f"Truth        {trusted:,} more labels, which people had given or confirmed"]),
        f"Digest       {freeze.digest}",
        f"Audit        {freeze.audit} of the project, the {certificate.place}. with an answer; salt {freeze.salt}",
        f"Answers      {total.random:,} random, {total.wrong:,} of them wrong; {looks:,} more looked at; "
        f"{total.found:,} labels found wrong in all, {total.unsettled:,} of them not settled",
        f"Bound        U = {'none yet' if total.upper is None else f'{total.upper:,}'} frozen labels wrong, alpha "
        f"{certificate.alpha:g}, E needs {certificate.threshold:g}",
        f"People       pass q = {percent(certificate.missed)} of wrong labels: {people}",
        f"Changed      C = {total.changed:,} labels changed without a look",
        f"Exported     {certificate.contents.labels:,} labels: {certificate.contents.added:,} not frozen, "
        f"{certificate.contents.left_out:,} frozen ones left out",
        f"Model        {model}",
        f"Ledger       entry {issued.ledger_seq:,}, {issued.ledger_hash}",
        "",
        table,
        *(_line(one) for one in (*certificate.classes, *certificate.sources)),
        "",
        "Method" if certificate.method_version == 1 else f"Method {certificate.method_version}",
        *(f"- {sentence}" for sentence in _method(certificate)),
        "",
        "certificate.json lists every answer, frozen_labels.csv what was frozen. `starling verify EXPORT` works all of "
        "it out again.",
    ]
    return "\n".join(lines) + "\n"


def _line(part: PartBound) -> str:
    seen = f"{part.random:,} random answers, {part.wrong:,} wrong"
    if part.left_wrong is None:
        return f"  {part.part}: {part.labels:,} labels, {seen}: no bound yet"
    return f"  {part.part}: at most {part.left_wrong:,} of {part.labels:,} wrong, {seen}"


def _some(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
