"""The grid: all images with a prediction, grouped by its class and sorted by a value that is shown on each."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, RoundError
from engine.ids import rows_of
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.review.ref import UNREVIEWED, QueueRef, chosen
from engine.project.review.signals import Signals
from engine.project.workspace import Workspace
from engine.quality import scale
from engine.query import random_order
from engine.records.review import GridTable
from engine.records.rounds import Predictions

SORTS = {
    "confidence": "least confident first",
    "confident": "most confident first",
    "margin": "closest call first",
    "entropy": "most undecided first",
    "flips": "most changes over the epochs first",
    "disagreement": "teacher against student",
    "random": "random order",
}


class Grid:
    """The grid of one project."""

    def __init__(self, workspace: Workspace, results: Results, signals: Signals, measured: Measured) -> None:
        self._store, self._results = workspace.store, results
        self._signals, self._measured = signals, measured

    def table(
        self,
        number: int | None = None,
        ref: QueueRef = UNREVIEWED,
        sort: str = "confidence",
        among: Collection[int] | None = None,
    ) -> GridTable:
        """Return the images that have a prediction, grouped by its class and in each class in an order of value.

        Args:
            number: the round; the one in force when None.
            ref: which images; no list.
            sort: a key of SORTS.
            among: only these images; all when None.

        Raises:
            RoundError: there is no round with predictions.
            ConfigError: no such order, or the round has not recorded what it needs.
        """
        predictions = self._results.predictions(number)
        if predictions is None:
            raise RoundError("The grid shows predictions, and no round is in force", way_out="Train a round first.")
        if sort not in SORTS or ref.is_list:
            raise ConfigError("The grid has no such order or choice", value=f"{ref}, {sort}")
        labels = self._store.label_table()
        rows, predicted = rows_of(labels.image_ids, predictions.image_ids)
        mask = chosen(labels, ref, among) & predicted
        ids, probabilities = labels.image_ids[mask], predictions.probabilities[rows[mask]]
        value, ascending = _value(self._signals, sort, predictions, ids, probabilities)
        best = probabilities.argmax(1).astype(np.int16)
        order = np.lexsort((ids, value if ascending else -value, best))
        written, confidence = self._measured.scale(predictions.round), probabilities.max(1)[order]
        return GridTable(
            round=predictions.round, classes=predictions.classes, sort=sort, image_ids=ids[order],
            predicted=best[order],
            confidence=confidence, scale=written, step=scale.steps(written, confidence),
            value=value[order].astype(np.float32),
            version=labels.version[mask][order], label=labels.label[mask][order],
        )  # fmt: skip


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
