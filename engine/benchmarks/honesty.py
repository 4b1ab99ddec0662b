"""`starling bench honesty`: every number that a page shows, put to the test where the truth is known.

A row a number: what is promised, what it got with its standard error, how wide it is, and the rules that must miss the
promise. Bounds are watched after every answer in simulated audits, shares and estimates come from small made-up worlds,
certificates and forecasts from whole projects on the photos of the folder DATA, where it is given, and on digits.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.benchmarks import data, results
from engine.benchmarks.honest_bounds import BOUNDS, bounds
from engine.benchmarks.honest_learning import ROW as LEARNING
from engine.benchmarks.honest_learning import learning_on
from engine.benchmarks.honest_lines import Line, counted, table
from engine.benchmarks.honest_pages import WORLDS_OF_PAGES
from engine.benchmarks.honest_plans import WORLDS_OF_PLANS
from engine.benchmarks.honest_projects import KINDS, Sets, Told, lines, play
from engine.benchmarks.honest_worlds import WORLDS_OF_ESTIMATES
from engine.benchmarks.options import Options, parse_seeds
from engine.benchmarks.overrides import BENCH
from engine.benchmarks.photos import net_features, sets_in
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.nets.net_name import FROZEN, GRADIENTS
from engine.training import pairs

VOTES_OF_DIGITS, VOTES = 8.0, 4.0
ESTIMATES = WORLDS_OF_ESTIMATES | WORLDS_OF_PAGES | WORLDS_OF_PLANS
ROWS = (*BOUNDS, *ESTIMATES, LEARNING, *KINDS)


@dataclass(frozen=True)
class HonestySettings:
    """Settings of the command.

    Attributes:
        runs: simulated audits and worlds of each kind, from 1.
        answers: random answers of an audit, watched one by one, from 4.
        projects: whole projects of each kind, from 1.
        labeled, per_fit: answers before the plan of a project is made; between two fits.
        goal: of projects, share of wrong labels.
        net: network of the photos' features.
        rows: names of bounds, worlds and kinds, with commas; empty for all.
    """

    runs: int = 2000
    answers: int = 1000
    projects: int = 200
    labeled: int = 250
    per_fit: int = 100
    goal: float = 0.05
    net: str = "efficientnet_lite0"
    rows: str = ""

    def __post_init__(self) -> None:
        if min(self.runs, self.projects, self.labeled, self.per_fit) < 1 or self.answers < 4:
            raise ConfigError("There are too few runs, projects or answers", value=f"{self.runs}, {self.projects}")
        if not 0.0 < self.goal < 1.0:
            raise ConfigError("The goal is outside 0 to 1", value=self.goal, way_out="Choose 0.05 for 5 %.")
        if unknown := [name for name in self.names() if name not in ROWS]:
            raise ConfigError("There is no such row", value=unknown[0], way_out=f"Known: {', '.join(ROWS)}.")

    def names(self) -> tuple[str, ...]:
        """Return the rows to simulate."""
        return tuple(name.strip() for name in self.rows.split(",") if name.strip()) or ROWS


def run(options: Options, say: Say) -> str:
    """Simulate every row with each seed and return the table of each.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images in the folder given.
    """
    (values,) = pairs.parse(options.set, {BENCH: HonestySettings})
    settings = HonestySettings(**values)
    file = RunFile(options, torch.device("cpu"))
    asked = {name: value for name, value in dataclasses.asdict(settings).items() if name != "rows"}
    tables = []
    for seed in parse_seeds(options.seeds or "1"):
        runs: list[results.Run] = []
        for place, name in enumerate(ROWS):
            if name not in settings.names():
                continue
            done = file.find(name, seed, asked)
            one = done or file.add(_measured(name, options.data, settings, seed, place), asked)
            runs.append(one)
            kept = ", kept from the file" if done else ""
            say(f"{options.name}, {name}, seed {seed}: {one['seconds']:.0f} s{kept}")
        shown = lines_of(runs, settings.goal)
        size = f"{settings.runs:,} runs, {settings.projects:,} projects a kind, seed {seed}"
        title = f"honesty: {counted(shown)}; {size}"
        tables.append("\n".join([title, "", *table(shown), NOTE]))
    return "\n\n".join(tables)


NOTE = (
    "got: % unless the claim says points, ± standard error; a row holds within two of them. Where a control holds, "
    "that rule would have done as well."
)


def lines_of(runs: Sequence[results.Run], goal: float) -> list[Line]:
    """Return the lines of stored runs: those of bounds and worlds, then those of all kinds of project together."""
    shown = [Line.of(one) for run in runs for one in run["lines"]]
    told = {run["row"]: Told(**run["told"]) for run in runs if run["row"] in KINDS}
    return shown + (lines(told, goal) if told else [])


def _measured(name: str, root: Path | None, settings: HonestySettings, seed: int, place: int) -> results.Run:
    """Simulate one row."""
    began, rng = time.perf_counter(), np.random.default_rng([seed, place])
    found: list[Line] = []
    more: dict[str, Any] = {}
    if name in BOUNDS:
        found = bounds(name, settings.runs, settings.answers, rng)
    elif name in ESTIMATES:
        found = ESTIMATES[name](settings.runs, rng)
    elif name == LEARNING:
        sets = sets_of(root, settings.net)
        began = time.perf_counter()
        found = learning_on(sets, settings.projects, settings.goal, seed)
    else:
        sets = sets_of(root, settings.net)
        began = time.perf_counter()
        told = play(name, sets, settings.projects, settings.labeled, settings.per_fit, settings.goal, seed)
        more = {"told": dataclasses.asdict(told)}
    stored = [dataclasses.asdict(line) for line in found]
    seconds = time.perf_counter() - began
    return {"row": name, "seed": seed, "value": None, "more": {}, "seconds": seconds, "lines": stored, **more}


@cache
def sets_of(root: Path | None, net: str) -> Sets:
    """Return digits by their gradients and, where a folder is given, its photos by a network's features."""
    images, truth, _ = data.subset("digits", Path(), 0, 0)
    found = {"digits": (data.described(images, FROZEN + GRADIENTS).numpy(), truth, VOTES_OF_DIGITS)}
    for folder in [] if root is None else sets_in(root):
        features, classes = net_features(folder, net)
        found[folder.name] = features.numpy(), classes, VOTES
    return Sets(found)


HONESTY = Study("every number that a page shows beside what is promised of it, and the rules that must fail", run)
