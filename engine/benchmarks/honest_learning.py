"""Plans that know that live labels go on learning, as lines of `starling bench honesty`, beside plans that do not.

Projects of all kinds (`engine.benchmarks.honest_projects`), in turn, over the sets of images in turn. After 100 answers
both plans are made: one with how the model goes on learning, one of labels and suspicions as they are. Then the first
is followed as the app does, made anew after every 50 answers while it asks for labels to learn from, to a freeze and an
audit; how many answers that took judges both forecasts. The same project is also brought to its end by the other plan,
followed as it was made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.benchmarks.goal_projects import GoalProject, Pool, more_looks
from engine.benchmarks.honest_lines import Control, Line, percent_of
from engine.benchmarks.honest_projects import KINDS, SLIPS, WITHIN, Sets, at_most_images
from engine.quality.betting import allowed
from engine.quality.learning import LEAST_ANSWERS
from engine.quality.plan import Plan

TOLD_AT, AGAIN = 100, 50
"""Answers after which the forecasts are made; answers after which the plan is made anew."""
PER_FIT = 25
ROW = "learning on"


@dataclass
class _Forecasts:
    """What one plan told in each project: answers in all over those it took, and whether its interval held these."""

    ratio: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)

    def add(self, plan: Plan, took: int) -> None:
        self.ratio.append((TOLD_AT + plan.looks) / took)
        self.held.append(plan.low <= took - TOLD_AT <= plan.high)

    def off(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """By how many percent of the answers it took each forecast was off."""
        return 100 * np.abs(np.array(self.ratio) - 1.0)

    def near(self) -> tuple[float, float]:
        return percent_of([abs(1 / one - 1.0) <= WITHIN for one in self.ratio])


def learning_on(sets: Sets, runs: int, rate: float, seed: int) -> list[Line]:
    """Play projects by a plan that learns and by one that does not.

    Args:
        sets: they take turns.
        runs: projects.
        rate: the goal, 0..1.
        seed: of everything.
    """
    learns, as_they_are = _Forecasts(), _Forecasts()
    false: list[bool] = []
    times: list[float] = []
    names, kinds = list(sets.by_name), list(KINDS)
    for run in range(runs):
        name, kind = names[run // len(kinds) % len(names)], kinds[run % len(kinds)]
        rng = np.random.default_rng([seed, run])
        x, y, votes = sets.by_name[name]
        pool = KINDS[kind](*at_most_images(x, y, rng), votes, rng)
        ended = _follow(pool, rate, seed + run)
        if ended is None:
            continue
        first, static, took, wrong = ended
        learns.add(first, took)
        as_they_are.add(static, took)
        false.append(wrong > allowed(rate, len(pool.truth)))
        times.append(100 * took / _as_made(pool, rate, seed + run))
    return _lines(learns, as_they_are, false, times, rate)


def _started(pool: Pool, seed: int) -> GoalProject:
    project = GoalProject(pool, seed, slips=SLIPS)
    project.learn(TOLD_AT, PER_FIT)
    return project


def _follow(pool: Pool, rate: float, seed: int) -> tuple[Plan, Plan, int, int] | None:
    """Return both plans after the first answers, the answers that the one that learns took, and how many labels were
    wrong then; None where no plan can be made, or too little is measured for one that learns."""
    project = _started(pool, seed)
    static = project.plan(rate, whole=True, seed=seed)
    plan = first = project.plan(rate, whole=True, seed=seed, learns=True)
    if static is None or plan is None or first is None or len(project.placed) < LEAST_ANSWERS:
        return None
    while plan is not None and plan.label and (project.label < 0).any():
        project.learn(project.answers + min(AGAIN, plan.label), PER_FIT)
        plan = project.plan(rate, whole=True, seed=seed, learns=True)
    looks = 0 if plan is None else plan.first
    project.look_first(looks)
    answers = project.answers
    ended = project.certify(rate, whole=True, more=more_looks(looks))
    return first, static, answers + ended.looks, ended.wrong


def _as_made(pool: Pool, rate: float, seed: int) -> int:
    """Return the answers that the plan of labels as they are takes, followed as it was made."""
    project = _started(pool, seed)
    plan = project.plan(rate, whole=True, seed=seed)
    looks = 0 if plan is None else plan.first
    project.look_first(looks)
    answers = project.answers
    return answers + project.certify(rate, whole=True, more=more_looks(looks)).looks


def _lines(
    learns: _Forecasts, as_they_are: _Forecasts, false: list[bool], times: list[float], rate: float
) -> list[Line]:
    number, other = f"answers to the goal, after {TOLD_AT}", "the plan of labels as they are"
    off, theirs = learns.off(), as_they_are.off()
    nearer = off[off != theirs] < theirs[off != theirs]
    spread = float(off.std() / np.sqrt(max(1, len(off))))
    told = f"{np.median(learns.ratio):.2f} times what it took; {np.median(as_they_are.ratio):.2f} by {other}"
    return [
        Line(number, "forecast interval, live labels learn on", 80, False, *percent_of(learns.held), told,
             (Control(other, *percent_of(as_they_are.held)),)),
        Line(number, "within ± 25 % of the forecast, live labels learn on", 70, False, *learns.near(), "",
             (Control(other, *as_they_are.near()),)),
        Line(number, f"off by less than {other}, % of what it took", round(float(theirs.mean()), 1), True,
             float(off.mean()), spread, f"nearer in {percent_of(nearer)[0]:.0f} % of projects where they differ"),
        Line(number, f"taken, % of those by {other}", 100, True, float(np.mean(times)),
             float(np.std(times) / np.sqrt(max(1, len(times))))),
        Line(f"certificate of {100 * rate:g} %", "after a plan that learns", 5, True, *percent_of(false)),
    ]  # fmt: skip
