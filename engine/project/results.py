"""The desk of results: which rounds count, and what they predict."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ProjectCorrupt, RoundError
from engine.ids import rows_of
from engine.project.workspace import Workspace
from engine.records.rounds import COMPLETE_STATES, Predictions, RoundRecord
from engine.rounds.folder import results
from engine.rounds.folder.digests import FROM_BACKUP
from engine.rounds.folder.plan import read_config
from engine.rounds.folder.teacher import TeacherCourse, teacher_course
from engine.store import LabelTable

KEPT = 2
"""Rounds whose predictions stay in memory: the one in force and one that is compared with it."""


@dataclass(frozen=True, slots=True)
class TrueAccuracy:
    """Predictions against labels hidden at import: n images never used to train, tune or select; correct of them."""

    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """Fraction right, 0..1; 0 when there is nothing to compare."""
        return self.correct / self.n if self.n else 0.0


class Results:
    """What the rounds of one project have brought. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._predictions: dict[int, Predictions] = {}

    def in_force(self) -> int | None:
        """Return the last promoted round; without one, None."""
        records = self._workspace.store.rounds()
        return max((one.number for one in records if one.state == "promoted" and _written(one)), default=None)

    def complete(self) -> list[RoundRecord]:
        """Return the rounds whose final predictions can be shown, oldest first."""
        return [one for one in self._workspace.store.rounds() if one.state in COMPLETE_STATES and _written(one)]

    def predictions(self, number: int | None = None) -> Predictions | None:
        """Return a complete round's calibrated predictions, of the round in force when `number` is None.

        Raises:
            RoundError: that round has none.
            ProjectCorrupt: they are not what the round wrote.
        """
        wanted = self.in_force() if number is None else number
        if wanted is None:
            return None
        record = self._workspace.store.round(wanted)
        with self._lock:
            cached = self._predictions.get(wanted)
        if cached is not None and cached.version == _written(record):
            return cached
        if record.state not in COMPLETE_STATES or (record.live and not _written(record)):
            raise RoundError(
                "This round has no final predictions",
                value=f"round {wanted}",
                way_out="Let it finish, or choose another.",
            )
        folder = self._workspace.round_folder(wanted)
        predictions = results.final_predictions(folder)
        if not record.live and predictions.version != _written(record):
            raise ProjectCorrupt(
                "The round's predictions are not those that the database names", value=folder, way_out=FROM_BACKUP
            )
        with self._lock:
            others = [(kept, older) for kept, older in self._predictions.items() if kept != wanted]
            self._predictions = {wanted: predictions, **dict(others[: KEPT - 1])}
        return predictions

    def version(self) -> str:
        """Return what changes when other predictions come into force, or a live round is fitted anew."""
        number = self.in_force()
        return "" if number is None else f"{number}:{_written(self._workspace.store.round(number))}"

    def calibrated(self, number: int) -> bool:
        """Return whether a round's confidences are calibrated; without held-out labels they are not."""
        report = self._workspace.store.round(number).report
        return report is not None and report.calibration.fitted

    def needed(self, number: int) -> Predictions:
        """Return a complete round's predictions. Raises RoundError when there are none."""
        predictions = self.predictions(number)
        if predictions is None:
            raise RoundError("This round has no predictions", value=number, way_out="Choose another round.")
        return predictions

    def true_accuracy(self, number: int) -> TrueAccuracy | None:
        """Compare a round's predictions with labels hidden at import, over images that were unlabeled in it.

        Returns:
            None where the project has no hidden labels.
        """
        truth = self._workspace.store.truth()
        predictions = self.predictions(number)
        if not truth or predictions is None:
            return None
        roles = results.roles(self._workspace.round_folder(number))
        best = predictions.probabilities.argmax(1)
        correct = total = 0
        for image_id, column in zip(predictions.image_ids.tolist(), best.tolist(), strict=True):
            hidden = truth.get(image_id)
            if hidden is not None and roles.get(image_id) == "unlabeled":
                total += 1
                correct += predictions.classes[column] == hidden
        return TrueAccuracy(correct, total)

    def curves(self, number: int) -> dict[str, list[Any]]:
        """Return a round's metrics by epoch, also while it runs."""
        return results.curves(self._workspace.round_folder(number))

    def teacher_course(self, number: int) -> TeacherCourse | None:
        """Return how the distributions of a round's teacher changed; None where no student taught one."""
        return teacher_course(self._workspace.round_folder(number))

    def epochs(self, number: int) -> list[int]:
        """Return the epochs of a round that have recorded predictions."""
        return results.epochs(self._workspace.round_folder(number))

    def epoch_predictions(
        self, number: int, epoch: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.float32]]:
        """Return image ids, class index and confidence, (U,) each, of one epoch's unlabeled images."""
        return results.epoch_predictions(self._workspace.round_folder(number), epoch)

    def classes(self, number: int) -> tuple[str, ...]:
        """Return the class names a round was started with, in its column order."""
        return tuple(read_config(self._workspace.round_folder(number))["classes"])

    def class_columns(self, number: int) -> NDArray[np.int64]:
        """Return the project's class index of each of a round's columns."""
        index = {name: k for k, name in enumerate(self._workspace.store.classes())}
        return np.array([index[name] for name in self.classes(number)], np.int64)


def _written(record: RoundRecord) -> str:
    """SHA-256 of the predictions that a complete round last wrote; "" before it has written any."""
    return "" if record.report is None else record.report.predictions.sha256


def undecided(table: LabelTable, predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (U,) ascending and probabilities (U, K) of the undecided images that the round has seen."""
    rows, known = rows_of(table.image_ids, predictions.image_ids)
    chosen = table.undecided & known
    return table.image_ids[chosen], predictions.probabilities[rows[chosen]]


def top_classes(predictions: Predictions | None, row: int | None, count: int = 5) -> tuple[tuple[str, float], ...]:
    """Return the most likely classes of one row with their probabilities, best first; () without a prediction."""
    if predictions is None or row is None:
        return ()
    probabilities = predictions.probabilities[row]
    best: Sequence[int] = np.argsort(-probabilities, kind="stable")[:count].tolist()
    return tuple((predictions.classes[k], float(probabilities[k])) for k in best)
