"""The desk of the goal: how many labels are wrong now, the cheapest way to the goal, and what to do next.

The labels are those that an export of everything would hold: labels in force, and predictions of the round in force for
images that have none. What is said of them is worked out anew whenever a label, the round, the audit or the goal has
changed, beside the page where it takes longer than a page may wait.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ids import rows_of
from engine.percent import at_least, at_most
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import LOOKS, ByClass
from engine.project.quality.checks import Checks
from engine.project.quality.measured import Measured
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.quality import plan, scale, suspicion
from engine.quality.audit_length import too_many
from engine.quality.betting import allowed, threshold
from engine.quality.standing import ASSUMED_MISS, Audit, PartStanding
from engine.records.goal import Goal, GoalReport, GoalSet, GoalStanding, SourceShare, Step, Way
from engine.records.labels import ACCEPTED
from engine.records.rounds import Predictions
from engine.store import LabelTable

PATIENCE = 0.15
"""Seconds that a page waits for a report before it shows the last one."""
NO_PLAN = (
    "People are found to be wrong so often that no number of answers leads to this goal. Look at the labels again, or "
    "set a goal that allows more."
)
WORTH_LEAVING = 0.1
"""Within an audit doubtful images are looked at first where they are more than this share of the looks left."""
FEW_CHANGES = 0.5
"""Part of the goal that labels changed since the freeze may make up before they are frozen anew."""
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
        self,
        workspace: Workspace,
        results: Results,
        measured: Measured,
        audits: Audits,
        checks: Checks,
        by_class: ByClass,
    ) -> None:
        self._store, self._results, self._by_class = workspace.store, results, by_class
        self._measured, self._audits, self._checks = measured, audits, checks
        self._lock = threading.Lock()
        self._working: tuple[tuple[Any, ...], Future[GoalReport]] | None = None
        self._last: GoalReport | None = None
        self._at_freeze: tuple[int, NDArray[np.float64]] | None = None

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
        ids, doubt, seq = self._checks.contradicted()
        rows, known = rows_of(ids, table.image_ids)
        given = known & table.has_source("imported", "human")[rows] & (table.version[rows] <= seq)
        suspected[rows[given]] = suspicion.of_given(doubt[given])
        contradicted = np.zeros(len(table.image_ids), np.bool_)
        contradicted[table.rows(np.array([one.image_id for one in self._checks.label_issues()], np.int64))] = True
        return contradicted

    def doubtful(self) -> list[tuple[int, float, str]]:
        """Return image id, suspicion 0..1 and source of all labels not looked at: those of `near_rare` first, then the
        most suspicious."""
        now = self.labels_now()
        rows = np.flatnonzero(~now.looked)
        rows = rows[np.lexsort((now.image_ids[rows], -now.suspicion[rows]))]
        first = self.near_rare(now)
        rows = np.concatenate([first, rows[~np.isin(rows, first)]])
        columns = (now.image_ids[rows].tolist(), now.suspicion[rows].tolist(), now.source[rows].tolist())
        return list(zip(*columns, strict=True))

    def near_rare(self, now: LabelsNow) -> NDArray[np.int64]:
        """Return the rows of labels that go first before a freeze, whatever their suspicion: predicted as a common
        class, with one of a rare class among their ten nearest images, and not looked at; the nearest first.

        At most `LOOKS` images in all, those of them that were looked at included: a rare class lies near many.
        """
        if self._audits.opened() is not None:
            return np.zeros(0, np.int64)
        rows, there = rows_of(self._by_class.easily_swept(), now.image_ids)
        rows = rows[there]
        rows = rows[np.isin(now.source[rows], ("pseudo", *ACCEPTED)) | now.looked[rows]]
        free = rows[~now.looked[rows] & ~np.isin(now.image_ids[rows], self._measured.waiting())]
        return free[: max(0, LOOKS - int(now.looked[rows].sum()))]

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
        goal, now, audit = self.goal(), self.labels_now(), self._audit()
        standing = self._standing(now, audit)
        number = None if audit is None else audit.number
        step, why = self._before_plan(now, audit)
        if step is not None:
            return GoalReport(goal, standing, None, step, why, audit=number)
        if audit is not None and self._is_reached(goal, now, audit):
            return GoalReport(goal, standing, None, Step("export"), "", _certified(goal, audit), number)
        under_way = audit if audit is not None and audit.open else None
        if under_way is not None and (why := _why_anew(goal, under_way)):
            return GoalReport(goal, standing, None, Step("freeze"), why, audit=number)
        best = self._plan(goal, now, audit, under_way)
        if best is None:
            return GoalReport(goal, standing, None, Step("look"), NO_PLAN, audit=number)
        step = _next(best, under_way, goal, now)
        if step.kind == "audit":
            best = plan.Plan(0, best.looks, best.low, best.high)
        return GoalReport(goal, standing, self._way(best), step, audit=number)

    def _audit(self) -> Audit | None:
        """The audit of all labels that is under way, else the last one that has an answer."""
        records = [one for one in self._audits.records() if one.scope == "export"]
        found = next((one for one in records if one.state == "open" or one.ordinal is not None), None)
        return None if found is None else self._audits.get(found.number)

    def _standing(self, now: LabelsNow, audit: Audit | None) -> GoalStanding:
        people = 0.0 if audit is None else audit.people.share
        low, high = _interval(None if audit is None else audit.total)
        clip = (0.0, math.inf) if low is None or high is None else (float(low), float(high))
        wrong = plan.wrong_now(
            now.suspicion, now.looked, now.source, plan.scale(*self._answers(audit)), people, clip
        )  # fmt: skip
        by_name = {} if audit is None else {part.part.name: part for part in audit.sources}
        shares = []
        for name, share in wrong.by_source.items():
            ours = now.source == name
            shares.append(
                SourceShare(name, int(ours.sum()), int(now.looked[ours].sum()), share, *_interval(by_name.get(name)))
            )
        return GoalStanding(
            len(now.image_ids), now.blank, wrong.wrong, low, high, tuple(shares),
            0 if audit is None else audit.total.random, people, 0 if audit is None else audit.people.asked,
            self._measured_answers(),
        )  # fmt: skip

    def _measured_answers(self) -> int:
        """How many answers have measured the round in force."""
        number = self._results.in_force()
        return 0 if number is None else len(self._measured.answers(number).right)

    def _answers(self, audit: Audit | None) -> tuple[int, float]:
        """x and S of the random answers so far: how many were wrong, and how many were suspected before.

        Those of the audit, suspected at the freeze; before it has any, those of the measured set, none of which the
        round in force has learned from.
        """
        if audit is None or not audit.total.random:
            predictions = self._results.predictions()
            if predictions is None:
                return 0, 0.0
            answers, written = self._measured.answers(predictions.round), self._measured.scale(predictions.round)
            suspected = 1.0 - scale.recalibrated(written, answers.confidence)
            return int((~answers.right).sum()), float(suspected.sum())
        ids = np.array([bet.id for bet in audit.total.bets if bet.kind == "random"], np.int64)
        return audit.total.wrong, float(self._suspected_at_freeze(audit)[audit.frozen.rows(ids)[0]].sum())

    def _suspected_at_freeze(self, audit: Audit) -> NDArray[np.float64]:
        """The suspicion (N,) of frozen labels as it was before any answer: it is never told by what followed."""
        frozen, record = audit.frozen, audit.record
        with self._lock:
            kept = self._at_freeze
        if kept is not None and kept[0] == record.number:
            return kept[1]
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
        with self._lock:
            self._at_freeze = record.number, suspected
        return suspected

    def _before_plan(self, now: LabelsNow, audit: Audit | None) -> tuple[Step | None, str]:
        """What comes before any plan can be made, and why; None where nothing does."""
        other = self._audits.opened()
        if other is not None and other.record.scope != "export":
            return Step("audit"), f"Audit {other.number} of a threshold is open: finish or close it first."
        if not len(now.image_ids) and not now.blank:
            return Step("label"), "There are no images yet."
        if self._results.in_force() is not None or not now.blank or (audit is not None and audit.open):
            return None, ""
        classes = max(2, len(self._store.classes()))
        labeled = len(now.image_ids)
        if labeled < FIRST_BATCH * classes or len(set(now.label.tolist())) < 2:
            missing = max(1, FIRST_BATCH * classes - labeled)
            return Step("label", missing), f"{now.blank:,} images have neither label nor prediction."
        return Step("train"), f"{now.blank:,} images have neither label nor prediction: a round predicts them."

    def _is_reached(self, goal: Goal, now: LabelsNow, audit: Audit) -> bool:
        """Whether the audit has shown the goal of just the labels there are now."""
        seen = np.array([one.image_id for one in audit.answers], np.int64)
        there = np.isin(audit.frozen.image_ids, np.concatenate([now.image_ids, seen]))
        sure = audit.level >= goal.level - 1e-9
        whole = bool(there.all()) and not audit.added
        return whole and sure and audit.reached(goal.rate, each_class=goal.per_class)

    def _plan(self, goal: Goal, now: LabelsNow, audit: Audit | None, under_way: Audit | None) -> plan.Plan | None:
        """The plan with the fewest looks; of a goal for every class, those of all classes together."""
        people, missed = (0.0, ASSUMED_MISS) if audit is None else (audit.people.share, audit.missed)
        ids, label, suspected, looked = now.image_ids, now.label, now.suspicion, now.looked
        if under_way is not None:
            ids = under_way.frozen.image_ids
            rows, there = rows_of(ids, now.image_ids)
            label = np.array(under_way.frozen.names, object)[under_way.frozen.label_code]
            suspected, looked = now.suspicion[rows], now.looked[rows] | ~there
            looked = looked | np.isin(ids, [one.image_id for one in under_way.answers])
        ahead = np.zeros(len(ids), np.bool_)
        if under_way is None:
            ahead[self.near_rare(now)] = True
            looked = looked | ahead
        place = 1 + max((one.ordinal or 0 for one in self._audits.records()), default=0)
        parts: list[tuple[NDArray[np.bool_], PartStanding | None]]
        if not goal.per_class:
            parts = [(np.ones(len(ids), np.bool_), None if under_way is None else under_way.total)]
        elif under_way is None:
            parts = [(label == name, None) for name in sorted(set(label.tolist()))]
        else:
            parts = [(label == part.part.name, part) for part in under_way.classes]
        answers, whole = self._answers(audit), plan.Plan(0, 0, 0, 0)
        for mask, part in parts:
            best = plan.best_plan(
                suspected[mask], looked[mask], _stricter(goal.rate, missed, part), answers, people,
                threshold(1.0 - goal.level, place), None if part is None else part.sequence,
            )  # fmt: skip
            if best is None:
                return None
            whole = plan.Plan(*(ours + theirs for ours, theirs in zip(astuple(whole), astuple(best), strict=True)))
        first = int(ahead.sum())
        return plan.Plan(whole.first + first, whole.audit, whole.low + first, whole.high + first)

    def _way(self, best: plan.Plan) -> Way:
        seconds = self._measured.seconds_each()
        return Way(best.first, best.audit, best.low, best.high, None if seconds is None else best.looks * seconds / 60)

    def _key(self) -> tuple[Any, ...]:
        """What changes when the report does."""
        table = self._store.label_table()
        audits = tuple((one.number, one.state) for one in self._audits.records())
        return (len(table.image_ids), table.head, self._results.version(), self.goal(), self._checks.version(), audits)


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


def _interval(part: PartStanding | None) -> tuple[int, int] | tuple[None, None]:
    """How many labels are wrong now at least and at most, those found being put right; nothing below 20 answers."""
    if part is None or not part.shown:
        return None, None
    low, high = part.interval
    return max(0, low - part.found), min(part.labels, high - part.found + part.changed + part.unsettled)


def _why_anew(goal: Goal, audit: Audit) -> str:
    """Why an audit cannot lead to the goal any more, so that labels are to be frozen anew; "" where it can."""
    if audit.level < goal.level - 1e-9:
        return (
            f"The labels were frozen to be {at_least(audit.level)} sure, and the goal asks for more: freeze them anew."
        )
    if audit.changed > FEW_CHANGES * allowed(goal.rate, audit.labels):
        return f"{audit.changed:,} labels changed since the freeze without a look: freeze them as they are now."
    if audit.reached(goal.rate, each_class=goal.per_class):
        return (
            f"The audit has shown it of {audit.labels:,} frozen labels, and others came, or some of them went, since: "
            "label the images that were skipped or are unsure, or freeze the labels as they are now."
        )
    return ""


def _stricter(rate: float, missed: float, part: PartStanding | None) -> float:
    """The goal as a share that the audit must show, people passing some wrong labels and others having changed."""
    if part is None:
        return (1.0 - missed) * rate
    left = allowed(rate, part.labels) - part.changed - part.unsettled
    return max(0.0, ((1.0 - missed) * (left + part.found) - part.found) / max(1, part.labels))


def _next(best: plan.Plan, audit: Audit | None, goal: Goal, now: LabelsNow) -> Step:
    """The first step of a plan. Within an audit a few doubtful images are no reason to leave it."""
    if audit is None:
        return Step("look", best.first) if best.first else Step("freeze", best.audit)
    last = max((at for at, one in enumerate(audit.answers) if one.order is None), default=-1)
    since = [one.wrong for one in audit.answers[last + 1 :]]
    if too_many(sum(since), len(since), goal.rate):
        return Step("look", max(best.first, int(now.looked.sum()) // plan.MORE_LOOKS, 1))
    if best.first > WORTH_LEAVING * best.looks:
        return Step("look", best.first)
    return Step("audit", best.looks)


def _certified(goal: Goal, audit: Audit) -> str:
    """What the audit has shown, in words."""
    parts = audit.classes if goal.per_class else (audit.total,)
    share = max(part.left_wrong / part.labels for part in parts)
    of = " in every class" if goal.per_class else ""
    return f"at most {at_most(min(1.0, share))} wrong{of}, {at_least(audit.level)} sure"


def _ids_of(predictions: Predictions | None) -> NDArray[np.int64]:
    return np.empty(0, np.int64) if predictions is None else predictions.image_ids
