"""Audits: labels are frozen, a person answers images of a random order, and at each answer a bound holds.

An audit is of all labels that an export of everything would hold, or of predictions that a threshold accepts. What its
answers come to is told in `engine.quality.standing`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, LedgerError
from engine.exporters.rows import SOURCES
from engine.ids import rows_of
from engine.project.live import Live
from engine.project.quality.audit_course import Course
from engine.project.quality.measured import Measured
from engine.project.quality.suspicions import Suspicions
from engine.project.results import Results, undecided
from engine.project.workspace import Workspace
from engine.quality import audit, scale, stopping
from engine.quality.betting import ALPHA
from engine.quality.parts import ALL, Part
from engine.quality.standing import OPEN_MARKS, SHOWN, Audit, stand
from engine.records.labels import Asked, Decision
from engine.records.quality import AcceptPreview, AcceptRule, AuditRecord, FrozenLabels, PastAudit
from engine.records.rounds import Predictions
from engine.store import LabelTable
from engine.store.facts import batch_id

LATER = 10
"""Entries of the ledger after which an image is asked a second time: not at once, while it is remembered."""
ACTIVE = timedelta(days=1)
"""How long ago somebody decided who still is there to take a second look."""
ASKING = 120.0
"""Seconds for which what one person was asked is not asked of another."""
TRIES = 5
KEPT = 4
"""Audits whose course stays in memory."""


@dataclass(frozen=True, slots=True)
class Question:
    """An image that an audit asks about. order: along which it is drawn with its answer, "" where it is drawn
    already."""

    image_id: int
    order: str


class Audits:
    """The audits of one project. Thread-safe."""

    def __init__(
        self, workspace: Workspace, results: Results, live: Live, measured: Measured, suspicions: Suspicions
    ) -> None:
        self._store, self._results, self._live = workspace.store, results, live
        self._measured, self._suspicions = measured, suspicions
        self._lock = threading.RLock()
        self._courses: dict[int, Course] = {}
        self._cached: dict[int, tuple[tuple[Any, ...], Audit]] = {}
        self._asking: dict[int, tuple[str, float]] = {}  # by image, who was asked about it last, and when

    # rules ----------------------------------------------------------------------------------------------------------

    def rule_at(self, number: int, threshold: float) -> AcceptRule:
        """Return the rule with one threshold, 0..1, for all classes of a round."""
        predictions = self._results.needed(number)
        return AcceptRule(predictions.round, dict.fromkeys(predictions.classes, float(threshold)))

    def rule_for(self, number: int, target_error: float, by_class: bool = False) -> AcceptRule:
        """Return the rule that accepts the most of what is undecided at this expected share of errors.

        Args:
            number: a complete round.
            target_error: 0..1, mean of 1 − calibrated confidence over what is accepted, in each class if `by_class`.
            by_class: a threshold for each class instead of one for all.
        """
        predictions = self._results.needed(number)
        probabilities = undecided(self._store.label_table(), predictions)[1]
        if by_class:
            thresholds = audit.class_thresholds(probabilities, target_error)
            return AcceptRule(
                predictions.round, {name: float(t) for name, t in zip(predictions.classes, thresholds, strict=True)}
            )
        threshold = float(audit.global_threshold(probabilities, target_error))
        return AcceptRule(predictions.round, dict.fromkeys(predictions.classes, threshold))

    def preview(self, rule: AcceptRule) -> AcceptPreview:
        """Return what a rule would accept now."""
        predictions = self._results.needed(rule.round)
        ids, probabilities = undecided(self._store.label_table(), predictions)
        taken = audit.accepted(probabilities, _thresholds(rule, predictions))
        best = np.bincount(probabilities[taken].argmax(1) if taken.any() else [], minlength=len(predictions.classes))
        written = self._measured.scale(rule.round)
        plain = probabilities[taken].max(1) if taken.any() else np.zeros(0)
        told = written.n >= scale.TENS
        return AcceptPreview(
            rule=rule,
            count=int(taken.sum()),
            undecided=len(ids),
            expected_errors=float(audit.expected_errors(scale.recalibrated(written, plain))) if told else None,
            errors_between=stopping.wrong_between(written, plain) if told else None,
            per_class={name: int(n) for name, n in zip(predictions.classes, best.tolist(), strict=True)},
        )

    # beginning and ending -------------------------------------------------------------------------------------------

    def exported(self) -> FrozenLabels:
        """Return the labels that an export of everything would hold now: what `freeze` would take.

        Labels in force of every source, and the predictions of the round in force for undecided images; rejected images
        are out.
        """
        return self._exported(self._store.label_table())

    def freeze(
        self, *, rate: float | None = None, alpha: float = ALPHA, actor: str = "local", trusting: bool = False
    ) -> Audit:
        """Freeze the labels that an export of everything would hold, and open an audit of them.

        While it is open a live model is not fitted anew: its predictions are among the labels. How far each label is
        suspected is noted with it, before any answer.

        Args:
            rate: the goal, 0..1: the share wrong that is to be left at most; None without one.
            alpha: chance that the bound fails, 0..1, both excluded.
            actor: who freezes.
            trusting: whether the answers of people are taken as the truth: only labels that nobody looked at are
                audited then, and the goal is a share of all.

        Raises:
            ConfigError: there is no label yet, or the goal is out of range.
            LedgerError: another audit is open.
        """
        record = None
        for left in reversed(range(TRIES)):  # somebody may answer between reading and writing
            table = self._store.label_table()
            frozen = self._suspected(self._exported(table), trusting)
            if trusting and not len(frozen):
                raise ConfigError(
                    "A person looked at every label: nothing is left to audit",
                    way_out="Audit people's answers too, or export the labels.",
                )
            try:
                record = self._store.add_audit(
                    actor=actor, scope="export", frozen=frozen, ledger_seq=table.head, rate=rate,
                    alpha=alpha, round=self._results.in_force(),
                )  # fmt: skip
                break
            except LedgerError:
                if not left or self._waiting():
                    raise
        assert record is not None
        return self.get(record.number)

    def start_rule(
        self, rule: AcceptRule, *, rate: float | None = None, alpha: float = ALPHA, actor: str = "local"
    ) -> Audit:
        """Freeze exactly the predictions that a rule accepts, and open an audit of them.

        A live round stays as it is from here on. The arguments are those of `freeze`.

        Raises:
            ConfigError: the rule accepts nothing, or the goal is out of range.
            LedgerError: another audit is open.
        """
        if not self.preview(rule).count:
            raise ConfigError(
                "These thresholds accept no prediction", way_out="Lower them, or allow a larger expected error."
            )
        if not self._waiting():  # not in vain: a live round that ends is gone on with by no other
            self._live.freeze(rule.round)
        predictions = self._results.needed(rule.round)
        table = self._store.label_table()
        ids, probabilities = undecided(table, predictions)
        taken = audit.accepted(probabilities, _thresholds(rule, predictions))
        best = probabilities[taken].argmax(1)
        frozen = FrozenLabels(
            ids[taken], best.astype(np.int32), np.full(len(best), SOURCES.index("pseudo"), np.int8),
            predictions.classes, SOURCES,
        )  # fmt: skip
        record = self._store.add_audit(
            actor=actor, scope="rule", frozen=frozen, ledger_seq=table.head, round=rule.round,
            thresholds=dict(rule.thresholds), rate=rate, alpha=alpha,
        )  # fmt: skip
        return self.get(record.number)

    def close(self, number: int) -> AuditRecord:
        """End an open audit, with what it showed; its answers stay as labels.

        Raises:
            LedgerError: it is not open.
        """
        closed = self._store.close_audit(number, _facts(self.get(number)))
        self._live.tell()
        return closed

    def accept(self, number: int, actor: str = "local") -> tuple[str, int]:
        """Accept the predictions of a rule that are still undecided as one batch that carries the bound.

        Returns:
            The batch, which one undo takes back, and how many labels it gave.

        Raises:
            ConfigError: too few random answers, or the audit is of no rule.
            LedgerError: the audit is not open.
        """
        found = self.get(number)
        if found.record.scope != "rule":
            raise ConfigError("Only predictions of a rule can be accepted", value=f"audit {number}")
        if not found.total.shown:
            raise ConfigError(
                "There are too few random answers for a bound",
                value=f"{found.total.random} of {SHOWN}",
                way_out="Review the audit's images.",
            )
        facts = _facts(found)
        batch = batch_id(f"audit-{number}", facts)
        acks = self._store.accept_audit(number, self._accepting(found, batch, actor), batch, facts)
        return batch, sum(ack.status == "saved" for ack in acks)

    def reopen(self, number: int) -> Audit:
        """Go on with a closed audit: the same frozen labels and orders, at no new charge.

        Raises:
            LedgerError: it is open, another one is, or it let its labels in.
        """
        self._store.reopen_audit(number)
        return self.get(number)

    def _suspected(self, exported: FrozenLabels, trusting: bool) -> FrozenLabels:
        """These labels with how far they are suspected; without those that a person looked at, where they are trusted.

        A label that the check contradicts is not trusted.
        """
        now = self._suspicions.labels_now()
        at, there = rows_of(exported.image_ids, now.image_ids)
        suspicion = np.where(there, now.suspicion[at] if len(now.image_ids) else 1.0, 1.0).astype(np.float32)
        kept = ~(there & now.looked[at]) if trusting and len(now.image_ids) else np.ones(len(exported), np.bool_)
        return replace(
            exported, image_ids=exported.image_ids[kept], label_code=exported.label_code[kept],
            source_code=exported.source_code[kept], suspicion=suspicion[kept],
            trusted=exported.image_ids[~kept] if trusting else None,
        )  # fmt: skip

    def _waiting(self) -> bool:
        return any(one.state == "open" for one in self._store.audits())

    def _accepting(self, found: Audit, batch: str, actor: str) -> list[Decision]:
        """The decisions that accept what is left of the predictions of a rule."""
        record, table = found.record, self._store.label_table()
        assert record.round is not None
        predictions, ids = self._results.needed(record.round), self._rest(found.frozen, table)
        probabilities = predictions.probabilities[np.searchsorted(predictions.image_ids, ids)]
        columns = zip(
            ids.tolist(), table.version[table.rows(ids)].tolist(), probabilities.argmax(1).tolist(),
            probabilities.max(1).tolist(), strict=True,
        )  # fmt: skip
        return [
            Decision(
                uid=f"{batch}/{image_id}", image_id=image_id, base_version=version, action="accept",
                label=predictions.classes[best], actor=actor, round=record.round, confidence=confidence, batch=batch,
                seen_seconds=0.0,
            )
            for image_id, version, best, confidence in columns
        ]  # fmt: skip

    # what they say --------------------------------------------------------------------------------------------------

    def records(self) -> list[AuditRecord]:
        """Return all audits as stored, newest first."""
        return self._store.audits()[::-1]

    def past(self) -> list[PastAudit]:
        """Return the audits from before labels were frozen, newest first."""
        return self._store.past_audits()[::-1]

    def all(self) -> list[Audit]:
        """Return all audits with where they stand, newest first."""
        return [self.get(record.number) for record in self.records()]

    def opened(self) -> Audit | None:
        """Return the open audit, None without one."""
        return next((self.get(one.number) for one in self.records() if one.state == "open"), None)

    def get(self, number: int) -> Audit:
        """Return where one audit stands. Raises LedgerError when there is none with this number."""
        with self._lock:
            course, table = self._course(number), self._store.label_table()
            record = self._store.audit(number)
            key = (course.head, len(course.draws), table.head, len(table.image_ids), record, self._results.version())
            cached = self._cached.get(number)
            if cached is None or cached[0] != key:
                cached = key, self._stand(record, course, table)
                self._cached[number] = cached
            return cached[1]

    def covers(self, number: int, threshold: float) -> bool:
        """Return whether an audit showed a bound for a round's predictions from this threshold on, 0..1.

        It is one of exactly these, or of an export of everything, whose bound is of how many are wrong in all.
        """

        def same(thresholds: Collection[float]) -> bool:
            return all(abs(at - threshold) <= audit.ROUNDING for at in thresholds)

        of_round = [one for one in self.records() if one.round == number]
        before = [one for one in self.past() if one.round == number and one.facts.get("bound") is not None]
        if any(same(one.thresholds.values()) for one in before):
            return True
        theirs = [one for one in of_round if one.thresholds is None or same(one.thresholds.values())]
        return any(self.get(one.number).total.shown for one in theirs)

    # asking ---------------------------------------------------------------------------------------------------------

    def questions(
        self, number: int, part: Part = ALL, *, limit: int = 20, exclude: Collection[int] = (), actor: str | None = None
    ) -> tuple[list[Question], int]:
        """Return which images an audit asks about next, and how many it could ask about in all.

        First those that were drawn and have no answer yet, then those due for a second look, then the next ones of the
        part's order. A second look is due some answers after the first and, where somebody else was active within a
        day, to somebody else. What was skipped, flagged or called unsure comes with `open_questions` alone. Two people
        who answer at once are asked about different images: what somebody else was asked lately is passed over, unless
        nothing else is left.

        Args:
            number: the audit.
            part: all labels, or those of a class or source, whose order is then another.
            limit: images at most.
            exclude: images that are held already.
            actor: who is asked; None where nobody knows.

        Raises:
            LedgerError: there is no such audit.
        """
        found = self.get(number)
        if not found.open:
            return [], 0
        with self._lock:
            course = self._course(number)
            members = set(course.frozen.image_ids[course.rows_of(part)].tolist()) if part != ALL else None
            now, others = time.monotonic(), set()
            if actor is not None:
                others = {i for i, (who, at) in self._asking.items() if who != actor and now - at < ASKING}
                others -= set(found.seconds)  # a second look is for somebody else by itself
            held = set(exclude) | others
            new: list[int] = []
            waiting = [i for i in found.unanswered if not course.said.get(i)] + self._due(course, found, actor)
            for image_id in course.upcoming(part):
                if len(new) >= limit:
                    break
                if image_id not in held:
                    new.append(image_id)
            if not new:  # nothing else is left to ask meanwhile
                waiting += [i for i in found.seconds if i not in set(waiting)]
            left = int((~course.seen[course.rows_of(part)]).sum())
        drawn = [i for i in waiting if members is None or i in members]
        asked = [Question(i, "") for i in drawn if i not in held] + [Question(i, str(part)) for i in new]
        if not asked and others:
            return self.questions(number, part, limit=limit, exclude=exclude)
        if actor is not None:
            self._asking |= {one.image_id: (actor, now) for one in asked[:limit]}
        return asked[:limit], left + len(drawn)

    def open_questions(self, number: int) -> list[Question]:
        """Return all images of an open audit that count as wrong until they are answered: for lack of an answer, or of
        a second look."""
        found = self.get(number)
        return [Question(i, "") for i in (*found.unanswered, *found.seconds)] if found.open else []

    def asked(self, number: int, part: Part | None, image_id: int) -> Asked | None:
        """Return how an answer to this image is recorded: what it draws; None where the audit is closed or did not
        freeze the image.

        Args:
            number: the audit.
            part: along whose order it was asked; None for one that was drawn before.
            image_id: the image. Where others of the order come before it they are drawn too.
        """
        if self._store.audit(number).state != "open":
            return None
        with self._lock:
            course = self._course(number)
            row, frozen = course.frozen.rows(np.array([image_id], np.int64))
            if not frozen[0]:
                return None
            if part is None or course.seen[row[0]]:
                return Asked(number)
            draws: list[int] = []
            for upcoming in course.upcoming(part):
                draws.append(upcoming)
                if upcoming == image_id:
                    return Asked(number, str(part), tuple(draws))
            return Asked(number)

    def asks_blind(self, image_id: int) -> int | None:
        """Return the open audit that waits for a blind answer to this image, None without one."""
        found = self.opened()
        return found.number if found is not None and image_id in {*found.unanswered, *found.seconds} else None

    def _due(self, course: Course, found: Audit, actor: str | None) -> list[int]:
        """Images whose second look is due, for this person."""
        last = {image_id: course.said[image_id][-1] for image_id in found.seconds}
        due = [i for i, one in last.items() if one.seq + LATER <= course.head]
        if actor is None or not due:
            return due
        since = (datetime.now(UTC) - ACTIVE).isoformat()
        others = {one for one, time in self._store.last_decided().items() if time >= since} - {actor}
        mine = {i for i in due if any(one.actor == actor and one.action not in OPEN_MARKS for one in course.said[i])}
        return [i for i in due if i not in mine or not others]

    # the rest -------------------------------------------------------------------------------------------------------

    def _course(self, number: int) -> Course:
        course = self._courses.pop(number, None)
        if course is None:
            course = Course(self._store.audit(number), self._store.frozen_labels(number))
        course.follow(self._store)
        others = list(self._courses.items())[-(KEPT - 1) :]
        self._courses = {**dict(others), number: course}
        self._cached = {kept: one for kept, one in self._cached.items() if kept in self._courses}
        return course

    def _stand(self, record: AuditRecord, course: Course, table: LabelTable) -> Audit:
        frozen, answers = course.frozen, tuple(course.answers())
        place = record.ordinal or 1 + self._store.audits_answered()
        now, added, held = self._labels_now(record, frozen, table)
        other = (now != frozen.label_code) & (now >= 0)
        settled = {one.image_id: one.wrong for one in answers if one.settled}
        judged = np.isin(frozen.image_ids, list(settled))
        wrong = np.isin(frozen.image_ids, [image_id for image_id, is_wrong in settled.items() if is_wrong])
        found = stand(
            frozen, answers, [course.differs_blind(one) for one in answers], record.alpha, place,
            other & ~course.seen, judged & (now >= 0) & (other != wrong),
        )  # fmt: skip
        return Audit(
            record, frozen, answers, found.total, found.classes, found.sources, place, found.people, found.missed,
            int((now < 0).sum()), added, held,
        )  # fmt: skip

    def _labels_now(
        self, record: AuditRecord, frozen: FrozenLabels, table: LabelTable
    ) -> tuple[NDArray[np.int64], int, int]:
        """The class that each frozen image has now, -1 for none and beyond the frozen names for one that was not among
        them; how many labels there are beside; how many predictions of a rule are left to accept."""
        rows = table.rows(frozen.image_ids)
        if record.scope == "rule":
            labeled = (table.labeled & ~table.rejected)[rows]
            now = np.where(labeled, _codes(table, frozen.names)[rows], frozen.label_code)
            return now, 0, len(self._rest(frozen, table))
        exported = self._exported(table)
        at, there = rows_of(frozen.image_ids, exported.image_ids)
        place = {name: code for code, name in enumerate(frozen.names)}
        codes = np.array([place.get(name, len(place)) for name in exported.names] or [0], np.int64)
        now = np.where(there, codes[exported.label_code[at]] if len(exported) else 0, -1)
        trusted = frozen.trusted if frozen.trusted is not None else np.empty(0, np.int64)
        added = ~np.isin(exported.image_ids, frozen.image_ids) & ~np.isin(exported.image_ids, trusted)
        return now, int(added.sum()), 0

    def _rest(self, frozen: FrozenLabels, table: LabelTable) -> NDArray[np.int64]:
        """The frozen images without label and mark, ascending."""
        return frozen.image_ids[table.undecided[table.rows(frozen.image_ids)]]

    def _exported(self, table: LabelTable) -> FrozenLabels:
        predictions = self._results.predictions()
        names = list(self._store.classes())
        label, source = _codes(table, names), table.source_code.astype(np.int8)
        usable = table.labeled & ~table.rejected
        if predictions is not None:
            names += [name for name in predictions.classes if name not in names]
            rows, predicted = rows_of(table.image_ids, predictions.image_ids)
            pseudo = table.undecided & predicted
            columns = np.array([names.index(name) for name in predictions.classes], np.int64)
            label = np.where(pseudo, columns[predictions.probabilities.argmax(1)[rows]], label)
            source = np.where(pseudo, np.int8(SOURCES.index("pseudo")), source)
            usable |= pseudo
        return FrozenLabels(
            table.image_ids[usable], label[usable].astype(np.int32), source[usable], tuple(names), SOURCES
        )


def _codes(table: LabelTable, names: Collection[str]) -> NDArray[np.int64]:
    """Each label's place (N,) among names: -1 for no label, beyond the last for one that is not among them."""
    codes = table.class_index(list(names))
    return np.where(table.labeled & (codes < 0), len(names), codes)


