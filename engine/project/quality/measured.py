"""A project's quality as measured: accuracy, calibration, confusions, pace, whether to go on.

What is said of how good a round is comes from the measured set alone (`engine.quality.measured_set`): every stored
round is scored on the same images, those of the set that are answered by now, but for any that the round itself was
trained on before they were drawn. Labels that a round held out choose and calibrate within it and are no accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.groups import FEW_GROUPS
from engine.ids import rows_of
from engine.project.results import Results, undecided
from engine.project.workspace import Workspace
from engine.quality import audit, measured_set, pace, people, reliability, sample, scale, stopping
from engine.quality.class_shares import class_shares
from engine.quality.measured_set import ShareRight
from engine.quality.people import Slips
from engine.quality.reliability import Gap
from engine.quality.stopping import Comparison
from engine.records.labels import ACCEPTED
from engine.records.quality import (
    AcceptRule,
    Between,
    CurvePoint,
    Estimate,
    Outlook,
    Pace,
    Reliability,
    Scale,
)
from engine.records.rounds import Predictions, RoundReport
from engine.rounds.folder import heldout, results
from engine.store import LabelTable
from engine.store.asked_again import AskedAgain
from engine.store.measured import MeasuredAnswers, MeasuredOrder

FOLDS = 5
AHEAD = 400
"""Images of the measured set that are looked up at once."""
Order = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Image ids (n,) in the order in which they are drawn, and the group (n,) of each."""
SOON = 100
"""Answers ahead of which it is told how many measure."""


@dataclass(frozen=True)
class Standing:
    """How good all images are together: labels by a person count as right, predictions as the measured set says.

    sample: of the predictions, on the measured set. right, low, high: shares 0..1 of all images that are not rejected,
    from the bands of confidence of what is undecided; decisions_left: how many more answers, the least sure first, to
    the goal, within decisions_between: as `Outlook` has both; None where nothing says so yet.
    """

    sample: Estimate
    right: float
    low: float
    high: float
    decisions_left: int | None
    decisions_between: Between | None


@dataclass(frozen=True)
class Answers:
    """A round on the measured set: its images (n,) in the order drawn, the round's confidence of each (n,), and whether
    its prediction was right (n,)."""

    image_ids: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]


