"""The labels that an export of everything would hold, how far each is suspected, and what was suspected before answers.

Suspicion is told by the measured set and by the check of the labels, which both go on. So what is compared with answers
is noted before them: with an audit when its labels are frozen, with an image of the measured set when it is drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ids import rows_of
from engine.project.quality.checks import Checks
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.quality import scale, suspicion
from engine.quality.standing import Audit
from engine.records.labels import ACCEPTED, Suspected
from engine.records.rounds import Predictions
from engine.store import LabelTable


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


@dataclass(frozen=True)
class Compared:
    """Random answers beside what was suspected of their labels before: how many, x wrong, and S, the sum of the
    suspicions.

    rebuilt: whether some of it was not noted before the answers and is worked out after them.
    """

    answers: int
    wrong: int
    suspected: float
    rebuilt: bool = False


class Suspicions:
    """How far the labels of one project are suspected. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results, measured: Measured, checks: Checks) -> None:
        self._store, self._results, self._measured, self._checks = workspace.store, results, measured, checks
        self._lock = threading.Lock()
        self._at_freeze: tuple[int, NDArray[np.float64]] | None = None

    def labels_now(self) -> LabelsNow:
        """Return the labels that an export of everything would hold."""
        table = self._store.label_table()
        return self._labels(table, np.arange(len(table.image_ids)))

    def version(self) -> tuple[int, int] | None:
        """Return what changes when another check of the labels has ended; None before the first."""
        return self._checks.version()

    def before(self, image_ids: Collection[int]) -> tuple[Suspected, ...]:
        """Return what is suspected of these images before they are answered: of labels that nobody looked at."""
        table, ids = self._store.label_table(), np.unique(np.array(list(image_ids), np.int64))
        if not len(ids):
            return ()
        now = self._labels(table, table.rows(ids))
        fresh = ~now.looked
        columns = (now.image_ids[fresh].tolist(), now.label[fresh].tolist(), now.suspicion[fresh].tolist())
        known = {image_id: Suspected(image_id, label, doubt) for image_id, label, doubt in zip(*columns, strict=True)}
        return tuple(known.get(one, Suspected(one, None, 0.0)) for one in ids.tolist())

    def measured(self) -> Compared:
        """Return the answers of the measured set beside what was suspected of the labels that the images had then.

        An image without an answer counts as wrong, as does one that was last skipped, called unsure or rejected. Of
        images drawn before suspicion was noted, the predictions of the round in force are compared with what it says
        now.
        """
        draws, table = self._store.measured(), self._store.label_table()
        ids = self._measured.measured_ids()
        at, rows = {one: place for place, one in enumerate(draws.image_ids.tolist())}, table.rows(ids)
        places = np.array([at[one] for one in ids.tolist()], np.int64)
        label, suspected = draws.label[places], draws.suspicion[places]
        noted, labeled = np.isfinite(suspected), np.array([one is not None for one in label], np.bool_)
        said = self._measured.said(ids)
        right = labeled & (said == label) & ~table.rejected[rows]
        wrong, total = int((labeled & ~right).sum()), float(suspected[labeled].sum())
        predictions = self._results.predictions()
        if noted.all() or predictions is None:
            return Compared(int(labeled.sum()), wrong, total)
        answers, written = self._measured.answers(predictions.round), self._measured.scale(predictions.round)
        old = np.isin(answers.image_ids, ids[~noted])
        doubt = 1.0 - scale.recalibrated(written, answers.confidence[old])
        wrong, total = wrong + int((~answers.right[old]).sum()), total + float(doubt.sum())
        return Compared(int(labeled.sum()) + int(old.sum()), wrong, total, bool(old.any()))

    def audited(self, audit: Audit) -> Compared:
        """Return the random answers of an audit beside what was suspected of their labels at its freeze."""
        ids = np.array([bet.id for bet in audit.total.bets if bet.kind == "random"], np.int64)
        suspected, rebuilt = self.frozen(audit)
        return Compared(len(ids), audit.total.wrong, float(suspected[audit.frozen.rows(ids)[0]].sum()), rebuilt)

    def frozen(self, audit: Audit) -> tuple[NDArray[np.float64], bool]:
        """Return the suspicion (N,) of frozen labels at their freeze, and whether it is worked out after it: for audits
        from before it was noted, by what is known of their round and by the check today."""
        if audit.frozen.suspicion is not None:
            return audit.frozen.suspicion.astype(np.float64), False
        with self._lock:
            kept = self._at_freeze
        if kept is not None and kept[0] == audit.number:
            return kept[1], True
        suspected = self._rebuilt(audit)
        with self._lock:
            self._at_freeze = audit.number, suspected
        return suspected, True

    def _rebuilt(self, audit: Audit) -> NDArray[np.float64]:
        frozen, record = audit.frozen, audit.record
        states = self._store.states_at(record.ledger_seq)
        suspected = np.full(len(frozen), suspicion.GIVEN)
        source = np.array(frozen.sources, object)[frozen.source_code]
        for row in np.flatnonzero(np.isin(source, ACCEPTED)).tolist():
            state = states.get(int(frozen.image_ids[row]))
            if state is not None and state.confidence is not None:
                suspected[row] = 1.0 - state.confidence
        if record.round is not None and record.round in {one.number for one in self._results.complete()}:
            predictions = self._results.needed(record.round)
            rows, predicted = rows_of(frozen.image_ids, predictions.image_ids)
            pseudo = (source == "pseudo") & predicted
            written = self._measured.scale(record.round)
            suspected[pseudo] = 1.0 - scale.recalibrated(written, predictions.probabilities[rows[pseudo]].max(1))
        ids, doubt, seq = self._checks.contradicted()
        rows, known = frozen.rows(ids)
        judged = [one in states and states[one].version <= seq for one in ids.tolist()]
        given = known & np.isin(source, ("imported", "human"))[rows] & np.array(judged, np.bool_)
        suspected[rows[given]] = suspicion.of_given(doubt[given])
        return suspected

    def _labels(self, table: LabelTable, rows: NDArray[np.int64]) -> LabelsNow:
        """The exported labels among these rows of the table, ascending."""
        predictions = self._results.predictions()
        ids, labeled, undecided = table.image_ids[rows], table.labeled[rows], table.undecided[rows]
        usable = ~table.rejected[rows]
        columns, predicted = rows_of(ids, np.empty(0, np.int64) if predictions is None else predictions.image_ids)
        pseudo = undecided & predicted
        label, source = table.label[rows].copy(), table.source[rows].copy()
        suspected = np.full(len(ids), suspicion.GIVEN)
        if predictions is not None:
            shown = predictions.probabilities[columns[pseudo]]
            label[pseudo] = np.array(predictions.classes, object)[shown.argmax(1)]
            source[pseudo] = "pseudo"
            self._suspect_predicted(suspected, table, rows, predictions, pseudo, shown.max(1))
        contradicted = self._suspect_given(suspected, table, rows)
        chosen = (usable & labeled) | pseudo
        looked = table.reviewed[rows] & labeled & ~contradicted
        return LabelsNow(
            ids[chosen], label[chosen], source[chosen], suspected[chosen], looked[chosen], int((usable & ~chosen).sum())
        )

    def _suspect_predicted(
        self,
        suspected: NDArray[np.float64],
        table: LabelTable,
        rows: NDArray[np.int64],
        predictions: Predictions,
        pseudo: NDArray[np.bool_],
        confidence: NDArray[np.floating],
    ) -> None:
        """Write the suspicion of predictions and of labels that began as one, by their recalibrated confidence.

        An earlier round's confidence stays as it was recorded: its scale is of answers to another model.
        """
        written, given = self._measured.scale(predictions.round), table.confidence[rows]
        suspected[pseudo] = 1.0 - scale.recalibrated(written, confidence)
        accepted = table.has_source(*ACCEPTED)[rows] & np.isfinite(given)
        here = accepted & (table.round[rows] == predictions.round)
        suspected[accepted] = 1.0 - given[accepted]
        suspected[here] = 1.0 - scale.recalibrated(written, given[here])

    def _suspect_given(
        self, suspected: NDArray[np.float64], table: LabelTable, rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Write the suspicion of labels that people or an import gave; return which rows (n,) the check contradicts.

        Only where the last check has judged them.
        """
        ids, doubt, seq = self._checks.contradicted()
        places, known = rows_of(ids, table.image_ids)
        given = known & table.has_source("imported", "human")[places] & (table.version[places] <= seq)
        whole = np.full(len(table.image_ids), np.nan)
        whole[places[given]] = suspicion.of_given(doubt[given])
        judged = np.isfinite(whole[rows])
        suspected[judged] = whole[rows][judged]
        issues = np.array([one.image_id for one in self._checks.label_issues()], np.int64)
        return np.isin(table.image_ids[rows], issues)
