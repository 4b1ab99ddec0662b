"""A project's quality as measured: accuracy, calibration, confusions, pace, whether to go on."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from engine.errors import ConfigError
from engine.project.results import Results, undecided
from engine.project.workspace import Workspace
from engine.quality import pace, reliability, sample, stopping
from engine.query import random_order
from engine.records.labels import Mark
from engine.records.quality import (
    CurvePoint,
    Estimate,
    Outlook,
    Pace,
    Reliability,
)
from engine.records.rounds import Predictions, RoundReport
from engine.rounds.folder import heldout, results
from engine.store import LabelTable

NOT_RIGHT: tuple[Mark, ...] = ("reject", "unsure")
"""Marks that say of a label in force that it does not hold."""


class Measured:
    """What is known of how good one project's labels and predictions are. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results) -> None:
        self._workspace, self._store, self._results = workspace, workspace.store, results

    def random_sample(self, number: int) -> Estimate:
        """Return the share of a round's predictions that were right, by the images that chance put up for review.

        The images unlabeled in the round have a fixed random order; those before the first that nobody has looked at
        are a random sample of them. Rejected and unsure ones count as wrong, so do those skipped or flagged without a
        label. Labels that came in a batch were not looked at one by one and end the sample.
        """
        predictions = self._results.needed(number)
        roles = results.roles(self._workspace.round_folder(number))
        free = [roles.get(image_id) == "unlabeled" for image_id in predictions.image_ids.tolist()]
        ids = predictions.image_ids[np.array(free, bool)]
        table = self._store.label_table()
        rows = table.rows(ids)
        answered = ~table.undecided[rows] & (table.version[rows] > self._store.round(number).ledger_seq)
        chosen = sample.random_prefix(random_order(ids), answered & ~np.isin(ids, self._store.unseen()))
        best = predictions.probabilities[np.searchsorted(predictions.image_ids, ids[chosen])].argmax(1)
        same = table.class_index(predictions.classes)[rows[chosen]] == best
        right = int((same & ~table.has_mark(*NOT_RIGHT)[rows[chosen]]).sum())
        how = (
            f"images picked at random from the {len(ids):,} that round {number} had no label for, looked at since; "
            "those without an answer count as wrong"
        )
        return sample.share(right, len(chosen), how)

    def reliability(self, number: int) -> tuple[Reliability, Reliability]:
        """Return how well confidence told the share right on held-out labels, before and after calibration.

        After: each fifth of the labels is judged by a temperature fitted to the other four, so no label judges itself.
        """
        probabilities, labels = heldout.rows(self._workspace.round_folder(number))
        temperature = heldout.temperature(self._workspace.round_folder(number))
        raw = reliability.untempered(probabilities, temperature)
        after, how = heldout.cross_fitted(raw, labels)
        return (
            reliability.reliability(raw.max(1), raw.argmax(1) == labels, how="the network's own confidence"),
            reliability.reliability(after.max(1), after.argmax(1) == labels, how=how),
        )

    def confusion_ids(self, number: int, label: str, predicted: str) -> list[int]:
        """Return the held-out images of one cell of the confusion matrix, ascending."""
        predictions = self._results.needed(number)
        ids, labels = heldout.ids(self._workspace.round_folder(number))
        best = predictions.probabilities[np.searchsorted(predictions.image_ids, ids)].argmax(1)
        names = np.array(predictions.classes, object)
        return [int(i) for i in ids[(names[labels] == label) & (names[best] == predicted)]]

    def pace(self) -> list[Pace]:
        """Return how fast each person decides, the latest first."""
        entries = self._store.timings()
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
        promoted = {record.number for record in self._store.rounds() if record.state == "promoted"}
        seconds = self._seconds()
        predictions, table = self._results.predictions(), self._store.label_table()
        confidence = None
        if predictions is not None and self._results.calibrated(predictions.round):
            confidence = np.sort(undecided(table, predictions)[1].max(1))
        next_count = next_count if confidence is None else min(next_count, len(confidence))
        total, blank, wrong = self._elsewhere(table, predictions)
        asked = None if confidence is None else np.concatenate([np.zeros(blank), confidence])
        measured = confidence is not None and self._measured(curve)
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
        in_force = self._results.in_force()
        return any(one.round == in_force and one.accuracy.n >= stopping.FEW_HELD_OUT for one in curve)

    def _elsewhere(self, table: LabelTable, predictions: Predictions | None) -> tuple[int, int, float]:
        """Images that are not rejected; those without a label that have no prediction or a mark, so that only a person
        can say; and how many labels that nobody looked at are expected to be wrong, by their confidence."""
        usable = ~table.rejected
        predicted = np.isin(table.image_ids, [] if predictions is None else predictions.image_ids)
        blank = usable & ~table.labeled & (~predicted | table.marked)
        unseen = np.isin(table.image_ids, self._store.unseen()) & table.has_source("accepted")
        wrong = float(np.nansum(1.0 - table.confidence[unseen]))
        return int(usable.sum()), int(blank.sum()), wrong

    def _seconds(self) -> float | None:
        """Median seconds of a timed decision of the busiest person; None without one."""
        return next((one.seconds for one in self.pace() if one.seconds is not None), None)

    def _curve(self) -> tuple[CurvePoint, ...]:
        points = []
        for record in self._results.complete():
            report = record.report or RoundReport()
            held = report.heldout
            how = f"{held.n} held-out labels of round {record.number}"
            estimate = Estimate(held.correct, held.n, held.low, held.high, how)
            if not held.n:
                estimate = self.random_sample(record.number)
            points.append(CurvePoint(record.number, report.algorithm, report.counts.train, estimate))
        return tuple(points)
