"""A project's quality as measured: accuracy, calibration, confusions, pace, whether to go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.project.results import Results, undecided
from engine.project.workspace import Workspace
from engine.quality import pace, reliability, sample, scale, stopping
from engine.query import random_order
from engine.records.labels import ACCEPTED, Mark
from engine.records.quality import (
    CurvePoint,
    Estimate,
    Outlook,
    Pace,
    Reliability,
    Scale,
)
from engine.records.rounds import LIVE, Predictions, RoundReport
from engine.rounds.folder import heldout, results
from engine.rounds.folder.plan import read_plan
from engine.store import LabelTable

NOT_RIGHT: tuple[Mark, ...] = ("reject", "unsure")
"""Marks that say of a label in force that it does not hold."""

_EDGE = 1e-3


@dataclass(frozen=True)
class Standing:
    """How good all images are together: labels by a person count as right, predictions as the random answers say.

    sample: of the predictions. right, low, high: shares 0..1 of all images that are not rejected; decisions_left: how
    many more answers, the least sure first, to the goal; None where nothing says so yet.
    """

    sample: Estimate
    right: float
    low: float
    high: float
    decisions_left: int | None


@dataclass(frozen=True)
class Answers:
    """Answers that measure predictions: the confidence of each when it was given (n,), NaN where none was recorded, and
    whether it was right (n,)."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]


