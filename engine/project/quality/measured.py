"""A project's quality: measured accuracy, audits of accepted predictions, checks of labels, whether to go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ConfigError
from engine.project.quality.audits import AUDITED, LEVEL, Audits, predictions, undecided
from engine.project.quality.checks import Checks
from engine.quality import pace, reliability, sample, stopping
from engine.query import random_order
from engine.records.quality import (
    AcceptPreview,
    AcceptRule,
    AuditRecord,
    AuditResult,
    BatchInfo,
    CheckKind,
    CheckState,
    CurvePoint,
    DuplicateGroup,
    Estimate,
    LabelIssue,
    Outlook,
    Pace,
    Reliability,
)
from engine.records.rounds import Predictions, RoundReport
from engine.rounds.folder import heldout, results

if TYPE_CHECKING:
    from engine.project.opened import Project


NOT_RIGHT = ("reject", "unsure")
"""Marks that say of a label in force that it does not hold."""


class Quality:
    """What is known of how good one project's labels and predictions are. Thread-safe."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._audits = Audits(project)
        self.checks = Checks(project)

    # accept by threshold ------------------------------------------------------------------------------------------

    def rule_at(self, number: int, threshold: float) -> AcceptRule:
        """Return the rule with one threshold, 0..1, for all classes of a round."""
        return self._audits.rule_at(number, threshold)

    def rule_for(self, number: int, target_error: float, by_class: bool = False) -> AcceptRule:
        """Return the rule that accepts the most at an expected share of errors; see `Audits.rule_for`."""
        return self._audits.rule_for(number, target_error, by_class)

    def preview(self, rule: AcceptRule) -> AcceptPreview:
        """Return what a rule would accept now."""
        return self._audits.preview(rule)

    def start_audit(
        self, rule: AcceptRule, size: int = AUDITED, level: float = LEVEL, actor: str = "local"
    ) -> AuditResult:
        """Draw a random sample of what a rule accepts, for a person to answer; see `Audits.start`."""
        return self._audits.start(rule, size, level, actor)

    def audits(self) -> list[AuditResult]:
        """Return all audits, newest first."""
        return self._audits.all()

    def audit(self, number: int) -> AuditResult:
        """Return where one audit stands. Raises ConfigError when there is none with this number."""
        return self._audits.get(number)

    def unanswered(self, number: int) -> tuple[AuditRecord, list[int]]:
        """Return an audit and the images of its sample that have no answer yet, in the order drawn."""
        return self._audits.unanswered(number)

    def accept_audit(self, number: int, actor: str = "local") -> tuple[str, int]:
        """Accept what was audited as one batch; return the batch and how many labels it gave; see `Audits.accept`."""
        return self._audits.accept(number, actor)

    def abandon_audit(self, number: int) -> None:
        """Give an open audit up; the answers stay in the ledger, and it counts as a look at its round."""
        self._audits.abandon(number)

    # measured -----------------------------------------------------------------------------------------------------

    def random_sample(self, number: int) -> Estimate:
        """Return the share of a round's predictions that were right, by the images that chance put up for review.

        The images unlabeled in the round have a fixed random order; those before the first that nobody has looked at
        are a random sample of them. Rejected and unsure ones count as wrong, so do those skipped or flagged without a
        label. Labels that came in a batch were not looked at one by one and end the sample.
        """
        found = predictions(self._project, number)
        roles = results.roles(self._project.round_dir(number))
        free = [image_id for image_id in found.image_ids.tolist() if roles.get(image_id) == "unlabeled"]
        ids = np.array(free, np.int64)
        table = self._project.label_table()
        rows = np.searchsorted(table.image_ids, ids)
        label, mark = table.label[rows], table.mark[rows]
        answered = np.array([a is not None or b is not None for a, b in zip(label, mark, strict=True)], bool)
        answered &= table.version[rows] > self._project.round(number).ledger_seq
        chosen = sample.random_prefix(random_order(ids), answered & ~np.isin(ids, self._project.store.unseen()))
        best = found.probabilities[np.searchsorted(found.image_ids, ids[chosen])].argmax(1)
        said = np.array(found.classes, object)[best]
        right = int(((label[chosen] == said) & ~np.isin(mark[chosen].astype(str), NOT_RIGHT)).sum())
        how = (
            f"images picked at random from the {len(ids):,} that round {number} had no label for, looked at since; "
            "those without an answer count as wrong"
        )
        return sample.share(right, len(chosen), how)

    def reliability(self, number: int) -> tuple[Reliability, Reliability]:
        """Return how well confidence told the share right on held-out labels, before and after calibration.

        After: each fifth of the labels is judged by a temperature fitted to the other four, so no label judges itself.
        """
        said, labels = heldout.rows(self._project.round_dir(number))
        temperature = heldout.temperature(self._project.round_dir(number))
        raw = reliability.untempered(said, temperature)
        after, how = heldout.cross_fitted(raw, labels)
        return (
            reliability.reliability(raw.max(1), raw.argmax(1) == labels, how="the network's own confidence"),
            reliability.reliability(after.max(1), after.argmax(1) == labels, how=how),
        )

    def confusion_ids(self, number: int, label: str, predicted: str) -> list[int]:
        """Return the held-out images of one cell of the confusion matrix, ascending."""
        found = predictions(self._project, number)
        ids, labels = heldout.ids(self._project.round_dir(number))
        best = found.probabilities[np.searchsorted(found.image_ids, ids)].argmax(1)
        names = np.array(found.classes, object)
        return [int(i) for i in ids[(names[labels] == label) & (names[best] == predicted)]]

    def pace(self) -> list[Pace]:
        """Return how fast each person decides, the latest first."""
        entries = self._project.store.timings()
        when = [datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds") for second in entries.time.tolist()]
        return pace.paces(entries.actor, entries.seconds, entries.action, entries.batch, np.array(when, object))

    def outlook(self, target: float = 0.99, next_count: int = 100) -> Outlook:
        """Return whether another round or further labeling is worth it; see `Outlook`.

        Args:
            target: wanted share of right labels over all images, 0..1.
            next_count: how many further decisions are looked at.
        """
        if not 0.0 < target < 1.0:
            raise ConfigError("The target must lie between 0 and 1", value=target, way_out="Try 0.99.")
        curve = self._curve()
        promoted = {record.number for record in self._project.rounds() if record.state == "promoted"}
        seconds = self._seconds()
        found = self._project.predictions()
        confidence = None if found is None else np.sort(undecided(self._project, found)[1].max(1))
        next_count = next_count if confidence is None else min(next_count, len(confidence))
        total, blank, wrong = self._elsewhere(found)
        asked = None if confidence is None else np.concatenate([np.zeros(blank), confidence])
        measured = self._measured(curve)
        decisions = stopping.decisions_left(asked, max(1, total), target, wrong) if measured else None
        minutes = None if decisions is None or seconds is None else decisions * seconds / 60
        return Outlook(
            curve=curve,
            next_count=next_count,
            next_corrections=None if confidence is None else stopping.expected_corrections(confidence, next_count),
            seconds_each=seconds,
            errors_left=None if asked is None else wrong + stopping.expected_corrections(asked, len(asked)),
            target=target,
            decisions_left=decisions,
            minutes_left=minutes,
            advice=stopping.advice([one for one in curve if one.round in promoted], decisions, minutes, target),
        )

    def _measured(self, curve: tuple[CurvePoint, ...]) -> bool:
        """Whether enough labels were held out of the round in force to trust its confidence with a count."""
        in_force = self._project.round_in_force()
        return any(one.round == in_force and one.accuracy.n >= stopping.FEW_HELD_OUT for one in curve)

    def _elsewhere(self, found: Predictions | None) -> tuple[int, int, float]:
        """Images that are not rejected; those without a label that have no prediction or a mark, so that only a person
        can say; and how many labels that nobody looked at are expected to be wrong, by their confidence."""
        table = self._project.label_table()
        marks = table.mark.astype(str)
        free = np.array([label is None for label in table.label], bool) & (marks != "reject")
        known = np.isin(table.image_ids, [] if found is None else found.image_ids)
        blank = free & (~known | (marks != "None"))
        unseen = np.isin(table.image_ids, self._project.store.unseen()) & (table.source == "accepted")
        wrong = float(np.nansum(1.0 - table.confidence[unseen]))
        return int((marks != "reject").sum()), int(blank.sum()), wrong

    def _seconds(self) -> float | None:
        """Median seconds of a timed decision of the busiest person; None without one."""
        return next((one.seconds for one in self.pace() if one.seconds is not None), None)

    def _curve(self) -> tuple[CurvePoint, ...]:
        points = []
        for record in self._project.rounds_with_predictions():
            report = record.report or RoundReport()
            held = report.heldout
            how = f"{held.n} held-out labels of round {record.number}"
            estimate = Estimate(held.correct, held.n, held.low, held.high, how)
            points.append(CurvePoint(record.number, record.algorithm, report.counts.train, estimate))
        return tuple(points)

    # checks, batches ----------------------------------------------------------------------------------------------

    def start_check(self, kind: CheckKind) -> CheckState:
        """Start a check of the labels or of duplicates in a process of its own, unless it runs."""
        return self.checks.start(kind)

    def check_state(self, kind: CheckKind) -> CheckState:
        """Return where a check stands."""
        return self.checks.state(kind)

    def cancel_check(self, kind: CheckKind) -> None:
        """End a check that runs."""
        self.checks.cancel(kind)

    def label_issues(self) -> list[LabelIssue]:
        """Return the suspected labels of the last check that nobody has looked at since, most suspicious first."""
        return self.checks.label_issues()

    def duplicates(self) -> list[DuplicateGroup]:
        """Return groups of images that look the same, those with different labels first."""
        return self.checks.duplicates()

    def batches(self, limit: int = 50) -> list[BatchInfo]:
        """Return what was recorded together, newest first."""
        return self._project.store.batches(limit)

    def counts_at(self, seq: int) -> dict[str, Any]:
        """Return the label counts once ledger entry `seq` was written."""
        return dict(self._project.store.counts_at(seq))
