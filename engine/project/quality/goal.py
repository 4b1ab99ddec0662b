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
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ids import rows_of
from engine.percent import at_least, at_most
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import LOOKS, ByClass
from engine.project.quality.learning_curve import LearningCurve
from engine.project.quality.measured import Measured
from engine.project.quality.suspicions import Compared, LabelsNow, Suspicions
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.quality import plan, suspicion
from engine.quality.audit_length import too_many
from engine.quality.betting import allowed, threshold
from engine.quality.learning import Learning
from engine.quality.scale import SHARE
from engine.quality.standing import ASSUMED_MISS, Audit, PartStanding
from engine.records.goal import Goal, GoalReport, GoalSet, GoalStanding, SourceShare, Step, Way
from engine.records.labels import ACCEPTED
from engine.records.rounds import LIVE

PATIENCE = 0.15
"""Seconds that a page waits for a report before it shows the last one."""
NO_PLAN = (
    "So many labels are expected to be wrong, people's among them, that the way to this goal is not worked out. Look "
    "at the labels again, or set a goal that allows more."
)
WORTH_LEAVING = 0.1
"""Within an audit doubtful images are looked at first where they are more than this share of the looks left."""
FEW_CHANGES = 0.5
"""Part of the goal that labels changed since the freeze may make up before they are frozen anew."""
FIRST_BATCH = 2
"""Labels a class, on average, below which a first batch is labeled before any round."""