def _thresholds(rule: AcceptRule, predictions: Predictions) -> NDArray[np.float64]:
    """The rule's thresholds (K,) in the round's order; a class it does not name takes nothing."""
    return np.array([rule.thresholds.get(name, 2.0) for name in predictions.classes], np.float64)


def _facts(found: Audit) -> dict[str, Any]:
    """What is kept of an audit with its batch, and when it is closed."""
    record, total = found.record, found.total
    limit = min(total.left_wrong, found.rest) / found.rest if found.rest else 0.0
    return {
        "kind": "audit", "audit": record.number, "scope": record.scope, "round": record.round,
        "thresholds": None if record.thresholds is None else dict(record.thresholds), "digest": record.digest,
        "population": total.labels, "audited": total.random, "wrong": total.wrong, "looked": total.looked,
        "found": total.found, "wrong_ids": list(found.wrong_ids),
        "left_wrong": total.left_wrong if total.shown else None,
        "bound": min(1.0, total.left_wrong / total.whole) if total.shown else None, "level": found.level,
        "trusted": total.trusted if found.trusting else None,
        "place": found.place, "threshold": total.threshold, "missed": found.missed,
        "missed_is_measured": found.missed_is_measured, "changed": found.changed, "accepted": found.rest,
        "rest_bound": limit if total.shown and record.scope == "rule" else None,
        "sources": found.frozen.per_source(),
        "method": "betting without replacement, holds at every answer", "statement": audit.statement(found),
    }  # fmt: skip
