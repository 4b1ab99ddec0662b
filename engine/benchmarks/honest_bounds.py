"""The bounds of an audit as lines of `starling bench honesty`, from the worlds of `starling bench audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.benchmarks.honest_lines import Control, Line
from engine.benchmarks.simulated_audits import WORLDS, Outcome, Runs

RATES = ("0.2 % wrong", "1 % wrong", "5 % wrong", "20 % wrong")
SHOWN_RATE = "1 % wrong"


@dataclass(frozen=True)
class Bound:
    """A bound of a page: its name, what it is of, the rules of the world it is tested by, the worst of which counts,
    and the controls, of which the worst outcome counts too."""

    number: str
    claim: str
    rules: tuple[str, ...]
    controls: tuple[str, ...] = ()


def _rates(rule: str) -> tuple[str, ...]:
    return tuple(f"{rule}, {rate}" for rate in RATES)


BOUNDS: dict[str, tuple[Bound, ...]] = {
    "single images": (
        Bound("wrong at most", "watched at each answer", _rates("bound"),
              ("Clopper–Pearson at each answer", "Clopper–Pearson at each 100th")),
        Bound("wrong between", "interval, watched at each answer", _rates("interval")),
    ),
    "looks": (Bound("wrong at most", "looks chosen by the answers", ("looks chosen by the answers",),
                    ("the same, looks ignored",)),),
    "restarts": (Bound("wrong at most", "12 audits begun anew, charged", ("12 audits, begun anew, the j-th",),
                       ("12 audits, begun anew, each at 20",)),),
    "orders": (Bound("wrong at most", "after a class queue, own orders", ("after a class queue, own orders",),
                     ("an order shared with a class queue",)),),
    "classes": (
        Bound("wrong at most in a class", "by its queue and that of all", ("a class, by its queue",),),
        Bound("wrong at most", "beside class queues", ("all labels beside class",),
              ("answers of class queues as random ones of all",)),
        Bound("wrong at most, table of 10 classes", "each at 20 · 10", ("table of 10 class bounds, each at 20 ·",),
              ("table of 10 class bounds, each at 20",)),
    ),
    "sources": (
        Bound("wrong at most of a source", "by its queue and that of all", ("a source, by its queue",),),
        Bound("wrong at most", "beside source queues", ("all labels beside source",),
              ("answers of source queues as random ones of all",)),
        Bound("wrong at most, table of 4 sources", "each at 20 · 4", ("table of 4 source bounds, each at 20 ·",),
              ("table of 4 source bounds, each at 20",)),
    ),
    "groups": (Bound("wrong at most", "groups asked at once", ("whole groups, share wrong",),
                     ("whole groups as independent answers",)),),
    "model changes": (Bound("left wrong at most", "a model changes labels, + C",
                            ("a model changes 80 labels, U − W + C",),
                            ("a model changes 80 labels, U − W", "a model changes 80 labels, bets on")),),
    "people": (
        Bound("left wrong at most", "people slip in 2 %, second look", ("people slip in 2 %, second look",)),
        Bound("left wrong at most", "people slip in 2 %, one look", ("people slip in 2 %, one look",)),
    ),
    "passed": (Bound("left wrong at most", "30 % passed, U / (1 − q) − W", ("30 % of wrong ones passed, U / (1",),
                     ("30 % of wrong ones passed, U − W",)),),
}  # fmt: skip
"""The bounds by the name of their world; a rule is named by how it begins, a control as a whole or, of several rates,
by how it begins."""


def bounds(name: str, runs: int, answers: int, rng: np.random.Generator) -> list[Line]:
    """Simulate a world and return its lines."""
    outcomes = {one.rule: one for one in WORLDS[name](Runs(runs, answers, rng))}
    return [_line(bound, outcomes, runs) for bound in BOUNDS[name]]


def _line(bound: Bound, outcomes: Mapping[str, Outcome], runs: int) -> Line:
    ruled = [one for rule in bound.rules for key, one in outcomes.items() if key.startswith(rule) and one.promised]
    worst = max(ruled, key=lambda one: one.failed)
    shown = next((one for one in ruled if SHOWN_RATE in one.rule), ruled[0])
    width = "" if shown.bound is None or shown.true is None else (
        f"{100 * shown.bound:.2f} % where {100 * shown.true:.3g} % are wrong"
    )  # fmt: skip
    controls = []
    for rule in bound.controls:
        mine = [one for key, one in outcomes.items() if key == rule or (key.startswith(rule) and not one.promised)]
        controls.append(Control(rule, *_figure(max(one.failed for one in mine), runs)))
    promised = 100 * max(one.promised or 0.0 for one in ruled)
    return Line(
        bound.number, bound.claim, promised, True, *_figure(worst.failed, runs), width, tuple(controls)
    )  # fmt: skip


def _figure(share: float, runs: int) -> tuple[float, float]:
    """Return a share of the runs in percent with its standard error, as `percent_of` has it."""
    careful = (share * runs + 1.0) / (runs + 2.0)
    return 100.0 * share, 100.0 * float(np.sqrt(careful * (1.0 - careful) / runs))