class Goals:
    """The goal of one project. Thread-safe."""

    def __init__(
        self,
        workspace: Workspace,
        results: Results,
        measured: Measured,
        audits: Audits,
        suspicions: Suspicions,
        by_class: ByClass,
        curve: LearningCurve,
    ) -> None:
        self._store, self._results, self._by_class, self._curve = workspace.store, results, by_class, curve
        self._measured, self._audits, self._suspicions = measured, audits, suspicions
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
        return self._suspicions.labels_now()

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
        learning = None if goal.per_class or under_way is not None else self._curve.now()
        best = self._plan(goal, now, audit, under_way, learning)
        if best is None:
            return GoalReport(goal, standing, None, Step("look"), NO_PLAN, audit=number)
        step = _next(best, under_way, goal, 0 if under_way is None else self._looked_first(under_way))
        if step.kind == "audit":
            best = plan.Plan(0, best.looks, best.low, best.high)
        return GoalReport(goal, standing, self._way(best, learning), step, audit=number)

    def _audit(self) -> Audit | None:
        """The audit of all labels that is under way, else the last one that has an answer."""
        records = [one for one in self._audits.records() if one.scope == "export"]
        found = next((one for one in records if one.state == "open" or one.ordinal is not None), None)
        return None if found is None else self._audits.get(found.number)

    def _standing(self, now: LabelsNow, audit: Audit | None) -> GoalStanding:
        people = _error_of_people(audit)
        low, high = _interval(None if audit is None else audit.total)
        clip = (0.0, math.inf) if low is None or high is None else (float(low), float(high))
        answers = self._answers(audit)
        wrong = plan.wrong_now(
            self._comparable(now, audit), now.looked, now.source, plan.scale(answers.wrong, answers.suspected), people,
            clip,
        )  # fmt: skip
        by_name = {} if audit is None else {part.part.name: part for part in audit.sources}
        shares = []
        for name, share in wrong.by_source.items():
            ours = now.source == name
            between = _interval(by_name.get(name), len(by_name))
            shares.append(SourceShare(name, int(ours.sum()), int(now.looked[ours].sum()), share, *between))
        return GoalStanding(
            len(now.image_ids), now.blank, wrong.wrong, low, high, tuple(shares),
            0 if audit is None else audit.total.random, people, 0 if audit is None else audit.people.asked,
            0 if audit is not None and audit.total.random else answers.answers, answers.rebuilt,
        )  # fmt: skip

    def _answers(self, audit: Audit | None) -> Compared:
        """x and S of the random answers so far: how many were wrong, and how many were suspected before.

        Those of the audit, suspected at the freeze; before it has any, those of the measured set, each suspected when
        it was drawn.
        """
        if audit is None or not audit.total.random:
            return self._suspicions.measured()
        return self._suspicions.audited(audit)

    def _comparable(self, now: LabelsNow, audit: Audit | None) -> NDArray[np.float64]:
        """The suspicion (n,) of the labels of now that a scale is of: with answers of an audit, as it was noted at the
        freeze for those that are the same labels still, so that none of its answers tells twice."""
        if audit is None or not audit.total.random:
            return now.suspicion
        frozen, noted = audit.frozen, self._suspicions.frozen(audit)[0]
        rows, there = frozen.rows(now.image_ids)
        same = there & (np.array(frozen.names, object)[frozen.label_code[rows]] == now.label)
        return np.where(same, noted[rows], now.suspicion)

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
        why = f"{now.blank:,} images have neither label nor prediction: a round predicts them."
        measured = len(self._measured.measured_ids())
        if measured < SHARE:
            why += (
                f" With {SHARE - measured} more “Random images, asked blind” on the Review page it is measured from "
                "its start."
            )
        return Step("train"), why

    def _is_reached(self, goal: Goal, now: LabelsNow, audit: Audit) -> bool:
        """Whether the audit has shown the goal of just the labels there are now."""
        seen = np.array([one.image_id for one in audit.answers], np.int64)
        there = np.isin(audit.frozen.image_ids, np.concatenate([now.image_ids, seen]))
        sure = audit.level >= goal.level - 1e-9
        whole = bool(there.all()) and not audit.added
        return whole and sure and audit.reached(goal.rate, each_class=goal.per_class)

    def _plan(
        self, goal: Goal, now: LabelsNow, audit: Audit | None, under_way: Audit | None, learning: Learning | None
    ) -> plan.Plan | None:
        """The plan with the fewest answers; of a goal for every class, those of all classes together."""
        trusting = under_way is not None and under_way.trusting
        people = None if trusting else _error_of_people(audit)
        missed = ASSUMED_MISS if audit is None or (audit.trusting and not trusting) else audit.missed
        ids, label, suspected, looked = now.image_ids, now.label, self._comparable(now, audit), now.looked
        if under_way is not None:
            ids = under_way.frozen.image_ids
            rows, there = rows_of(ids, now.image_ids)
            label = np.array(under_way.frozen.names, object)[under_way.frozen.label_code]
            suspected, looked = suspected[rows], now.looked[rows] | ~there
            looked = looked | np.isin(ids, [one.image_id for one in under_way.answers])
        ahead = np.zeros(len(ids), np.bool_)
        if under_way is None:
            ahead[self.near_rare(now)] = True
            looked = looked | ahead
        place = 1 + self._store.audits_answered()
        parts: list[tuple[NDArray[np.bool_], PartStanding | None]]
        if not goal.per_class:
            parts = [(np.ones(len(ids), np.bool_), None if under_way is None else under_way.total)]
        elif under_way is None:
            parts = [(label == name, None) for name in sorted(set(label.tolist()))]
        else:
            parts = [(label == part.part.name, part) for part in under_way.classes]
        answers, whole = self._answers(audit), plan.Plan(0, 0, 0, 0)
        compared = answers.wrong, answers.suspected
        for mask, part in parts:
            best = plan.best_plan(
                suspected[mask], looked[mask], _stricter(goal.rate, missed, part), compared, people,
                threshold(1.0 - goal.level, place), None if part is None else part.sequence, learning=learning,
            )  # fmt: skip
            if best is None:
                return None
            whole = plan.Plan(*(ours + theirs for ours, theirs in zip(astuple(whole), astuple(best), strict=True)))
        first = int(ahead.sum())
        return plan.Plan(whole.first + first, whole.audit, whole.low + first, whole.high + first, whole.label)

    def _looked_first(self, audit: Audit) -> int:
        """D: images that a person looked at after the round whose predictions were frozen had learned, before the
        freeze: the doubtful ones. A live round learns from them as well, so that with one all looks are counted."""
        record, number = audit.record, audit.record.round
        by = None if number is None else self._store.round(number)
        since = 0 if by is None or LIVE in by.progress else by.ledger_seq
        return self._store.looked_between(since, record.ledger_seq)

    def _way(self, best: plan.Plan, learning: Learning | None) -> Way:
        seconds = self._measured.seconds_each()
        minutes = None if seconds is None else best.looks * seconds / 60
        supposed = learning is not None and not learning.measured
        return Way(best.first, best.audit, best.low, best.high, minutes, best.label, learning is not None, supposed)

    def _key(self) -> tuple[Any, ...]:
        """What changes when the report does."""
        table = self._store.label_table()
        audits = tuple((one.number, one.state) for one in self._audits.records())
        check = self._suspicions.version()
        return (len(table.image_ids), table.head, self._results.version(), self.goal(), check, audits)


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


