"""The plan's first looks as a line of `starling bench honesty`: D* beside eight other rules, none, and strata.

In made-up worlds of suspicions the doubtful are looked at first, by each rule so many, and a random audit follows to
the goal. All rules know the same: the suspicions, and what some random answers said of their scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.benchmarks.honest_lines import Control, Line, worst
from engine.quality.audit_length import looks_to_goal
from engine.quality.betting import ALPHA, FEWER, allowed
from engine.quality.plan import MORE_LOOKS, best_plan, scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Spot = tuple[float, float]

LABELS, ANSWERS = 10_000, 50
MOST_WRONG = 0.55
LEFT = (0.05, 0.1, 0.2, 1 / 3, 0.5, 0.65, 0.8, 0.95)
"""The eight rules: look first until this part of the goal is expected to be wrong among the rest."""
MOST_MORE = 8.0
"""Percent of looks that D* may take more than the best of these in hindsight."""
CUTS = (0.5, 0.8, 0.95)
"""Strata are cut at these quantiles of suspicion."""
CHECKED = 256
"""An audit by strata is worked out for so many answers, then for twice as many, and so on until it is at its end."""
STRATA = {"strata": 1.0, "half strata": 0.5}
"""Rules that draw from strata: which part of the answers by Neyman's shares."""


@dataclass(frozen=True)
class _World:
    """Suspicions of a Beta(a, b), of which `times` as many are wrong; the goal, a share of all labels."""

    a: float
    b: float
    times: float
    goal: float


WORLDS = {
    "few are doubtful": _World(0.15, 5, 1.0, 0.01), "all are alike": _World(1, 40, 1.0, 0.01),
    "many are wrong": _World(0.3, 3, 1.0, 0.02), "more wrong than suspected": _World(0.15, 5, 1.8, 0.01),
    "fewer wrong than suspected": _World(0.15, 5, 0.6, 0.01),
}  # fmt: skip


