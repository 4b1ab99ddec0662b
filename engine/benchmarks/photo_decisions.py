"""Decisions on photos replayed: a person answers a few images at a time, and the model is fitted anew after them.

As `decisions`, with what live labels add: the start from nothing but class names (typical images first, 3 a class), and
where asked for the answers to a measured set, of which nothing is learned, but which count as decisions like others.
Only in the random order the model is told that its answers show the classes' shares, as in the app.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.algorithms.transductive import one_thread
from engine.benchmarks.decision_rounds import Rounds
from engine.benchmarks.spec import Row
from engine.live.graph import Floats, Ints
from engine.live.model import ImageSet, Labeled
from engine.live.refit import GROWN, LiveModel
from engine.live.regression import Regression, best_strength, fit_regression
from engine.nets.views import LEAST_LABELS, choose_view
from engine.quality.measured_set import wanted as wanted_to_measure
from engine.query.pick import pick
from engine.query.pool import Pool
from engine.training import device as devices

Bools = NDArray[np.bool_]
AGAIN = 2
"""Times as many labels as before choose the view again."""
FIRST_PICKS = 3
"""Typical images a class, at the start from nothing."""


class Labeler(Protocol):
    """What is fitted to the answers. strategy: which images are asked about next. features: (N, D) of all images."""

    strategy: str
    features: Floats

    def fit(self, rows: Ints, labels: Ints, drawn: Bools) -> Floats:
        """Return probabilities (N, K) of all images, 0 for classes without a label, from labels (n,) of rows (n,), of
        which `drawn` (n,) tells those that chance picked."""
        ...

    def prepare(self, rows: Ints) -> None:
        """Make ready for answers about these rows."""
        ...


@dataclass(frozen=True)
class Seen:
    """Photos as a network sees them in one of its views: features (N, D), and coordinates and graph from them."""

    features: Floats
    images: ImageSet


@dataclass
class Live:
    """Live labels.

    views: of the photos, the first until labels choose, see `engine.nets.views`. cautious: (N, K) what the confidence
    of the last fit is read from. view: the one in use.
    """

    views: Mapping[str, Seen]
    classes: int
    strategy: str = "least_sure"
    cautious: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def __post_init__(self) -> None:
        self._chosen_from = 0
        self._use(next(iter(self.views)))

    def _use(self, view: str) -> None:
        self.view, images = view, self.views[view].images
        self.features = images.z
        self._model = LiveModel(images)

    def _choose(self, rows: Ints, labels: Ints) -> None:
        """Let the labels choose the view, as `engine.jobs.features` has it."""
        enough = max(LEAST_LABELS * len(np.unique(labels)), AGAIN * self._chosen_from)
        if len(self.views) == 1 or len(rows) < enough:
            return
        self._chosen_from = len(rows)
        view = choose_view({name: seen.features[rows] for name, seen in self.views.items()}, labels)
        if view != self.view:
            self._use(view)

    def fit(self, rows: Ints, labels: Ints, drawn: Bools) -> Floats:
        """Refit from the fit before."""
        with one_thread():
            self._choose(rows, labels)
        present, places = np.unique(labels, return_inverse=True)
        counts = np.bincount(places[drawn], minlength=len(present))
        with one_thread():
            refit = self._model.refit(Labeled(rows, places, counts))
        self.cautious = _of_all(refit.cautious, present, self.classes)
        return _of_all(refit.probabilities, present, self.classes)

    def prepare(self, rows: Ints) -> None:
        """Spread from these rows ahead of their answers."""
        with one_thread():
            self._model.prepare(rows)


@dataclass
class LogisticRegression:
    """A logistic regression on the same coordinates, C by cross-validation, from the labels alone."""

    features: Floats
    classes: int
    strategy: str = "least_sure"

    def __post_init__(self) -> None:
        self._strength, self._chosen_from = 0.0, 0
        self._last: Regression | None = None

    def fit(self, rows: Ints, labels: Ints, drawn: Bools) -> Floats:
        """Fit it from the weights before."""
        present, places = np.unique(labels, return_inverse=True)
        z = self.features[rows]
        with one_thread():
            if len(rows) >= GROWN * self._chosen_from:
                self._strength, self._chosen_from = best_strength(z, places), len(rows)
            same = self._last is not None and len(self._last.weights) == len(present)
            self._last = fit_regression(z, places, self._strength, self._last if same else None)
            return _of_all(self._last.predict_proba(self.features), present, self.classes)

    def prepare(self, rows: Ints) -> None:
        """Nothing to make ready."""


class QuickRounds:
    """Quick rounds as the product trains them: a classifier on the features, a fifth of the labels held out."""

    def __init__(self, features: Tensor, classes: int, row: Row, seed: int, strategy: str = "least_sure") -> None:
        self.strategy, self.features = strategy, features.numpy()
        self._rounds = Rounds(features, classes, (row, row), devices.resolve("cpu"), seed)
        self._number = 0

    def fit(self, rows: Ints, labels: Ints, drawn: Bools) -> Floats:
        """Train the next round."""
        order = np.argsort(rows)
        predicted = self._rounds.train(rows[order], labels[order], self._number, {})
        self._number += 1
        self.features = predicted.features
        return predicted.probabilities

    def prepare(self, rows: Ints) -> None:
        """Nothing to make ready."""


@dataclass(frozen=True)
class Replay:
    """What a replay gave.

    Attributes:
        right: (answers + 1,) share of right labels in the exported set after 0, 1, … answers.
        milliseconds: CPU time of each fit, the first one left out.
    """

    right: NDArray[np.float64]
    milliseconds: tuple[float, ...]

    def needed(self, target: float) -> int | None:
        """Return the first number of answers with at least the target."""
        reached = np.flatnonzero(self.right >= target)
        return int(reached[0]) if len(reached) else None

    def median_milliseconds(self) -> float | None:
        """Return the median of the fits, None where there was one alone."""
        return statistics.median(self.milliseconds) if self.milliseconds else None


def replay(
    labeler: Labeler, truth: Ints, first: Ints, *, per_fit: int, budget: int, target: float, seed: int,
    measured: bool = False, one_random_in: int = 0,
) -> Replay:  # fmt: skip
    """Answer until the target is reached or the budget spent.

    Args:
        labeler: fitted after every `per_fit` answers.
        truth: (N,) classes 0..K-1, known to the answers alone.
        first: (n,) rows that have a label at the start and are no decisions. Empty: from nothing, then the first
            answers are 3 a class on typical images.
        per_fit: answers between two fits.
        budget: most answers.
        target: share of right labels at which no more is asked.
        seed: of the strategy, and of the measured set.
        measured: whether one answer in five, later one in ten, is to the next image of the measured set, which no fit
            learns from, whatever label it had; see `engine.quality.measured_set`.
        one_random_in: one answer in so many is to an image drawn at random, learned from like the others; 0: none.
    """
    ids, classes = np.arange(len(truth)), int(truth.max()) + 1
    rows, drawn = first.tolist(), [False] * len(first)
    right, times = [] if len(first) else [0.0], []
    to_measure = np.random.default_rng([seed, 1]).permutation(len(truth)).tolist() if measured else []
    placed, chance = 0, np.random.default_rng([seed, 2])
    probabilities: Floats | None = None
    wrong: Bools = np.ones(len(truth), np.bool_)
    while True:
        decided = np.zeros(len(truth), np.bool_)
        decided[rows] = True
        apart = np.isin(rows, to_measure[:placed])
        if not apart.all():
            began = time.process_time()
            learned = np.array(rows)[~apart]
            probabilities = labeler.fit(learned, truth[learned], np.array(drawn)[~apart])
            times.append(1000 * (time.process_time() - began))
            wrong = probabilities.argmax(1) != truth
            right[max(len(right) - 1, 0) :] = [_right(wrong, decided)]  # of the newest fit: it costs no decision
        answered = len(right) - 1
        if right[-1] >= target or answered >= budget or decided.all():
            return Replay(np.array(right), tuple(times[1:]))
        pool = _pool(labeler.features, ids, decided, probabilities, classes)
        wanted = per_fit if probabilities is not None else FIRST_PICKS * classes
        picks = pick(labeler.strategy, pool, min(wanted, budget - answered, len(pool)), seed=seed)
        asked = ids[~decided][picks.rows]
        labeler.prepare(asked)
        for row in asked.tolist():
            while placed < len(to_measure) and wanted_to_measure(len(right)) > placed:
                measure, placed = to_measure[placed], placed + 1
                if not decided[measure]:
                    rows.append(measure)
                    drawn.append(False)
                    decided[measure] = True
                right.append(_right(wrong, decided))
            if one_random_in and len(right) % one_random_in == 0 and not decided.all():
                at_random = int(chance.choice(ids[~decided]))
                rows.append(at_random)
                drawn.append(False)
                decided[at_random] = True
                right.append(_right(wrong, decided))
            if decided[row]:  # it has just been asked to measure or at random
                continue
            rows.append(row)
            drawn.append(labeler.strategy == "random")
            decided[row] = True
            right.append(_right(wrong, decided))


def _right(wrong: Bools, decided: Bools) -> float:
    return 1.0 - float(np.count_nonzero(wrong & ~decided)) / len(wrong)


def _pool(features: Floats, ids: Ints, decided: Bools, probabilities: Floats | None, classes: int) -> Pool:
    """Return what a strategy picks from: the images without a label."""
    trained = probabilities is not None
    if probabilities is None:
        probabilities = np.full((len(ids), classes), 1 / classes, np.float32)
    return Pool(
        ids=ids[~decided],
        probabilities=probabilities[~decided],
        features=features[~decided],
        labeled_features=features[decided],
        classes=tuple(map(str, range(classes))),
        trained=trained,
    )


def _of_all(probabilities: Floats, present: Ints, classes: int) -> Floats:
    """Return probabilities (N, K) of the classes `present` among all."""
    every = np.zeros((len(probabilities), classes), np.float32)
    every[:, present] = np.clip(probabilities, 0, 1)
    return every
