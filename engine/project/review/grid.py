"""The grid: all images with a prediction, grouped by its class and sorted by a value that is shown on each."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, RoundError
from engine.project.review.signals import Signals
from engine.query import random_order
from engine.records.review import GridTable
from engine.records.rounds import Predictions

if TYPE_CHECKING:
    from engine.project.opened import Project
    from engine.store import LabelTable

KINDS = ("unreviewed", "marked", "all", "labeled", "selection")
SORTS = {
    "confidence": "least confident first",
    "confident": "most confident first",
    "margin": "closest call first",
    "entropy": "most undecided first",
    "flips": "most changes over the epochs first",
    "disagreement": "teacher against student",
    "random": "random order",
}


def grid(
    project: Project, signals: Signals, asked: tuple[int | None, str, str], among: Collection[int] | None
) -> GridTable:
    """Return the images that have a prediction, grouped by its class and in each class in an order of value.

    Args:
        project: whose images.
        signals: what its rounds have recorded besides predictions.
        asked: the round (the one in force when None), one of KINDS, and a key of SORTS.
        among: only these images; all when None.

    Raises:
        RoundError: there is no round with predictions.
        ConfigError: no such order, or the round has not recorded what it needs.
    """
    number, only, sort = asked
    found = project.predictions(number)
    if found is None:
        raise RoundError("The grid shows predictions, and no round is in force", way_out="Train a round first.")
    if sort not in SORTS or only not in KINDS:
        raise ConfigError("The grid has no such order or choice", value=f"{sort}, {only}")
    table = project.label_table()
    mask = chosen(table, only, among) & np.isin(table.image_ids, found.image_ids)
    ids = table.image_ids[mask]
    said = found.probabilities[np.searchsorted(found.image_ids, ids)]
    value, up = _value(signals, sort, found, ids, said)
    predicted = said.argmax(1).astype(np.int16)
    order = np.lexsort((ids, value if up else -value, predicted))
    return GridTable(
        round=found.round, classes=found.classes, sort=sort, image_ids=ids[order], predicted=predicted[order],
        confidence=said.max(1)[order], value=value[order].astype(np.float32), version=table.version[mask][order],
        label=table.label[mask][order],
    )  # fmt: skip


def _value(
    signals: Signals, sort: str, found: Predictions, ids: NDArray[np.int64], said: NDArray[np.float32]
) -> tuple[NDArray[np.float64], bool]:
    """The value that sorts (N,), and whether small ones come first."""
    p = said.astype(np.float64)
    if sort in ("confidence", "confident"):
        return p.max(1), sort == "confidence"
    if sort == "random":
        return random_order(ids), True
    if sort == "margin":
        top = np.sort(p, axis=1)
        return top[:, -1] - (top[:, -2] if p.shape[1] > 1 else 0.0), True
    if sort == "entropy":
        return -(p * np.log(np.where(p > 0, p, 1.0))).sum(1), False
    values = getattr(signals.of(found, ids), sort)
    if values is None:
        raise ConfigError(
            "This round has not recorded what this order needs", value=SORTS[sort], way_out="Choose another order."
        )
    return np.nan_to_num(np.asarray(values, np.float64), nan=-1.0), False


def chosen(table: LabelTable, only: str, among: Collection[int] | None) -> NDArray[np.bool_]:
    """Return which images (N,) of the table are of this kind, and among the given ones."""
    labeled = np.array([label is not None for label in table.label], bool)
    marked = np.array([mark is not None for mark in table.mark], bool)
    kinds = {"unreviewed": ~labeled & ~marked, "marked": marked, "labeled": labeled & ~marked}
    mask = kinds.get(only, np.ones_like(marked))
    if among is not None:
        mask = mask & np.isin(table.image_ids, np.fromiter(among, np.int64, len(among)))
    return np.asarray(mask, bool)