def first_looks(runs: int, rng: np.random.Generator) -> list[Line]:
    """Looks to the goal by D*, and by other rules."""
    found = {name: _looks(world, max(20, runs // 20), rng) for name, world in WORLDS.items()}
    best = {name: min((of[f"{part}"] for part in LEFT), key=np.mean) for name, of in found.items()}

    def more(rule: str) -> Spot:
        return worst({name: _more(of[rule], best[name]) for name, of in found.items()}, most=True)

    controls = {"none": "no first looks", "strata": "first looks, then strata by Neyman’s shares"}
    width = f"{_each('D*', found)} looks; half of the answers by Neyman’s shares {_each('half strata', found)}"
    return [
        Line("looks to the goal", f"more than by the best of {len(LEFT)} rules, %, the worst of {len(WORLDS)} worlds",
             MOST_MORE, True, *more("D*"), width,
             tuple(Control(f"{text} ({_each(rule, found)})", *more(rule)) for rule, text in controls.items())),
    ]  # fmt: skip


def _each(rule: str, found: dict[str, dict[str, Floats]]) -> str:
    return "/".join(f"{np.mean(of[rule]):,.0f}" for of in found.values())


def _more(looks: Floats, best: Floats) -> Spot:
    """Return by how many percent the mean of looks (R,) is above that of others, and the standard error."""
    ratio = looks.mean() / best.mean()
    spread = math.sqrt(looks.var() / looks.mean() ** 2 + best.var() / best.mean() ** 2)
    return 100 * float(ratio - 1), 100 * float(ratio * spread / math.sqrt(len(looks)))


def _looks(world: _World, runs: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return the looks (R,) of each rule in one world."""
    doubt = np.sort(np.minimum(rng.beta(world.a, world.b, LABELS), MOST_WRONG))[::-1]
    suspected = ANSWERS * float(doubt.mean())
    answers = round(world.times * suspected), suspected
    at_most = allowed(world.goal, LABELS)
    left = scale(*answers) * np.concatenate([[0.0], np.cumsum(doubt[::-1])])[::-1]
    firsts = {f"{part}": int(np.flatnonzero(left <= part * at_most)[0]) for part in LEFT}
    plan = best_plan(doubt, np.zeros(LABELS, np.bool_), world.goal, answers)
    firsts |= {"none": 0, "D*": 0 if plan is None else plan.first}
    found: dict[str, list[int]] = {name: [] for name in (*firsts, *STRATA)}
    none, needed = np.zeros(0, np.bool_), 1 / ALPHA
    for _ in range(runs):
        wrong = rng.random(LABELS) < world.times * doubt
        for name, first in firsts.items():
            more = max(1, first // MORE_LOOKS) if first else 0
            found[name].append(first + looks_to_goal(wrong[first:], none, more, at_most, needed, rng))
        first = firsts["D*"]
        for name, part in STRATA.items():
            found[name].append(first + looks_by_strata(wrong[first:], doubt[first:], at_most, needed, part, rng)[0])
    return {name: np.array(looks, np.float64) for name, looks in found.items()}


def looks_by_strata(
    wrong: Mask, doubt: Floats, at_most: int, needed: float, by_neyman: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Simulate an audit that draws from strata of suspicion until at most so many labels are left wrong.

    A part of the answers is drawn by Neyman's shares n √(p (1 − p)), n images left in a stratum and p their suspicion,
    the others at random. An answer y counts w y, w the stratum's share of the images left over its chance to be drawn:
    the mean is the share wrong again. The bets are those of `engine.quality.betting`, scaled by the largest w.

    Args:
        wrong: (n,) which labels are wrong. doubt: (n,) suspicion of each.
        at_most: wrong labels that may be left.
        needed: what E must reach.
        by_neyman: which part, 0..1.
        rng: of the draws.

    Returns:
        Its answers, and how many of them found a wrong label.

    Source: Neyman 1934, On the Two Different Aspects of the Representative Method.
    """
    stratum = np.searchsorted(np.quantile(doubt, CUTS), doubt, side="right")
    queues = [rng.permutation(wrong[stratum == one]).tolist() for one in range(len(CUTS) + 1)]
    p = np.array([doubt[stratum == one].mean() for one in range(len(queues))])
    left, spread = np.array([float(len(queue)) for queue in queues]), np.sqrt(p * (1 - p))
    found, check, rows = 0, CHECKED, []
    for answer, u in enumerate(rng.random(len(wrong)).tolist()):
        images = len(wrong) - answer
        share, neyman = left / images, left * spread
        chance = (1 - by_neyman) * share + by_neyman * neyman / neyman.sum()
        weight = share / np.where(left > 0, chance, 1.0)
        at = min(int(np.searchsorted(np.cumsum(chance), u * chance.sum(), side="right")), int(np.flatnonzero(left)[-1]))
        y = queues[at].pop()
        rows.append((images, found, y * weight[at], weight.max()))
        left[at] -= 1
        found += y
        if answer + 1 == check:
            check *= 2
            if reached := _first_reached(np.array(rows, np.float64), found, at_most, needed):
                return reached
    return _first_reached(np.array(rows, np.float64), found, at_most, needed) or (len(wrong), found)


def _first_reached(rows: Floats, found: int, at_most: int, needed: float) -> tuple[int, int] | None:
    """Return the first answer after which E of at_most + found + 1 wrong labels reaches what is needed, and found.

    Args:
        rows: (n, 4) images left and wrong ones found before each answer, the answer, and the most it could be.
        found: wrong ones after the last.
    """
    left, before, y, most = rows.T
    after = np.append(before[1:], found)
    for now in np.unique(after):
        since, until = np.searchsorted(after, [now, now + 1]).tolist()
        p = (at_most + now + 1 - before[:until]) / left[:until]
        with np.errstate(divide="ignore"):
            log_money = np.cumsum(np.log(FEWER.factors(p / most[:until], y[:until] / most[:until])), 0)
        reached = np.flatnonzero((FEWER.mixed(log_money[since:]) >= math.log(needed)) | (p[since:] >= 1.0))
        if len(reached):
            return int(since + reached[0] + 1), int(now)
    return None


WORLDS_OF_PLANS: dict[str, Callable[[int, np.random.Generator], list[Line]]] = {"first looks": first_looks}
"""The worlds by name; each takes the number of runs and random numbers."""
