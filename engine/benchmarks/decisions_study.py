"""`starling bench decisions`: the replay on MNIST, for each strategy over seeds, and its table."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.benchmarks import data, overrides, results
from engine.benchmarks.decision_rounds import Rounds, SetRounds
from engine.benchmarks.decisions import Game, Trainer, share_first, simulate
from engine.benchmarks.mnist import NETWORK
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.spec import Row
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.query import QUERY_STRATEGIES
from engine.training import device as devices

TRAIN: dict[str, Any] = {
    "net": "article_convnet",
    "epochs": 1,
    "steps_per_epoch": 800,
    "batch_size": 64,
    "unlabeled_ratio": 3,
    "learning_rate": 0.05,
    "dropout": 0.0,
    "ema_decay": 0.995,
}
ALGORITHM = "fixmatch"
CONFIG: dict[str, Any] = {"rule": "freematch", "align": "uniform"}
"""Chosen, as are the settings above and below, on the seeds 100 and 101, which are not reported."""
FIRST = Row("first", ALGORITHM, {}, CONFIG, TRAIN)
"""The first round."""
SET = Row("set", "transductive", {}, {}, NETWORK)
"""The rounds of the model that labels a set as a whole; networks are trained beside it in some of them."""
QUEUE = "least_sure"
"""The order that the goals are of, which the app recommends."""
SHOWN = (0, 50, 100, 200, 300)
"""Numbers of answers at which the table shows the share of right labels."""
GOALS = {("fixmatch", 100, ""): 300, ("transductive", 100, ""): 205, ("transductive", 10, ""): 230}
GOALS |= {("transductive", labels, "0,50,100"): 170 for labels in (100, 10)}
"""Most decisions wanted on 10,000 images, by model, labels at the start and `network_at`."""


@dataclass(frozen=True)
class DecisionSettings:
    """Settings of the command besides those of the training, which `--set` takes too.

    Attributes:
        images: how many training images of MNIST the seed draws; 0 takes all 60,000.
        labels, per_round, budget, target: see Game.
        strategies: keys with commas between them.
        later_steps, later_rate: steps and learning rate of the rounds after the first.
        warm_start: those rounds start from the weights of the round before.
        heldout: share of the labels kept aside, as the product does, to fit the temperature; 0 trains on all.
        model: "fixmatch" trains rounds; "transductive" labels the set anew after every `per_round` answers.
        network_at: with "transductive": numbers of answers, with commas between them, at which networks are trained.
    """

    images: int = 10_000
    labels: int = 100
    per_round: int = 100
    budget: int = 300
    target: float = 0.995
    strategies: str = "least_sure,random"
    later_steps: int = 700
    later_rate: float = 0.04
    warm_start: bool = True
    heldout: float = 0.0
    model: str = "fixmatch"
    network_at: str = ""


def run(options: Options, say: Say) -> str:
    """Replay every strategy with every seed and return the table; `say` hears a line after each replay.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: MNIST does not lie in the folder.
    """
    settings, (first, as_set) = overrides.apply_with(DecisionSettings, (FIRST, SET), options.set)
    rows = training_rows(settings, first) if settings.model == FIRST.algorithm else (as_set,)
    _check_model(settings)
    strategies = _strategies(settings.strategies)
    devices.set_threads(int(rows[0].train.get("threads", 0)))
    device = devices.resolve(options.device)
    file = RunFile(options, device)
    asked = _asked(settings, rows)
    runs = []
    for seed in parse_seeds(options.seeds or "5"):
        replay = _Replay(options, settings, rows, device, seed)
        for key in strategies:
            done = file.find(key, seed, asked)
            one = done or file.add(replay.run(key), asked)
            runs.append(one)
            say(_line(one) + (", kept from the file" if done else ""))
    return _table(runs, settings, devices.describe(device))


def training_rows(settings: DecisionSettings, first: Row = FIRST) -> tuple[Row, Row]:
    """Return the settings of the first round and of the later ones, which differ in two."""
    first = dataclasses.replace(first, data={"heldout": settings.heldout})
    later = {**first.train, "steps_per_epoch": settings.later_steps, "learning_rate": settings.later_rate}
    return first, dataclasses.replace(first, label="later", train=later)


class _Replay:
    """The replays of one seed; images are read, and the first round trained, when the first strategy asks."""

    def __init__(
        self, options: Options, settings: DecisionSettings, rows: tuple[Row, ...], device: torch.device, seed: int
    ) -> None:
        self._root, self._settings, self._rows = data_root(options.data), settings, rows
        self._device, self._seed = device, seed
        self._made: tuple[Trainer, NDArray[np.int64], NDArray[np.int64]] | None = None

    def run(self, strategy: str) -> results.Run:
        """Replay a strategy and return its run as it is stored."""
        began, cpu_began = time.perf_counter(), time.process_time()
        trainer, truth, ids = self._made = self._made or self._make()
        part = self._settings
        game = Game(part.labels, part.per_round, part.budget, part.target)
        curve = simulate(truth, ids, strategy, game, trainer, self._seed)
        shown = {f"% at {n}": 100 * float(curve.right[n]) for n in SHOWN if n < len(curve.right)}
        return {
            "row": strategy,
            "seed": self._seed,
            "value": curve.needed,
            "more": shown,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu_began,
            "goal": goal_of(part, strategy),
            "rounds": list(curve.rounds),
            "right": [round(float(share), 6) for share in curve.right],
        }

    def _make(self) -> tuple[Trainer, NDArray[np.int64], NDArray[np.int64]]:
        images, truth, ids = data.subset("MNIST", self._root, self._settings.images, self._seed)
        settings, classes = self._settings, int(truth.max()) + 1
        if settings.model == SET.algorithm:
            (row,) = self._rows
            network_in = {answers // settings.per_round for answers in _numbers(settings.network_at)}
            as_set = SetRounds(images, classes, row, self._device, self._seed, network_in=network_in)
            return share_first(as_set.train), truth, ids
        first, later = self._rows
        rounds = Rounds(
            images, classes, (first, later), self._device, self._seed, warm_start=settings.warm_start
        )  # fmt: skip
        return share_first(rounds.train), truth, ids


def goal_of(settings: DecisionSettings, strategy: str) -> int | None:
    """Return the most decisions wanted of this replay, or None where none is named."""
    usual = settings.images == DecisionSettings.images and settings.target == DecisionSettings.target
    known = GOALS.get((settings.model, settings.labels, settings.network_at))
    return known if usual and strategy == QUEUE else None


def _check_model(settings: DecisionSettings) -> None:
    models = (FIRST.algorithm, SET.algorithm)
    if settings.model not in models:
        raise ConfigError("There is no such model", value=settings.model, way_out=f"Choose {' or '.join(models)}.")
    off = [answers for answers in _numbers(settings.network_at) if answers % settings.per_round]
    if off:
        raise ConfigError(
            "Networks can be trained only where a round begins",
            value=f"network_at={settings.network_at}, per_round={settings.per_round}",
            way_out="Give multiples of per_round.",
        )


def _numbers(text: str) -> list[int]:
    """Return the whole numbers of a text such as "0,50,100".

    Raises:
        ConfigError: a part is no whole number.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdigit()]
    if wrong:
        raise ConfigError("This is not a whole number", value=wrong[0], way_out="For example network_at=0,50,100.")
    return [int(part) for part in parts]


