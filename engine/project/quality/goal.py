"""The desk of the goal: how many labels are wrong now, the cheapest way to the goal, and what to do next.

The labels are those that an export of everything would hold: labels in force, and predictions of the round in force for
images that have none. What is said of them is worked out anew whenever a label, the round, the audit or the goal has
changed, beside the page where it takes longer than a page may wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ids import rows_of
from engine.project.quality.audits import Audits
from engine.project.quality.checks import Checks
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.quality import plan, scale, suspicion
from engine.quality.betting import threshold
from engine.records.goal import Goal, GoalReport, GoalSet, GoalStanding, SourceShare, Step, Way
from engine.records.labels import ACCEPTED
from engine.records.rounds import Predictions
from engine.store import LabelTable

PATIENCE = 0.3
"""Seconds that a page waits for a report before it shows the last one."""
NO_PLAN = (
    "People are found to be wrong so often that no number of answers leads to this goal. Look at the labels again, or "
    "set a goal that allows more."
)
FIRST_BATCH = 2
"""Labels a class, on average, below which a first batch is labeled before any round."""


@dataclass(frozen=True)
class LabelsNow:
    """The labels that an export of everything would hold, all (n,), ascending by image id.

    source: a label source, or "pseudo" for a prediction of the round in force. suspicion: 0..1, see
    `engine.quality.suspicion`. looked: whether a person looked at this one image and answered, and no check contradicts
    it since. blank: how many images have neither label nor prediction.
    """

    image_ids: NDArray[np.int64]
    label: NDArray[np.object_]
    source: NDArray[np.object_]
    suspicion: NDArray[np.float64]
    looked: NDArray[np.bool_]
    blank: int


class Goals:
    """The goal of one project. Thread-safe."""

    def __init__(
        self, workspace: Workspace, results: Results, measured: Measured, audits: Audits, checks: Checks
    ) -> None:
        self._store, self._results = workspace.store, results
        self._measured, self._audits, self._checks = measured, audits, checks
        self._lock = threading.Lock()
        self._working: tuple[tuple[Any, ...], Future[GoalReport]] | None = None
        self._last: GoalReport | None = None

    def goal(self) -> Goal:
        """Return the goal in force: the one set last, else 1 % wrong, 95 % sure, over all labels."""
        entries = self._store.goals()
        return entries[-1].goal if entries else Goal()

    def set(self, goal: Goal, actor: str = "local") -> GoalSet:
        """Set the goal; what it was before stays on record."""
        return self._store.set_goal(goal, actor)

    def labels_now(self) -> LabelsNow:
        """Return the labels that an export of everything would hold."""
        table, predictions = self._store.label_table(), self._results.predictions()
        usable = ~table.rejected
        labeled = usable & table.labeled
        rows, predicted = rows_of(table.image_ids, _ids_of(predictions))
        pseudo = table.undecided & predicted
        label, source = table.label.copy(), table.source.copy()
        suspected = np.full(len(table.image_ids), suspicion.GIVEN)
        if predictions is not None:
            best = predictions.probabilities[rows[pseudo]].argmax(1)
            label[pseudo] = np.array(predictions.classes, object)[best]
            source[pseudo] = "pseudo"
            self._suspect_predicted(suspected, table, predictions, pseudo, rows)
        contradicted = self._suspect_given(suspected, table)
        chosen = labeled | pseudo
        looked = table.reviewed & labeled & ~contradicted
        return LabelsNow(
            table.image_ids[chosen], label[chosen], source[chosen], suspected[chosen], looked[chosen],
            int((usable & ~chosen).sum()),
        )  # fmt: skip

    def _suspect_predicted(
        self,
        suspected: NDArray[np.float64],
        table: LabelTable,
        predictions: Predictions,
        pseudo: NDArray[np.bool_],
        rows: NDArray[np.int64],
    ) -> None:
        """Write the suspicion of predictions and of labels that began as one, by their recalibrated confidence.

        An earlier round's confidence stays as it was recorded: its scale is of answers to another model.
        """
        written = self._measured.scale(predictions.round)
        suspected[pseudo] = 1.0 - scale.recalibrated(written, predictions.probabilities[rows[pseudo]].max(1))
        accepted = table.has_source(*ACCEPTED) & np.isfinite(table.confidence)
        here = accepted & (table.round == predictions.round)
        suspected[accepted] = 1.0 - table.confidence[accepted]
        suspected[here] = 1.0 - scale.recalibrated(written, table.confidence[here])

    def _suspect_given(self, suspected: NDArray[np.float64], table: LabelTable) -> NDArray[np.bool_]:
        """Write the suspicion of labels that people or an import gave; return which labels (N,) the check contradicts.

        Only where the last check has judged them.
        """
        ids, doubt = self._checks.contradicted()
        rows, known = rows_of(ids, table.image_ids)
        given = known & table.has_source("imported", "human")[rows]
        suspected[rows[given]] = suspicion.of_given(doubt[given])
        contradicted = np.zeros(len(table.image_ids), np.bool_)
        contradicted[table.rows(np.array([one.image_id for one in self._checks.label_issues()], np.int64))] = True
        return contradicted

    def doubtful(self) -> list[tuple[int, float, str]]:
        """Return image id, suspicion 0..1 and source of all labels not looked at, the most suspicious first."""
        now = self.labels_now()
        rows = np.flatnonzero(~now.looked)
        rows = rows[np.lexsort((now.image_ids[rows], -now.suspicion[rows]))]
        columns = (now.image_ids[rows].tolist(), now.suspicion[rows].tolist(), now.source[rows].tolist())
        return list(zip(*columns, strict=True))

    def report(self, patience: float = PATIENCE) -> tuple[GoalReport | None, bool]:
        """Return where the labels stand and the way to the goal, and whether that is of now.

        Args:
            patience: seconds to wait for it. It is worked out beside the caller; where that takes longer, the last one
                is returned, None before the first, and a later call finds the new one.

        Raises:
            StarlingError: a round, a check or an audit cannot be read.
        """
        key = self._key()
        with self._lock:
            if self._working is None or (self._working[0] != key and self._working[1].done()):
                self._working = key, _beside(self.compute)
            of, working = self._working
        done, _ = wait([working], patience)
        if not done:
            return self._last, False
        self._last = working.result()
        return self._last, of == key

    def compute(self) -> GoalReport:
        """Return the report of now, worked out anew."""
        goal, now = self.goal(), self.labels_now()
        wrong = plan.wrong_now(now.suspicion, now.looked, now.source, plan.scale(0, 0.0))
        standing = GoalStanding(
            len(now.image_ids), now.blank, wrong.wrong, None, None, _by_source(now, wrong), 0, 0.0, 0
        )
        step, why = self._before_plan(now)
        if step is not None:
            return GoalReport(goal, standing, None, step, why)
        best = plan.best_plan(now.suspicion, now.looked, goal.rate, people=0.0, needed=threshold(1.0 - goal.level))
        if best is None:
            return GoalReport(goal, standing, None, Step("look"), NO_PLAN)
        step = Step("look", best.first) if best.first else Step("freeze", best.audit)
        return GoalReport(goal, standing, self._way(best), step)

    def _before_plan(self, now: LabelsNow) -> tuple[Step | None, str]:
        """What comes before any plan can be made, and why; None where nothing does."""
        if self._results.in_force() is not None or not now.blank:
            return None, ""
        classes = max(2, len(self._store.classes()))
        labeled = len(now.image_ids)
        if labeled < FIRST_BATCH * classes or len(set(now.label.tolist())) < 2:
            missing = max(1, FIRST_BATCH * classes - labeled)
            return Step("label", missing), f"{now.blank:,} images have neither label nor prediction."
        return Step("train"), f"{now.blank:,} images have neither label nor prediction: a round predicts them."

    def _way(self, best: plan.Plan) -> Way:
        seconds = self._measured.seconds_each()
        low, high = (None if seconds is None else n * seconds / 60 for n in (best.low, best.high))
        return Way(best.first, best.audit, best.low, best.high, low, high)

    def _key(self) -> tuple[Any, ...]:
        """What changes when the report does."""
        table = self._store.label_table()
        check = self._checks.state("labels")
        return (len(table.image_ids), table.head, self._results.version(), self.goal(), check.made)


def _beside(work: Callable[[], GoalReport]) -> Future[GoalReport]:
    """Begin work in a thread of its own, which does not keep the process from ending."""
    future: Future[GoalReport] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="starling-goal", daemon=True).start()
    return future


def _by_source(now: LabelsNow, wrong: plan.WrongNow) -> tuple[SourceShare, ...]:
    return tuple(
        SourceShare(name, int((now.source == name).sum()), int(now.looked[now.source == name].sum()), share)
        for name, share in wrong.by_source.items()
    )


def _ids_of(predictions: Predictions | None) -> NDArray[np.int64]:
    return np.empty(0, np.int64) if predictions is None else predictions.image_ids