def _interval(part: PartStanding | None, table: int = 1) -> tuple[int, int] | tuple[None, None]:
    """How many labels are wrong now at least and at most, those found being put right; nothing below 20 answers.

    Args:
        part: of an audit.
        table: how many such intervals are shown together.
    """
    return (None, None) if part is None or not part.shown else part.interval(table)


def _error_of_people(audit: Audit | None) -> float:
    """h, the share wrong among labels that a person looked at: a supposed one until enough of them were asked again."""
    if audit is not None and audit.trusting:
        return 0.0
    return suspicion.GIVEN if audit is None or not audit.missed_is_measured else audit.people.share


def _why_anew(goal: Goal, audit: Audit) -> str:
    """Why an audit cannot lead to the goal any more, so that labels are to be frozen anew; "" where it can."""
    if audit.level < goal.level - 1e-9:
        return (
            f"The labels were frozen to be {at_least(audit.level)} sure, and the goal asks for more: freeze them anew."
        )
    if audit.changed > FEW_CHANGES * allowed(goal.rate, audit.total.whole):
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
    left = allowed(rate, part.whole) - part.changed - part.unsettled
    share = ((1.0 - missed) * (left + part.found) - part.found) / max(1, part.labels)
    return min(1.0, max(0.0, share))


def _next(best: plan.Plan, audit: Audit | None, goal: Goal, looked_first: int) -> Step:
    """The first step of a plan. Within an audit a few doubtful images are no reason to leave it.

    Where too many answers find a wrong label, a fifth of the D images looked at first is looked at in between; then
    answers are counted anew. A look for another reason changes nothing of that.
    """
    if audit is None and best.label:
        return Step("label", best.label)
    if audit is None:
        return Step("look", best.first) if best.first else Step("freeze", best.audit)
    more = max(1, looked_first // plan.MORE_LOOKS)
    answered = wrong = looks = 0
    for one in audit.answers:
        if one.order is not None:
            answered, wrong = answered + 1, wrong + one.wrong
        elif too_many(wrong, answered, goal.rate):
            looks += 1
        if looks == more:
            answered = wrong = looks = 0
    if too_many(wrong, answered, goal.rate):
        return Step("look", more - looks)
    if best.first > WORTH_LEAVING * best.looks:
        return Step("look", best.first)
    return Step("audit", best.looks)


def _certified(goal: Goal, audit: Audit) -> str:
    """What the audit has shown, in words."""
    parts = audit.classes if goal.per_class else (audit.total,)
    share = max(part.left_wrong / part.whole for part in parts)
    of = " in every class" if goal.per_class else ""
    by = ", people's answers taken as the truth" if audit.trusting else ""
    return f"at most {at_most(min(1.0, share))} wrong{of}, {at_least(audit.level)} sure{by}"
