"""The desk of how live labels go on learning: fits to fewer labels beside the one to all, on the measured set."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from engine.live.model import LEAST_CLASSES, Labeled
from engine.live.refit import LiveModel
from engine.project.live import LearnedFrom, Live
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.quality.learning import LEAST_ANSWERS, PARTS, Learning, labels_an_answer, learning

GROWN, ANSWERED = 1.1, 5
"""Fits are made anew when there are so many times as many labels, or so many more measured answers."""


class LearningCurve:
    """How the live labels of one project go on learning. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results, live: Live, measured: Measured) -> None:
        self._store, self._results, self._live, self._measured = workspace.store, results, live, measured
        self._lock = threading.Lock()
        self._last: tuple[int, int, int, Learning] | None = None  # round, labels, measured answers, and what they say

    def now(self) -> Learning | None:
        """Return how the round in force goes on learning; as models mostly do where nothing measures that yet.

        It is measured from 20 answers of the measured set on, unless the first half of the labels is of one class.

        None where it is no live round of this process, or a guess of the classes counts in it.
        """
        number, learned = self._results.in_force(), self._live.learned()
        if number is None or learned is None or learned.number != number:
            return None
        answers = self._measured.answers(number)
        table = self._store.label_table()
        rows = np.flatnonzero(learned.label >= 0)
        rows = rows[np.argsort(table.version[table.rows(learned.ids[rows])], kind="stable")]
        counts = [max(1, round(part * len(rows))) for part in PARTS]
        several = len(set(learned.label[rows[: counts[0]]].tolist())) >= LEAST_CLASSES
        measured = several and len(answers.right) >= LEAST_ANSWERS
        with self._lock:
            if self._last is None or not self._holds(self._last, number, len(rows), len(answers.right), measured):
                said = self._measured.said(answers.image_ids)
                with threadpool_limits(1, "blas"):  # beside other work, threads that wait for each other take longer
                    wrong = [
                        self._wrong(learned, rows[:count], answers.image_ids, said) for count in counts if measured
                    ]
                measuring = self._measured.measuring()
                curve = learning(counts, wrong, measuring, self._taught(measuring, len(rows)))
                self._last = number, len(rows), len(answers.right), curve
            return self._last[3]

    def _holds(
        self, last: tuple[int, int, int, Learning], number: int, labels: int, answers: int, measured: bool
    ) -> bool:
        known, of_labels, of_answers, curve = last
        same = known == number and curve.measured == measured
        return same and of_labels <= labels < GROWN * of_labels and 0 <= answers - of_answers < ANSWERED

    def _taught(self, measuring: float, labels: int) -> float:
        """Return by how many labels more the model learns from with each further answer."""
        table, groups = self._store.label_table(), self._store.groups()
        apart = table.among(self._store.apart())
        free = ~apart[table.undecided]
        useful = float(free.mean()) if len(free) else 0.0
        return labels_an_answer(measuring, useful, labels, len(np.unique(groups[: len(apart)][~apart])))

    def _wrong(
        self, learned: LearnedFrom, rows: NDArray[np.int64], measured: NDArray[np.int64], said: NDArray[np.object_]
    ) -> int:
        """Return how many of the measured images a fit to the labels of these rows predicts otherwise than was said."""
        rows = np.sort(rows)
        present, compact = np.unique(learned.label[rows], return_inverse=True)
        groups = self._store.groups()[self._store.label_table().rows(learned.ids[rows])]
        fitted = LiveModel(learned.images, learned.votes).refit(
            Labeled(rows, compact, np.zeros(len(present), np.int64), groups)
        )
        names = np.array(learned.classes, object)[present[fitted.probabilities.argmax(1)]]
        order = np.argsort(learned.ids)
        return int((names[order[np.searchsorted(learned.ids[order], measured)]] != said).sum())
