"""What a benchmark is: rows of settings, each run once a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch


@dataclass(frozen=True)
class Row:
    """One setting of a benchmark, as plain data.

    `config` are settings of the algorithm `algorithm`, `train` of TrainConfig, `data` what `data.load_problem` takes.
    `published` is the figure a public source reports and `target` the one to reach, both in the row's unit.
    `epochs_run` above 0 stops after so many epochs. `budgeted` is False where steps do not set the time. `told` names
    metrics of the steps whose median over the run is told beside the accuracy, where the algorithm reports them.
    """

    label: str
    algorithm: str
    data: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    published: float | None = None
    target: float | None = None
    epochs_run: int = 0
    budgeted: bool = True
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """Where a benchmark runs: the folder of the data sets and the device."""

    root: Path
    device: torch.device


@dataclass(frozen=True)
class Benchmark:
    """A named set of rows.

    `rows(context)` gives them; `measure` says what a run returns: the accuracy on the test images in %, or steps a
    second. `seeds` and `minutes` (a run, None sets no limit) are the defaults. `pairs`
    names two rows each whose difference is shown seed by seed, first minus second, where both are there. `note` says
    where published figures are from.
    """

    summary: str
    rows: Callable[[Context], tuple[Row, ...]]
    measure: Literal["accuracy", "throughput"] = "accuracy"
    seeds: int = 5
    minutes: float | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    note: str = ""