def _strategies(text: str) -> list[str]:
    keys = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [key for key in keys if key not in QUERY_STRATEGIES]
    if unknown or not keys:
        raise ConfigError(
            "There is no such strategy", value=text, way_out=f"Choose among {', '.join(QUERY_STRATEGIES)}."
        )
    return keys


def _asked(settings: DecisionSettings, rows: tuple[Row, ...]) -> dict[str, Any]:
    """Return everything a replay depends on besides strategy and seed."""
    own = {name: value for name, value in dataclasses.asdict(settings).items() if name != "strategies"}
    trained = {row.label: {"algorithm": row.algorithm, "config": row.config, "train": row.train} for row in rows}
    return {**own, **trained}


def _line(run: results.Run) -> str:
    needed = "not reached" if run["value"] is None else f"reached after {run['value']} decisions"
    shown = ", ".join(f"{value:.2f} {name}" for name, value in run["more"].items())
    return f"decisions, {run['row']}, seed {run['seed']}: {needed}; {shown}; {run['seconds']:.0f} s"


def _table(runs: Sequence[results.Run], settings: DecisionSettings, device: str) -> str:
    """Return a line a strategy: decisions to the target, mean ± sample deviation, and the shares on the way."""
    names = list(dict.fromkeys(name for run in runs for name in run["more"]))
    lines = [["", "decisions", "each seed", *names]]
    for key in dict.fromkeys(run["row"] for run in runs):
        mine = [run for run in runs if run["row"] == key]
        reached = [run["value"] for run in mine if run["value"] is not None]
        each = " ".join("–" if run["value"] is None else str(run["value"]) for run in mine)
        line = [key, _needed(reached, len(mine)), each]
        shares = [[run["more"][name] for run in mine if name in run["more"]] for name in names]
        lines.append(line + [results.mean_spread(known, 2) for known in shares])
    images = f"{settings.images:,} of MNIST's training images" if settings.images else "MNIST's 60,000 training images"
    head = f"decisions to {100 * settings.target:g} % right labels, {images}, {settings.labels} labels at the start"
    note = f"– and “of”: not reached within {settings.budget} decisions. % at n: right labels after n decisions."
    return "\n".join([f"{head}, on {device}", "", *results.aligned(lines), note])


def _needed(reached: Sequence[int], runs: int) -> str:
    """Return mean ± deviation where every run reached the target, else how many did."""
    return results.mean_spread(reached, 0) if len(reached) == runs else f"{len(reached)} of {runs} reached"


DECISIONS = Study("MNIST: human decisions to 99.5 % right labels, for the least sure and random", run)
