"""A project's classes one by one: how common each is, how good its predictions are, and what lies near rare ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ids import rows_of
from engine.project.quality.measured import Measured
from engine.project.results import Results, undecided
from engine.project.review.signals import Signals
from engine.project.workspace import Workspace
from engine.quality import audit, rare, sample
from engine.records.quality import AcceptRule, Estimate
from engine.records.rounds import Predictions
from engine.store import LabelTable

LOOKS = 100
"""Images near rare classes that are put up to be looked at."""
HOW = "images drawn at random and asked blind, predicted as this class"


@dataclass(frozen=True)
class ClassFigures:
    """One class. labels: in force; predicted: undecided images; right: of the measured set's images that are predicted
    as it; share: of all images, from the measured set; rare: see `engine.quality.rare`."""

    name: str
    labels: int
    predicted: int
    right: Estimate
    share: Estimate
    rare: bool


@dataclass(frozen=True)
class NearRareImages:
    """Undecided images predicted as a common class, the nearest to a rare class first, (m,) each: ids, the class that
    is predicted, the rare one, and closeness, at most 1 where one of it is among the ten nearest images."""

    image_ids: NDArray[np.int64]
    predicted: tuple[str, ...]
    rare: tuple[str, ...]
    closeness: NDArray[np.float64]

    def of(self, chosen: NDArray[np.bool_]) -> NearRareImages:
        """Return the chosen (m,) ones."""
        names = [(here, there) for here, there, kept in zip(self.predicted, self.rare, chosen, strict=True) if kept]
        predicted, near = zip(*names, strict=True) if names else ((), ())
        return NearRareImages(self.image_ids[chosen], predicted, near, self.closeness[chosen])


NOTHING = NearRareImages(np.empty(0, np.int64), (), (), np.empty(0))


class ByClass:
    """The classes of one project. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results, measured: Measured, signals: Signals) -> None:
        self._store, self._results, self._measured, self._signals = workspace.store, results, measured, signals
        self._lock = threading.Lock()
        self._near: tuple[tuple[object, ...], NearRareImages] | None = None
        self._swept: tuple[tuple[object, ...], NDArray[np.int64]] | None = None

    def figures(self, number: int) -> tuple[ClassFigures, ...]:
        """Return the figures of each class that a round predicts, in its order."""
        predictions, table = self._results.needed(number), self._store.label_table()
        classes = predictions.classes
        given = table.class_index(classes)[table.labeled & ~table.rejected]
        labels = np.bincount(given[given >= 0], minlength=len(classes))
        predicted = np.bincount(undecided(table, predictions)[1].argmax(1), minlength=len(classes))
        answers = self._measured.answers(number)
        columns, _ = rows_of(answers.image_ids, predictions.image_ids)
        best = predictions.probabilities[columns].argmax(1)
        asked = np.bincount(best, minlength=len(classes)).tolist()
        right = np.bincount(best[answers.right], minlength=len(classes)).tolist()
        shares = self._measured.class_shares(classes)
        rare_ones = rare.rare_classes(labels + predicted).tolist()
        return tuple(
            ClassFigures(
                name, int(labels[at]), int(predicted[at]), sample.share(right[at], asked[at], HOW), shares[at],
                rare_ones[at],
            )
            for at, name in enumerate(classes)
        )  # fmt: skip

    def near_rare(self, number: int | None = None) -> NearRareImages:
        """Return undecided images that a round, the one in force when None, predicts as a common class, in the order in
        which they lie near a rare one; none where no class is rare, or nothing describes the images."""
        predictions, table = self._results.predictions(number), self._store.label_table()
        if predictions is None:
            return NOTHING
        key = predictions.round, predictions.version, table.head, len(table.image_ids), len(self._measured.waiting())
        with self._lock:
            if self._near is not None and self._near[0] == key:
                return self._near[1]
        near = self._nearest(predictions)
        with self._lock:
            self._near = key, near
        return near

    def easily_swept(self) -> NDArray[np.int64]:
        """Return the images (m,), labeled or not, that the round in force predicts as a common class though one of a
        rare class is among their ten nearest, the nearest first.

        Looked for at each fit of the model, not after each answer: of many images among the MOST that the model gives
        the largest share to a rare class.
        """
        predictions, table = self._results.predictions(), self._store.label_table()
        if predictions is None:
            return NOTHING.image_ids
        key = predictions.round, predictions.version, len(table.image_ids)
        with self._lock:
            if self._swept is not None and self._swept[0] == key:
                return self._swept[1]
        swept, ids = NOTHING.image_ids, predictions.image_ids
        described = self._signals.features_of(predictions, ids, ids[:0])
        if described is not None:
            called, rare_ones = self._called(predictions, table)
            common = np.flatnonzero(~rare_ones[predictions.probabilities.argmax(1)] & ~table.rejected[table.rows(ids)])
            if rare_ones.any() and len(common) > rare.MOST:
                to_rare = predictions.probabilities[np.ix_(common, np.flatnonzero(rare_ones))].max(1)
                common = np.sort(common[np.argsort(-to_rare, kind="stable")[: rare.MOST]])
            features, feature_rows, _ = described
            near = rare.near_rare(features[feature_rows], called, rare_ones, common)
            swept = ids[near.rows[near.closeness <= 1]]
        with self._lock:
            self._swept = key, swept
        return swept

    def _called(self, predictions: Predictions, table: LabelTable) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The class (N,) of each predicted image, its label or else its prediction, -1 where it is rejected; and which
        classes (K,) are rare by it."""
        rows, best = table.rows(predictions.image_ids), predictions.probabilities.argmax(1)
        label = table.class_index(predictions.classes)[rows]
        called = np.where(label >= 0, label, best)
        called[table.rejected[rows]] = -1
        return called, rare.rare_classes(np.bincount(called[called >= 0], minlength=len(predictions.classes)))

    def _nearest(self, predictions: Predictions) -> NearRareImages:
        table, ids = self._store.label_table(), predictions.image_ids
        described = self._signals.features_of(predictions, ids, ids[:0])
        if described is None:
            return NOTHING
        rows, best = table.rows(ids), predictions.probabilities.argmax(1)
        called, rare_ones = self._called(predictions, table)
        free = table.undecided[rows] & ~rare_ones[best] & ~np.isin(ids, self._measured.waiting())
        features, feature_rows, _ = described
        near = rare.near_rare(features[feature_rows], called, rare_ones, np.flatnonzero(free))
        return NearRareImages(
            ids[near.rows], _names(predictions.classes, best[near.rows]), _names(predictions.classes, near.rare),
            near.closeness,
        )  # fmt: skip

    def swept(self, rule: AcceptRule) -> NearRareImages:
        """Return the images that a rule would accept as a common class though a rare one is among their ten nearest."""
        near, predictions = self.near_rare(rule.round), self._results.needed(rule.round)
        ids, probabilities = undecided(self._store.label_table(), predictions)
        thresholds = np.array([rule.thresholds.get(name, 2.0) for name in predictions.classes], np.float64)
        taken = ids[audit.accepted(probabilities, thresholds)]
        return near.of((near.closeness <= 1) & np.isin(near.image_ids, taken))


def _names(classes: Sequence[str], columns: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(classes[column] for column in columns.tolist())
