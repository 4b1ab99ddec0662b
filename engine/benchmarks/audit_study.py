"""`starling bench audit`: how often bounds ever fail that a person watches and stops at will, and what a goal costs."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.benchmarks import results
from engine.benchmarks.audit_costs import Cost, cost
from engine.benchmarks.options import Options, parse_seeds
from engine.benchmarks.overrides import BENCH
from engine.benchmarks.simulated_audits import WORLDS, Outcome, Runs
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.training import pairs

GOALS = (0.01, 0.02, 0.05)
RATES = (0.0, 0.2, 0.4, 0.6)
"""True shares of wrong labels, as parts of the goal."""
FAILED = "failed, %"


@dataclass(frozen=True)
class AuditSettings:
    """Settings of the command.

    Attributes:
        runs: simulated audits of each kind, from 1.
        answers: random answers of each, watched one by one, from 4.
        worlds: names of the worlds, with commas; empty for all of them and the costs.
    """

    runs: int = 2000
    answers: int = 1000
    worlds: str = ""

    def __post_init__(self) -> None:
        if self.runs < 1 or self.answers < 4:
            raise ConfigError("There are too few runs or answers", value=f"{self.runs}, {self.answers}")
        if unknown := [name for name in self.names() if name not in (*WORLDS, *COSTS)]:
            known = ", ".join((*WORLDS, *COSTS))
            raise ConfigError("There is no such world", value=unknown[0], way_out=f"Known: {known}.")

    def names(self) -> tuple[str, ...]:
        """Return the worlds and costs to simulate."""
        return tuple(name.strip() for name in self.worlds.split(",") if name.strip()) or (*WORLDS, *COSTS)


COSTS = {f"goal {100 * goal:g} %": goal for goal in GOALS}
"""The goals by the name of their row."""


def run(options: Options, say: Say) -> str:
    """Simulate every world with each seed and return the tables of failures and of costs."""
    (values,) = pairs.parse(options.set, {BENCH: AuditSettings})
    settings = AuditSettings(**values)
    file = RunFile(options, torch.device("cpu"))
    names = settings.names()
    asked = {"runs": settings.runs, "answers": settings.answers}
    runs: list[results.Run] = []
    for seed in parse_seeds(options.seeds or "1"):
        for place, name in enumerate((*WORLDS, *COSTS)):
            if name not in names:
                continue
            one = file.find(name, seed, asked)
            if one is None:
                one = file.add(_measured(name, settings, seed, place), asked)
            runs.append(one)
            say(f"{options.name}, {name}, seed {seed}: {one['seconds']:.0f} s")
    shown = [_failures([one for one in runs if one["row"] in WORLDS], settings)]
    shown.append(_costs([one for one in runs if one["row"] in COSTS]))
    return "\n\n".join(part for part in shown if part)


def _measured(name: str, settings: AuditSettings, seed: int, place: int) -> results.Run:
    """Simulate one world, or one goal at all rates."""
    world = Runs(settings.runs, settings.answers, np.random.default_rng([seed, place]))
    began = time.perf_counter()
    if name in COSTS:
        goal = COSTS[name]
        costs = [{"rate": part, **dataclasses.asdict(cost(world, goal, part * goal))} for part in RATES]
        value, more, lines = max(one["median"] / one["fixed"] for one in costs), {}, {"costs": costs}
    else:
        outcomes = WORLDS[name](world)
        value = 100 * max(one.failed for one in outcomes if one.promised is not None)
        more = {FAILED: value}
        lines = {"outcomes": [dataclasses.asdict(one) for one in outcomes]}
    seconds = time.perf_counter() - began
    return {"row": name, "seed": seed, "value": value, "more": more, "seconds": seconds, **lines}


def _failures(runs: Sequence[results.Run], settings: AuditSettings) -> str:
    """The table of how often each bound ever failed, the controls beneath their rule."""
    if not runs:
        return ""
    by_rule: dict[str, list[Outcome]] = {}
    for one in runs:
        for outcome in one["outcomes"]:
            by_rule.setdefault(outcome["rule"], []).append(Outcome(**outcome))
    lines = [["", "ever failed, %", "promised, %", "wrong, %", "mean bound, %"]]
    for rule, outcomes in by_rule.items():
        failed = statistics.fmean(one.failed for one in outcomes)
        promised, true = outcomes[0].promised, outcomes[0].true
        bounds = [one.bound for one in outcomes if one.bound is not None]
        lines.append([
            rule, f"{100 * failed:.1f}", "control" if promised is None else f"{100 * promised:g}",
            "–" if true is None else f"{100 * true:.2f}",
            f"{100 * statistics.fmean(bounds):.2f}" if bounds else "–",
        ])  # fmt: skip
    title = f"audit: bounds watched after each of {settings.answers:,} answers, {settings.runs:,} runs"
    return "\n".join([title, "", *results.aligned(lines)])


def _costs(runs: Sequence[results.Run]) -> str:
    """The table of answers to each goal."""
    if not runs:
        return ""
    lines = [["goal, %", "wrong, of it", "median", "80th", "fixed", "median / fixed", "80th / fixed", "put right"]]
    for name in COSTS:
        mine = [one["costs"] for one in runs if one["row"] == name]
        for costs in zip(*mine, strict=True):
            mean = Cost(**{
                field.name: statistics.fmean(one[field.name] for one in costs) for field in dataclasses.fields(Cost)
            })  # fmt: skip
            ratios = [f"{mean.median / mean.fixed:.2f}", f"{mean.eighty / mean.fixed:.2f}"]
            sizes = [f"{one:,.0f}" for one in (mean.median, mean.eighty, mean.fixed)]
            lines.append([
                f"{100 * COSTS[name]:g}", f"{costs[0]['rate']:g}", *sizes, *ratios, f"{mean.mended:,.0f}",
            ])  # fmt: skip
    title = "audit: random answers until the goal is shown, a million labels"
    note = (
        "put right: median where each wrong one found is put right, 10,000 labels; fixed: Clopper–Pearson, 80 % power"
    )
    return "\n".join([title, "", *results.aligned(lines), note])


AUDIT = Study("simulated audits: how often bounds watched at will ever fail, and answers to a goal", run)