class Measured:
    """What is known of how good one project's labels and predictions are. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results) -> None:
        self._workspace, self._store, self._results = workspace, workspace.store, results
        self._scales: dict[int, tuple[tuple[int, int, str], Scale]] = {}
        self._next: tuple[tuple[int, ...], NDArray[np.int64]] | None = None
        self._whole: tuple[tuple[int, int, int], list[Order]] | None = None
        self._answered: tuple[tuple[int, int], MeasuredAnswers] | None = None
        self._learned: dict[int, tuple[str, NDArray[np.int64]]] = {}
        self._remaining: tuple[tuple[object, ...], tuple[int | None, Between | None]] | None = None
        self._again: tuple[int, AskedAgain] | None = None

    def accuracy(self, number: int) -> Estimate:
        """Return the share of the measured set that a round predicts right, with its exact interval.

        Images that the person skipped, flagged, is unsure of or rejects count as wrong.
        """
        answers = self.answers(number)
        how = "images drawn at random and asked blind, which this round never learned from"
        groups = self._store.groups()
        drawn = groups[self._store.label_table().rows(answers.image_ids)]
        share = self.share(answers.image_ids, answers.right, how)
        return replace(share, images=int(np.isin(groups, drawn).sum()))

    def share(self, image_ids: NDArray[np.int64], right: NDArray[np.bool_], how: str) -> Estimate:
        """Return the share of all images that is right, by images (n,) of the measured set of which `right` (n,) are;
        images that were imported later are weighed by how many there are."""
        of, sizes = self._orders(image_ids)
        asked, hits = np.bincount(of, minlength=len(sizes)), np.bincount(of[right], minlength=len(sizes))
        return measured_set.share_by_order(hits, asked, sizes, how)

    def _orders(self, image_ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The order (n,) that each of these images is in, and the groups of images (O,) in each; the last has those
        that are in none yet."""
        lasts = np.array([one.last_image for one in self._store.measured_orders()], np.int64)
        ids, groups = self._store.image_ids(), self._store.groups()
        firsts = ids[np.unique(groups[: len(ids)], return_index=True)[1]]
        return np.searchsorted(lasts, image_ids), np.bincount(np.searchsorted(lasts, firsts), minlength=len(lasts) + 1)

    def on_test_split(self, number: int) -> Estimate:
        """Return the share of the test split that came with the images which a round predicts right, exact interval.

        Its labels are the source's, where nobody has corrected them, and it is no random sample of all images, so that
        it is no part of the measured set. One image a group, the first; rejected ones and what the round has learned
        from are left out.
        """
        predictions, table, groups = self._results.needed(number), self._store.label_table(), self._store.groups()
        ids = self._store.test_split()
        columns, predicted = rows_of(ids, predictions.image_ids)
        rows = table.rows(ids)
        learned = np.isin(groups[rows], groups[table.rows(self._learned_from(number))])
        fair = predicted & table.labeled[rows] & ~table.marked[rows] & ~learned
        fair[fair] = np.isin(np.arange(fair.sum()), np.unique(groups[rows[fair]], return_index=True)[1])
        best = predictions.probabilities[columns[fair]].argmax(1)
        right = int((table.class_index(predictions.classes)[rows[fair]] == best).sum())
        return sample.share(right, int(fair.sum()), "the test split that came with the images")

    def answers(self, number: int) -> Answers:
        """Return how a round does on the measured set.

        Counted are the images drawn up to the last one that was answered, those between that have no answer yet as
        wrong, and only those that the round predicts and has not learned from. Right is what the newest blind answer
        says, whatever label came into force with the prediction in sight.
        """
        predictions, ids = self._results.needed(number), self.measured_ids()
        columns, predicted = rows_of(ids, predictions.image_ids)
        groups, known = self._store.groups(), self._store.label_table()
        learned = groups[known.rows(self._learned_from(number))]
        fair = predicted & ~np.isin(groups[known.rows(ids)], learned)
        ids, columns = ids[fair], columns[fair]
        probabilities = predictions.probabilities[columns]
        said, table = self._said(ids, predictions.classes), self._store.label_table()
        right = (said == probabilities.argmax(1)) & ~table.rejected[table.rows(ids)]
        return Answers(ids, probabilities.max(1).astype(np.float64), right)

    def measured_ids(self) -> NDArray[np.int64]:
        """Return the images of the measured set (M,) in the order drawn, up to the last one that was answered.

        Of those that were found to be of one group since they were drawn, only the first.
        """
        ids, answered = self._drawn()
        last = np.flatnonzero(answered.answered)
        ids = ids[: last[-1] + 1] if len(last) else ids[:0]
        groups = self._store.groups()[self._store.label_table().rows(ids)]
        return ids[np.sort(np.unique(groups, return_index=True)[1])]

    def class_shares(self, classes: Sequence[str]) -> tuple[Estimate, ...]:
        """Return each class's share of all images that are not rejected; see `engine.quality.class_shares`."""
        ids, table = self.measured_ids(), self._store.label_table()
        ids = ids[~table.rejected[table.rows(ids)]]
        return class_shares(self._said(ids, classes), len(classes), *self._orders(ids))

    def labels(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the class (n,) of each image of the measured set, as its place among class names, in the order drawn.

        -1 where nobody has answered yet or said no class, or it has another name. Rejected images are left out: they
        are none of those whose classes are asked about.
        """
        ids, table = self.measured_ids(), self._store.label_table()
        return self._said(ids[~table.rejected[table.rows(ids)]], classes)

    def waiting(self) -> NDArray[np.int64]:
        """Return the images of the measured set (W,) without a blind answer since their draw, in their order."""
        ids, answered = self._drawn()
        return ids[~answered.answered]

    def upcoming(self, count: int) -> NDArray[np.int64]:
        """Return the images (at most `count`) that the measured set takes in next, in their order.

        The first time after an import an order of its images is begun, where the project can be written.
        """
        ids, table = self._store.image_ids(), self._store.label_table()
        orders = self._store.measured_orders()
        if len(ids) and (not orders or orders[-1].last_image < ids[-1]) and not self._store.read_only:
            self._store.begin_measured()
            orders = self._store.measured_orders()
        drawn, rejected = self._store.measured().image_ids, table.image_ids[table.rejected]
        groups = self._store.groups()[: len(ids)]  # images may have come since the ids were read
        key = len(orders), len(drawn), hash(rejected.tobytes()), hash(groups.tobytes()), count
        if self._next is None or self._next[0] != key:
            whole, lasts = self._whole_orders(ids, groups, orders), [one.last_image for one in orders]
            gone, of_drawn = groups[np.searchsorted(ids, drawn)], np.searchsorted(lasts, drawn)
            along = [
                np.concatenate([drawn[of_drawn == n], firsts[~np.isin(their_groups, gone)]])
                for n, (firsts, their_groups) in enumerate(whole)
            ]
            sizes = np.bincount(np.searchsorted(lasts, ids), minlength=len(orders))
            following = measured_set.upcoming(along, sizes.tolist(), drawn.tolist(), rejected.tolist())
            self._next = key, np.array(list(islice(following, count)), np.int64)
        return self._next[1]

    def _whole_orders(
        self, ids: NDArray[np.int64], groups: NDArray[np.int64], orders: Sequence[MeasuredOrder]
    ) -> list[Order]:
        """Each order of the first images of all groups, whatever was drawn; kept until images or groups change."""
        key = len(orders), len(ids), hash(groups.tobytes())
        if self._whole is None or self._whole[0] != key:
            of_order = np.searchsorted([one.last_image for one in orders], ids)
            firsts = [
                measured_set.order(ids[of_order == n], groups[of_order == n], one.salt) for n, one in enumerate(orders)
            ]
            self._whole = key, [(one, groups[np.searchsorted(ids, one)]) for one in firsts]
        return self._whole[1]

    def through(self, image_id: int) -> tuple[int, ...]:
        """Return the images that the measured set takes in with a blind answer to this one: it and those before it.

        Nothing where it was drawn before or comes no more: it was rejected, or another of its group was drawn.
        """
        following = self.upcoming(AHEAD)
        at = np.flatnonzero(following == image_id)
        return tuple(following[: at[0] + 1].tolist()) if len(at) else ()

    def due(self, answers: int) -> int:
        """Return how many images of the measured set are due once so many images were looked at in all.

        What was looked at before the set began has no part in it.
        """
        return measured_set.wanted(max(answers - self._store.measured().answers, 0), len(self._store.measured_orders()))

    def measuring(self) -> float:
        """Return which share of the next answers, 0..1, is to images of the measured set."""
        table = self._store.label_table()
        looked_at = int((table.reviewed | table.marked).sum())
        return (self.due(looked_at + SOON) - self.due(looked_at)) / SOON

    def compare(self, number: int, other: int) -> Comparison:
        """Return how two rounds do on the images of the measured set that neither has learned from."""
        this, that = self.answers(number), self.answers(other)
        _, here, there = np.intersect1d(this.image_ids, that.image_ids, assume_unique=True, return_indices=True)
        one, two = this.right[here], that.right[there]
        only_this, only_other = int((one & ~two).sum()), int((two & ~one).sum())
        groups, rows = self._store.groups(), self._store.label_table().rows(this.image_ids[here])
        few = len(here) < min(FEW_GROUPS, int(np.isin(groups, groups[rows]).sum()))
        return Comparison(len(here), only_this, only_other, measured_set.evidence(only_this, only_other), few)

    def scale(self, number: int) -> Scale:
        """Return how a round's confidences are written for a person, by its answers on the measured set."""
        key = self._store.label_table().head, len(self.measured_ids()), self._results.needed(number).version
        cached = self._scales.get(number)
        if cached is None or cached[0] != key:
            answers = self.answers(number)
            cached = key, scale.of_answers(answers.confidence, answers.right)
            self._scales[number] = cached
        return cached[1]

    def _drawn(self) -> tuple[NDArray[np.int64], MeasuredAnswers]:
        """The images (M,) of the measured set in the order drawn, and what was answered of them."""
        ids, head = self._store.measured().image_ids, self._store.label_table().head
        if self._answered is None or self._answered[0] != (head, len(ids)):
            answers = self._store.measured_answers()
            if len(answers.answered) != len(ids):  # one was drawn in between
                return self._drawn()
            self._answered = (head, len(ids)), answers
        return ids, self._answered[1]

    def said(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return what the newest blind answer to each of these images (n,) of the measured set says, None for a mark
        and where there is none."""
        drawn, answered = self._drawn()
        labels = dict(zip(drawn.tolist(), answered.labels.tolist(), strict=True))
        return np.array([*(labels[image_id] for image_id in ids.tolist()), None], np.object_)[:-1]

    def _said(self, ids: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
        """The class (n,) of each of these measured images as its place among class names; -1 for none of them."""
        place = {name: at for at, name in enumerate(classes)}
        return np.array([place.get(label, -1) for label in self.said(ids)], np.int64)

    def _learned_from(self, number: int) -> NDArray[np.int64]:
        """The images, ascending, whose labels a round knew: to train on, or to choose and calibrate by."""
        version = self._results.needed(number).version  # a live round's changes with each fit
        cached = self._learned.get(number)
        if cached is None or cached[0] != version:
            cached = self._learned[number] = version, results.learned_ids(self._workspace.round_folder(number))
        return cached[1]

    def undecided_right(self, number: int) -> ShareRight | None:
        """Return the share right among the undecided images, by bands of confidence; None below 20 answers or where
        nothing is undecided. How often people slip is what `slips` says."""
        probabilities = undecided(self._store.label_table(), self._results.needed(number))[1]
        answers = self.answers(number)
        if len(answers.right) < scale.SHARE or not len(probabilities):
            return None
        return measured_set.undecided_share(answers.confidence, answers.right, probabilities.max(1), self.slips()[0])

    def slips(self) -> tuple[Slips, int]:
        """Return how often people's answers are taken to be slips, and how many labels of theirs were asked again to
        know it; see `engine.quality.people.slips`."""
        head = self._store.label_table().head
        if self._again is None or self._again[0] != head:
            self._again = head, self._store.asked_again()
        again = self._again[1]
        return people.slips(again.asked, again.differed), again.asked

    def sureness_of_undecided(self, number: int) -> Gap | None:
        """Return how much too sure a round is of what is undecided, by bands of confidence; None as `undecided_right`.

        By the confidence inside the model, which nothing was fitted to these answers for.
        """
        rest = self.undecided_right(number)
        if rest is None:
            return None
        probabilities = undecided(self._store.label_table(), self._results.needed(number))[1]
        n = len(self.answers(number).right)
        return Gap(n, float(probabilities.max(1).mean()), rest.value, rest.low, rest.high)

    def sureness_above(self, rule: AcceptRule) -> Gap:
        """Return how much too sure a round is of the measured images that a rule would accept."""
        predictions, answers = self._results.needed(rule.round), self.answers(rule.round)
        columns, _ = rows_of(answers.image_ids, predictions.image_ids)
        thresholds = np.array([rule.thresholds.get(name, 2.0) for name in predictions.classes], np.float64)
        taken = audit.accepted(predictions.probabilities[columns], thresholds)
        return reliability.gap(answers.confidence[taken], answers.right[taken])

    def standing(self, number: int, goal: float) -> Standing:
        """Return how good a round's predictions and the labels in force are together.

        Args:
            number: a complete round.
            goal: wanted share of right labels, 0..1.
        """
        estimate, table = self.accuracy(number), self._store.label_table()
        probabilities = undecided(table, self._results.needed(number))[1]
        total = max(1, int((~table.rejected).sum()))
        blank = total - int((table.labeled & ~table.rejected).sum()) - len(probabilities)

        def of_all(share: float) -> float:
            return 1 - (blank + (1 - share) * len(probabilities)) / total

        rest = self.undecided_right(number)
        if rest is None:
            rest = ShareRight(estimate.value, estimate.low, estimate.high)
        left, between = self._decisions(number, goal)
        return Standing(estimate, of_all(rest.value), of_all(rest.low), of_all(rest.high), left, between)

    def _decisions(self, number: int, goal: float) -> tuple[int | None, Between | None]:
        """The decisions left to a goal by a round, with their interval, as the outlook tells them of the one in force.

        Kept until something changes: a page asks every few seconds.
        """
        predictions, table, written = self._results.needed(number), self._store.label_table(), self.scale(number)
        key = number, goal, predictions.version, table.head, len(table.image_ids), written.n
        if self._remaining is None or self._remaining[0] != key:
            left = between = None
            if written.n >= scale.TENS:
                pool = self._left(table, predictions, goal, 0)
                left = pool.decisions(*(scale.recalibrated(written, one) for one in (pool.undecided, pool.accepted)))
                between = None if left is None else stopping.decisions_between(written, pool)
            self._remaining = key, (left, between)
        return self._remaining[1]

    def reliability(self, number: int) -> tuple[Reliability, Reliability]:
        """Return how well confidence tells the share right on the measured set, before and after recalibration.

        After: each fifth of the answers is judged by a recalibration fitted to the other four, so no answer judges
        itself. Below 1,000 answers in four bands of confidence, those of the measured set's quartiles.
        """
        answers = self.answers(number)
        after = np.empty_like(answers.confidence)
        fold = np.random.default_rng(0).permutation(len(answers.right)) % FOLDS
        for one in range(FOLDS):
            inside = fold == one
            others = scale.of_answers(answers.confidence[~inside], answers.right[~inside])
            after[inside] = scale.recalibrated(others, answers.confidence[inside])
        return (
            reliability.told(answers.confidence, answers.right, "the number inside the model"),
            reliability.told(after, answers.right, "recalibrated by the other four fifths of the answers"),
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
        seconds = self.seconds_each()
        predictions, table = self._results.predictions(), self._store.label_table()
        written = None if predictions is None else self.scale(predictions.round)
        corrections = errors = decisions = None
        between: tuple[Between | None, ...] = (None, None, None)
        if predictions is not None and written is not None and written.n >= scale.TENS:
            pool = self._left(table, predictions, target, next_count)
            next_count = pool.first
            sure, accepted = (scale.recalibrated(written, plain) for plain in (pool.undecided, pool.accepted))
            corrections = stopping.expected_corrections(sure, next_count)
            errors, decisions = pool.errors(sure, accepted), pool.decisions(sure, accepted)
            between = stopping.intervals(written, pool)
        minutes = None if decisions is None or seconds is None else decisions * seconds / 60
        kept = [one for one in curve if one.round in promoted]
        gain = self.compare(kept[-1].round, kept[-2].round) if len(kept) > 1 else None
        return Outlook(
            curve=curve,
            scale=written,
            next_count=next_count,
            next_corrections=corrections,
            next_between=between[0],
            seconds_each=seconds,
            errors_left=errors,
            errors_between=between[1],
            target=target,
            decisions_left=decisions,
            decisions_between=None if decisions is None else between[2],
            minutes_left=minutes,
            advice=stopping.advice(kept, gain, decisions, minutes, target),
        )

    def _left(self, table: LabelTable, predictions: Predictions, target: float, next_count: int) -> stopping.Pool:
        """What nobody has labeled; labels accepted unseen count by the confidence they came with where it is another
        round's."""
        unseen = np.isin(table.image_ids, self._store.unseen()) & table.has_source(*ACCEPTED)
        unseen &= np.isfinite(table.confidence)
        confidence, here = table.confidence[unseen].astype(np.float64), table.round[unseen] == predictions.round
        plain = np.sort(undecided(table, predictions)[1].max(1).astype(np.float64))
        return stopping.Pool(
            undecided=plain,
            accepted=confidence[here],
            blank=_blank(table, predictions),
            elsewhere=float((1 - confidence[~here]).sum()),
            total=max(1, int((~table.rejected).sum())),
            target=target,
            first=min(next_count, len(plain)),
        )

    def seconds_each(self) -> float | None:
        """Return the median seconds of a timed decision of the busiest person; None without one."""
        return next((one.seconds for one in self.pace() if one.seconds is not None), None)

    def _curve(self) -> tuple[CurvePoint, ...]:
        points = []
        for record in self._results.complete():
            report = record.report or RoundReport()
            estimate = self.accuracy(record.number)
            points.append(CurvePoint(record.number, report.algorithm, report.counts.train, estimate))
        return tuple(points)


def _blank(table: LabelTable, predictions: Predictions) -> int:
    """How many images to be used have no label and no prediction either, or a mark: only a person can say."""
    predicted = np.isin(table.image_ids, predictions.image_ids)
    return int((~table.rejected & ~table.labeled & (~predicted | table.marked)).sum())
