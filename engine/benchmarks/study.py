"""What the benchmarks that are no single accuracy share: what a study is, and its file of results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from engine.benchmarks import results
from engine.benchmarks.options import Options, origin, stored
from engine.errors import ConfigError
from engine.training import device as devices

Say = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """A benchmark with a run of its own: `run(options, say)` returns the table; `seeds` is its default."""

    summary: str
    run: Callable[[Options, Say], str]


class RunFile:
    """The runs of a study, saved whole after each where `--out` is given; with `--resume` it goes on with its runs.

    Raises:
        ConfigError: the file is there and `--resume` is not given, or it is of another benchmark.
    """

    def __init__(self, options: Options, device: torch.device) -> None:
        if options.resume and options.out is None:
            raise ConfigError("There is nothing to resume", way_out="Name the file of results with --out.")
        self._name, self._out = options.name, options.out
        self._runs = stored(options)
        self._origin = origin(options, device, None)
        self._device = devices.describe(device)

    def find(self, row: str, seed: int, asked: Mapping[str, Any]) -> results.Run | None:
        """Return the run of this row and seed with the very same settings on such a device, or None."""
        wanted = (row, seed, json.loads(json.dumps(asked)), self._device)
        same = (run for run in self._runs if (run["row"], run["seed"], run["asked"], run["device"]) == wanted)
        return next(same, None)

    def add(self, run: results.Run, asked: Mapping[str, Any]) -> results.Run:
        """Keep a run that has row, seed, value, more and seconds, and save the file."""
        whole = {**run, "asked": json.loads(json.dumps(asked)), "device": self._device, "code": self._origin["code"]}
        self._runs.append(whole)
        if self._out is not None:
            results.save(self._out, {"benchmark": self._name, **self._origin, "runs": self._runs})
        return whole
