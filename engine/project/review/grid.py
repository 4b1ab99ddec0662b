"""The grid: all images with a prediction, grouped by its class and sorted by a value that is shown on each; or, before
any round too, all images with like ones together."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, RoundError
from engine.ids import rows_of
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.review.likeness import Likeness
from engine.project.review.ref import UNREVIEWED, QueueRef, chosen
from engine.project.review.signals import Signals
from engine.project.workspace import Workspace
from engine.quality import scale
from engine.query import random_order
from engine.records.review import GridTable
from engine.records.rounds import Predictions
from engine.store import LabelTable

LIKENESS = "likeness"
SORTS = {
    "confidence": "least confident first",
    LIKENESS: "like ones together",
    "confident": "most confident first",
    "margin": "closest call first",
    "entropy": "most undecided first",
    "flips": "most changes over the epochs first",
    "disagreement": "teacher against student",
    "random": "random order",
}


class Grid:
    """The grid of one project."""

    def __init__(
        self, workspace: Workspace, results: Results, signals: Signals, measured: Measured, likeness: Likeness
    ) -> None:
        self._store, self._results = workspace.store, results
        self._signals, self._measured, self._likeness = signals, measured, likeness

    def table(
        self,
        number: int | None = None,
        ref: QueueRef = UNREVIEWED,
        sort: str = "confidence",
        among: Collection[int] | None = None,
    ) -> GridTable:
        """Return the images that have a prediction, grouped by its class and in each class in an order of value.

        LIKENESS puts like images together, whatever their class; where there is no round, all images.

        Args:
            number: the round; the one in force when None.
            ref: which images; no list.
            sort: a key of SORTS.
            among: only these images; all when None.

        Raises:
            RoundError: there is no round with predictions, which the order needs.
            ConfigError: no such order, or what it needs is not recorded or not computed yet.
        """
        predictions = self._results.predictions(number)
        if predictions is None and sort != LIKENESS:
            raise RoundError("The grid shows predictions, and no round is in force", way_out="Train a round first.")
        if sort not in SORTS or ref.is_list:
            raise ConfigError("The grid has no such order or choice", value=f"{ref}, {sort}")
        labels = self._store.label_table()
        mask = chosen(labels, ref, among) & ~labels.among(
            self._measured.waiting()
        )  # those are asked without predictions
        if predictions is None:
            return self._unpredicted(labels, mask)
        rows, predicted = rows_of(labels.image_ids, predictions.image_ids)
        mask = mask & predicted  # not in place: the table keeps its masks
        ids, probabilities = labels.image_ids[mask], predictions.probabilities[rows[mask]]
        best, sure, group = probabilities.argmax(1).astype(np.int16), probabilities.max(1), None
        if sort == LIKENESS:
            value = sure
            group, order = self._alike(ids)
        else:
            value, ascending = _value(self._signals, sort, predictions, ids, probabilities)
            order = np.lexsort((ids, value if ascending else -value, best))
        written = self._measured.scale(predictions.round)
        return GridTable(
            round=predictions.round, classes=predictions.classes, sort=sort, image_ids=ids[order],
            predicted=best[order], confidence=sure[order], scale=written, step=scale.steps(written, sure[order]),
            value=value[order].astype(np.float32),
            version=labels.version[mask][order], label=labels.label[mask][order],
            group=None if group is None else group[order],
        )  # fmt: skip

    def _unpredicted(self, labels: LabelTable, mask: NDArray[np.bool_]) -> GridTable:
        """The images (N,) of the mask without a prediction, like ones together."""
        ids = labels.image_ids[mask]
        group, order = self._alike(ids)
        nothing = np.full(len(ids), np.nan, np.float32)
        return GridTable(
            round=None, classes=self._store.classes(), sort=LIKENESS, image_ids=ids[order],
            predicted=np.full(len(ids), -1, np.int16), confidence=nothing, value=nothing,
            scale=scale.of_answers(np.empty(0), np.empty(0, np.bool_)),
            step=np.full(len(ids), scale.NOT_WRITTEN, np.uint8),
            version=labels.version[mask][order], label=labels.label[mask][order], group=group[order],
        )  # fmt: skip

    def _alike(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The group (N,) of each image, and the rows (N,) in the order of like ones; those without features last."""
        alike = self._likeness.of(ids)
        if alike is None:
            raise ConfigError(
                "The images cannot be compared yet: they have no features",
                way_out="Switch live labels on, and wait until the features are computed.",
            )
        group, place = alike
        return group, np.lexsort((ids, place))


def _value(
    signals: Signals,
    sort: str,
    predictions: Predictions,
    ids: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> tuple[NDArray[np.float64], bool]:
    """The value that sorts (N,), and whether small ones come first."""
    p = probabilities.astype(np.float64)
    if sort in ("confidence", "confident"):
        return p.max(1), sort == "confidence"
    if sort == "random":
        return random_order(ids), True
    if sort == "margin":
        top = np.sort(p, axis=1)
        return top[:, -1] - (top[:, -2] if p.shape[1] > 1 else 0.0), True
    if sort == "entropy":
        return -(p * np.log(np.where(p > 0, p, 1.0))).sum(1), False
    values = getattr(signals.of(predictions, ids), sort)
    if values is None:
        raise ConfigError(
            "This round has not recorded what this order needs", value=SORTS[sort], way_out="Choose another order."
        )
    return np.nan_to_num(np.asarray(values, np.float64), nan=-1.0), False
