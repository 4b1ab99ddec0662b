"""Projects played from the first answer to a certificate: live labels, a measured set, a plan, a frozen audit.

A person of whom it is known how often they slip answers; the truth answers for nobody else. One answer in five, later
one in ten, is to the measured set, of which nothing is learned; the others are to the least sure images. Then the most
suspicious images are looked at, the labels are frozen, and random ones are asked blind until at most a share of all
labels is left wrong (`engine.quality.plan`, `engine.quality.betting`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.algorithms.transductive import one_thread
from engine.live.graph import Ints
from engine.live.model import ImageSet, Labeled
from engine.live.refit import LiveModel, LiveRefit
from engine.quality import scale
from engine.quality.audit_length import looks_to_goal, too_many
from engine.quality.betting import ALPHA, ConfidenceSequence, allowed
from engine.quality.learning import LEAST_ANSWERS, PARTS, Learning, labels_an_answer, learning
from engine.quality.measured_set import wanted
from engine.quality.people import PeopleError, Slips, settled, slips
from engine.quality.plan import DRAWS, MORE_LOOKS, Plan, best_plan
from engine.quality.standing import ASSUMED_MISS, SHOWN, missed_by
from engine.query.order import highest

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
NEXT = 100
"""Answers ahead by which it is told how many of them measure."""
GIVEN = 0.02
"""Suspicion of labels that came with the import."""


@dataclass(frozen=True)
class Pool:
    """Images with a known truth.

    images: where they lie. truth: (N,) classes 0..K-1. groups: (N,) number of each image's group. first: rows with a
    right label from a person at the start. imported: rows with a label of the import, `labels` of them; some are wrong.
    votes: λ of the live model.
    """

    images: ImageSet
    truth: Ints
    groups: Ints
    first: Ints
    imported: Ints
    labels: Ints
    votes: float = 4.0


@dataclass(frozen=True)
class Certified:
    """How a project's audit ended: whether the goal was reached, by how many looks at images since the freeze, and how
    many labels were wrong then."""

    reached: bool
    looks: int
    wrong: int


class GoalProject:
    """One project.

    Args:
        pool: its images.
        seed: of the orders and the person.
        slips: how often the person gives another class than the true one, 0..1.
        measured: whether there is a measured set.
        by_chance: whether the images to learn from are drawn at random, instead of the least sure first.

    Attributes:
        answers: answers given so far, second looks included. label: (N,) given by a person or the import, −1 for none.
        looked: (N,) whether a person gave it. predicted, confidence: (N,) of the last fit. placed: rows of the measured
        set that were asked.
    """

    def __init__(
        self, pool: Pool, seed: int, *, slips: float = 0.0, measured: bool = True, by_chance: bool = False
    ) -> None:
        self.pool, self._slips, self._by_chance = pool, slips, by_chance
        self._rng = np.random.default_rng([seed, 3])
        size = len(pool.truth)
        self._classes = int(pool.truth.max()) + 1
        self.answers, self.label, self.looked = 0, np.full(size, -1), np.zeros(size, np.bool_)
        self.label[pool.imported] = pool.labels
        self.label[pool.first] = pool.truth[pool.first]
        self.looked[pool.first] = True
        along = self._rng.permutation(size)
        firsts = np.sort(np.unique(pool.groups[along], return_index=True)[1])
        self._to_measure: list[int] = along[firsts].tolist() if measured else []
        self.placed: list[int] = []
        self._model = LiveModel(pool.images, pool.votes)
        self._wrong_measured, self._suspected = 0, 0.0
        self._asked_again = self._differed = 0
        self.predicted, self.confidence = np.zeros(size, np.int64), np.zeros(size)
        self._doubt = np.zeros(size)
        self._given = [*pool.first.tolist(), *pool.imported.tolist()]
        self._fit()

    def learn(self, until: int, per_fit: int) -> None:
        """Answer until so many answers were given in all, with a fit after every `per_fit`, and fit."""
        while self.answers < until and (self.label < 0).any():
            for row in self._next(min(per_fit, until - self.answers)):
                while len(self.placed) < min(wanted(self.answers + 1), len(self._to_measure)):
                    self._measure()
                if self.label[row] < 0 and self.answers < until:
                    self._give(row, self._ask(row))
            self._fit()

    def exported(self) -> Ints:
        """Return the labels (N,) of an export of everything: those given, else the predictions."""
        return np.where(self.label >= 0, self.label, self.predicted)

    def wrong(self) -> int:
        """Return how many of the exported labels are wrong."""
        return int((self.exported() != self.pool.truth).sum())

    def measured(self) -> tuple[Floats, Mask]:
        """Return the confidence (n,) of the last fit on the measured set, and whether it is right (n,)."""
        rows = np.array(self.placed, np.int64)
        return self.confidence[rows], self.predicted[rows] == self.label[rows]

    def suspicion(self) -> Floats:
        """Return the share of wrong ones (N,) expected among labels like each one."""
        written = scale.of_answers(*self.measured())
        return np.where(self.label >= 0, GIVEN, 1.0 - scale.recalibrated(written, self.confidence))

    def random_answers(self) -> tuple[int, float]:
        """Return how many labels that nobody had looked at the measured set found wrong, and the sum of their
        suspicions before."""
        return self._wrong_measured, self._suspected

    def slips(self) -> Slips:
        """Return how often the person slips, by their labels that the measured set asked again."""
        return slips(self._asked_again, self._differed)

    def learning(self) -> Learning | None:
        """Return how the model goes on learning, by its fits to the first half and three quarters of the labels; None
        below 20 answers of the measured set."""
        if len(self.placed) < LEAST_ANSWERS:
            return None
        rows, placed = self._learned_from(), np.array(self.placed, np.int64)
        counts = [max(1, round(part * len(rows))) for part in PARTS]
        wrong = []
        for count in counts:
            predicted, _ = self._fitted(LiveModel(self.pool.images, self.pool.votes), rows[:count])
            wrong.append(int((predicted[placed] != self.label[placed]).sum()))
        measuring = (wanted(self.answers + NEXT) - wanted(self.answers)) / NEXT
        apart = np.isin(self.pool.groups, self.pool.groups[placed])
        useful = float((~apart)[self.label < 0].mean()) if (self.label < 0).any() else 0.0
        groups = len(np.unique(self.pool.groups[~apart]))
        return learning(counts, wrong, measuring, labels_an_answer(measuring, useful, len(rows), groups))

    def plan(self, rate: float, *, whole: bool, seed: int = 0, learns: bool = False) -> Plan | None:
        """Return the way to at most a share `rate` of wrong labels, as the app makes it before an audit.

        Args:
            rate: 0..1.
            whole: whether labels that people gave are to be audited too. Nothing is known of people then: they are
                taken to err as imports do and to pass a tenth of the wrong labels (`engine.quality.standing`).
            seed: see `best_plan`.
            learns: whether the model is expected to go on learning, as `learning` says.
        """
        people, learns_on = GIVEN if whole else None, self.learning() if learns else None
        return best_plan(
            self.suspicion(), self.looked, _shown(rate, whole), self.random_answers(), people, seed=seed,
            learning=learns_on,
        )  # fmt: skip

    def knowing_looks(self, first: int, rate: float, *, whole: bool, seed: int = 0) -> int:
        """Return a plan's forecast of the looks in all by one who knows which labels are wrong.

        The median of simulated audits of the labels as they are, after the first looks were made: what no forecast
        from answers can beat by more than luck.

        Args:
            first: images looked at first.
            rate, whole: as for `plan`.
            seed: of the simulated audits.
        """
        wrong, free = self.exported() != self.pool.truth, np.flatnonzero(~self.looked)
        doubtful = free[highest(self.suspicion()[free], free, len(free))]
        known = wrong[self.looked] if whole else np.zeros(0, np.bool_)
        at_most, rng = allowed(_shown(rate, whole), len(wrong)), np.random.default_rng(seed)
        looks = [
            looks_to_goal(wrong[doubtful], known, more_looks(first), at_most, 1 / ALPHA, rng) for _ in range(DRAWS)
        ]  # fmt: skip
        return first + round(float(np.median(looks)))

    def look_first(self, count: int) -> None:
        """Look at the most suspicious images that nobody looked at, once each."""
        for row in self._most_suspicious(count):
            self._give(row, self._ask(row))

    def answer_sample(self, count: int) -> int:
        """Look at images without a label drawn at random, and return how many predictions of them were wrong."""
        rows = self._rng.permutation(np.flatnonzero(self.label < 0))[:count].tolist()
        wrong = 0
        for row in rows:
            answer = self._ask(row)
            wrong += int(answer != self.predicted[row])
            self._give(row, answer)
        self._fit()
        return wrong

    def nothing_predicted(self) -> None:
        """Leave images without a label without a prediction, which counts as wrong."""
        self.predicted = np.full(len(self.label), -1)

    def certify(self, rate: float, *, whole: bool, more: int) -> Certified:
        """Freeze the labels and audit them until at most a share `rate` is left wrong.

        Args:
            rate: 0..1, of all labels.
            whole: whether labels that a person gave are audited too, of which as many are taken to be passed as the
                drawn ones of them show, see `engine.quality.standing.missed_by`; else they count as the truth.
            more: doubtful images to look at, where the audit goes badly.
        """
        given, missed = self.looked.copy(), ASSUMED_MISS if whole else 0.0
        people = ConfidenceSequence(max(int(given.sum()), 1))  # of the differences of second answers to given labels
        at_most = allowed(rate, len(self.label))
        rows = np.arange(len(self.label)) if whole else np.flatnonzero(~self.looked)
        sequence = ConfidenceSequence(len(rows))
        seen, since, wrong_since = np.zeros(len(self.label), np.bool_), 0, 0
        for row in self._rng.permutation(rows).tolist():
            if sequence.answered >= SHOWN and _reached(sequence, at_most, missed):
                break
            if seen[row]:
                continue
            seen[row] = True
            y, differed = self._look_again(row)
            sequence.add(row, "random", 1, y)
            if whole and given[row]:
                people.add(row, "random", 1, float(differed))
                limit = people.upper / people.population / 2
                missed = missed_by(PeopleError(0.0, limit, people.answered))
            since, wrong_since = since + 1, wrong_since + int(y)
            if more and too_many(wrong_since, since, at_most / len(rows)):
                for doubtful in self._most_suspicious(more):
                    seen[doubtful] = True
                    sequence.add(doubtful, "look", 1, self._look_again(doubtful)[0])
                since = wrong_since = 0
        return Certified(_reached(sequence, at_most, missed), sequence.looked, self.wrong())

    def _ask(self, row: int) -> int:
        """Return a person's answer."""
        self.answers += 1
        true = int(self.pool.truth[row])
        if self._slips and self._rng.random() < self._slips:
            return (true + int(self._rng.integers(1, self._classes))) % self._classes
        return true

    def _give(self, row: int, label: int) -> None:
        if self.label[row] < 0:
            self._given.append(row)
        self.label[row], self.looked[row] = label, True

    def _look_again(self, row: int) -> tuple[float, bool]:
        """Ask blind, and once more where the answer differs from the label; return 1 for a wrong label, and whether
        the first answer differed."""
        current = int(self.exported()[row]) if self.label[row] < 0 else int(self.label[row])
        first = self._ask(row)
        outcome = settled(current, first, self._ask(row) if first != current and self._slips else first)
        self._give(row, outcome.label)
        return float(outcome.wrong), first != current

    def _measure(self) -> None:
        row = self._to_measure[len(self.placed)]
        answer = self._ask(row)
        if self.looked[row]:
            self._asked_again += 1
            self._differed += int(answer != self.label[row])
        else:
            self._suspected += float(self.suspicion()[row])
            self._wrong_measured += int(answer != self.exported()[row])
        self._give(row, answer)
        self.placed.append(row)

    def _next(self, count: int) -> list[int]:
        """Return the next images to learn from."""
        free = np.flatnonzero(self.label < 0)
        doubt = self._rng.random(len(free)) if self._by_chance else self._doubt[free]
        return [int(row) for row in free[highest(doubt, free, count)]]

    def _most_suspicious(self, count: int) -> list[int]:
        free = np.flatnonzero(~self.looked)
        return [int(row) for row in free[highest(self.suspicion()[free], free, count)]]

    def _learned_from(self) -> Ints:
        """Return the rows with a label, in the order given, but for groups that the measured set has an image of."""
        rows = np.array(self._given, np.int64)
        return rows[~np.isin(self.pool.groups[rows], self.pool.groups[self.placed])]

    def _fit(self) -> None:
        """Fit the labels given."""
        self.predicted, fitted = self._fitted(self._model, self._learned_from())
        self._doubt = 1.0 - fitted.probabilities.max(1).astype(np.float64)
        self.confidence = np.clip(fitted.confidence.astype(np.float64), 0.0, 1.0)

    def _fitted(self, model: LiveModel, rows: Ints) -> tuple[Ints, LiveRefit]:
        """Fit a model to the labels of these rows; return the class of each image (N,) and what else it says."""
        rows = np.sort(rows)
        present, places = np.unique(self.label[rows], return_inverse=True)
        labeled = Labeled(rows, places, np.zeros(len(present), np.int64), self.pool.groups[rows])
        with one_thread():
            fitted = model.refit(labeled)
        return present[fitted.probabilities.argmax(1)], fitted


def _shown(rate: float, whole: bool) -> float:
    """The share that is to be shown for a goal, where people are taken to pass a tenth of the wrong labels."""
    return (1.0 - ASSUMED_MISS) * rate if whole else rate


def more_looks(first: int) -> int:
    """Return how many more doubtful images are looked at where an audit goes badly, after so many looked at first."""
    return max(1, first // MORE_LOOKS)


def _reached(sequence: ConfidenceSequence, at_most: int, missed: float) -> bool:
    """Whether the goal is shown by the last answer, people passing a share `missed` of the wrong labels: whether
    U / (1 − missed) − W is at most that. A bound from before that is lower is left out, which costs time and shows
    nothing that would not hold."""
    too_many = math.ceil((at_most + sequence.found + 1) * (1.0 - missed) - 1e-9)
    return sequence.unseen == 0 or sequence.e_value(too_many) >= 1 / ALPHA