class Measured:
    """What is known of how good one project's labels and predictions are. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results) -> None:
        self._workspace, self._store, self._results = workspace, workspace.store, results
        self._scales: dict[int, tuple[tuple[int, str], Scale]] = {}
        self._unlabeled: dict[int, NDArray[np.int64]] = {}
        self._held: dict[int, Answers] = {}

    def random_sample(self, number: int) -> Estimate:
        """Return the share of a round's predictions that were right, by the images that chance put up for review.

        The images unlabeled in the round have a fixed random order; those before the first that nobody has looked at
        are a random sample of them. Rejected and unsure ones count as wrong, so do those skipped or flagged without a
        label. Labels that came in a batch were not looked at one by one and end the sample. A live round learns from
        every answer, so what counts is what it said when the image was in front.
        """
        answers, how = self._random_answers(number)
        return sample.share(int(answers.right.sum()), len(answers.right), how)

    def scale(self, number: int) -> Scale:
        """Return how a round's confidences are written for a person, by the answers that measured them.

        Measured answers are those of `random_sample` whose prediction was recorded, and of the images a round held
        out those that came with a label or that chance put up. A temperature, one number, was fitted to all that were
        held out; those a person answered because a queue chose them are no fair sample of what is undecided and do
        not count here. Those of a live round were to its fits so far, the first of which knew the fewest labels.
        """
        key = self._store.label_table().head, self._results.needed(number).version
        cached = self._scales.get(number)
        if cached is None or cached[0] != key:
            answers = self.answers(number)
            cached = key, scale.of_answers(answers.confidence, answers.right)
            self._scales[number] = cached
        return cached[1]

    def answers(self, number: int) -> Answers:
        """Return a round's measured answers, see `scale`."""
        drawn, held = self._random_answers(number)[0], self._held_out_answers(number)
        recorded = np.isfinite(drawn.confidence)
        return Answers(
            np.concatenate([drawn.confidence[recorded], held.confidence]),
            np.concatenate([drawn.right[recorded], held.right]),
        )

    def _random_answers(self, number: int) -> tuple[Answers, str]:
        """The answers of the random sample, and in words how they came about."""
        if LIVE in self._store.round(number).progress:
            return self._live_answers(number)
        predictions = self._results.needed(number)
        if number not in self._unlabeled:
            roles = results.roles(self._workspace.round_folder(number))
            free = [roles.get(image_id) == "unlabeled" for image_id in predictions.image_ids.tolist()]
            self._unlabeled[number] = predictions.image_ids[np.array(free, bool)]
        ids = self._unlabeled[number]
        table = self._store.label_table()
        rows = table.rows(ids)
        answered = ~table.undecided[rows] & (table.version[rows] > self._store.round(number).ledger_seq)
        chosen = sample.random_prefix(random_order(ids), answered & ~np.isin(ids, self._store.unseen()))
        probabilities = predictions.probabilities[np.searchsorted(predictions.image_ids, ids[chosen])]
        same = table.class_index(predictions.classes)[rows[chosen]] == probabilities.argmax(1)
        how = (
            f"images picked at random from the {len(ids):,} that round {number} had no label for, looked at since; "
            "those without an answer count as wrong"
        )
        right = same & ~table.has_mark(*NOT_RIGHT)[rows[chosen]]
        return Answers(probabilities.max(1).astype(np.float64), right), how

    def _live_answers(self, number: int) -> tuple[Answers, str]:
        if number not in self._unlabeled:
            folder = self._workspace.round_folder(number)
            before = self._store.states_at(read_plan(folder).ledger_seq)
            decided = [one.image_id for one in before.values() if one.label is not None or one.mark is not None]
            ids = np.array(sorted(results.roles(folder)), np.int64)
            self._unlabeled[number] = np.setdiff1d(ids, np.array(decided, np.int64))
        ids = self._unlabeled[number]
        table = self._store.label_table()
        answered, accepted, sure = self._store.answers(number)
        # Decided without this prediction in front: never to be answered, and no order of chance has a part in it.
        ids = ids[table.undecided[table.rows(ids)] | np.isin(ids, answered)]
        chosen = ids[sample.random_prefix(random_order(ids), np.isin(ids, answered))]
        at = np.searchsorted(answered, chosen)
        how = (
            f"images picked at random from the {len(ids):,} that had no label when live labels began and were not "
            "decided in another way since, by what was predicted when each was answered; those without a class count "
            "as wrong"
        )
        return Answers(sure[at], accepted[at]), how

    def _held_out_answers(self, number: int) -> Answers:
        """The held-out images that no queue chose, with their calibrated confidence."""
        record = self._store.round(number)
        if LIVE in record.progress:  # it holds none out
            return Answers(np.empty(0), np.empty(0, bool))
        if number not in self._held:
            self._held[number] = self._read_held_out(number)
        return self._held[number]

    def _read_held_out(self, number: int) -> Answers:
        folder = self._workspace.round_folder(number)
        ids, labels = heldout.ids(folder)
        fair = np.isin(ids, np.concatenate([self._store.imported(), heldout.drawn(folder)]))
        predictions = self._results.needed(number)
        probabilities = predictions.probabilities[np.searchsorted(predictions.image_ids, ids[fair])]
        return Answers(probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels[fair])

    def standing(self, number: int, goal: float) -> Standing:
        """Return how good a round's predictions and the labels in force are together.

        Args:
            number: a complete round.
            goal: wanted share of right labels, 0..1.
        """
        estimate, table = self.random_sample(number), self._store.label_table()
        probabilities = undecided(table, self._results.needed(number))[1]
        total = max(1, int((~table.rejected).sum()))
        blank = total - int((table.labeled & ~table.rejected).sum()) - len(probabilities)

        def of_all(share: float) -> float:
            return 1 - (blank + (1 - share) * len(probabilities)) / total

        left = None
        if estimate.n >= scale.SHARE and len(probabilities):
            confidence = _shifted(probabilities.max(1), estimate.right / estimate.n)
            left = stopping.decisions_left(confidence, total, goal, blank)
        value = estimate.right / estimate.n if estimate.n else 0.0
        return Standing(estimate, of_all(value), of_all(estimate.low), of_all(estimate.high), left)

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
        written = None if predictions is None else self.scale(predictions.round)
        confidence: NDArray[np.float64] | None = None
        asked = confidence
        wrong = 0.0
        if predictions is not None and written is not None and written.n >= scale.TENS:
            confidence = np.sort(scale.recalibrated(written, undecided(table, predictions)[1].max(1)))
            next_count = min(next_count, len(confidence))
            asked = np.concatenate([np.zeros(_blank(table, predictions)), confidence])
            wrong = self._wrong_unseen(table, predictions.round, written)
        usable = int((~table.rejected).sum())
        decisions = stopping.decisions_left(asked, max(1, usable), target, wrong)
        minutes = None if decisions is None or seconds is None else decisions * seconds / 60
        return Outlook(
            curve=curve,
            scale=written,
            next_count=next_count,
            next_corrections=None if confidence is None else stopping.expected_corrections(confidence, next_count),
            seconds_each=seconds,
            errors_left=None if asked is None else wrong + stopping.expected_corrections(asked, len(asked)),
            target=target,
            decisions_left=decisions,
            minutes_left=minutes,
            advice=stopping.advice([one for one in curve if one.round in promoted], decisions, minutes, target),
        )

    def _wrong_unseen(self, table: LabelTable, number: int, written: Scale) -> float:
        """How many labels that were accepted and nobody looked at are expected to be wrong.

        Those of round `number` by their confidence as its scale recalibrates it, others by the one they came with.
        """
        unseen = np.isin(table.image_ids, self._store.unseen()) & table.has_source(*ACCEPTED)
        unseen &= np.isfinite(table.confidence)
        confidence, here = table.confidence[unseen], table.round[unseen] == number
        return float((1.0 - np.where(here, scale.recalibrated(written, confidence), confidence)).sum())

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


def _blank(table: LabelTable, predictions: Predictions) -> int:
    """How many images to be used have no label and no prediction either, or a mark: only a person can say."""
    predicted = np.isin(table.image_ids, predictions.image_ids)
    return int((~table.rejected & ~table.labeled & (~predicted | table.marked)).sum())


def _shifted(confidence: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """Return confidences (U,) moved together on the logit scale so that their mean is the measured share right."""
    wanted = min(max(share, _EDGE), 1 - _EDGE)
    logits = logit(np.clip(confidence.astype(np.float64), _EDGE, 1 - _EDGE))
    return np.asarray(expit(logits + brentq(lambda move: expit(logits + move).mean() - wanted, -30, 30)))
