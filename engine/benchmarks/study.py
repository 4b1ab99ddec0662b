"""What the benchmarks that are no single accuracy share: settings from `--set`, and the file of results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from engine.benchmarks import results
from engine.benchmarks.options import Options, stored, told
from engine.benchmarks.overrides import value_of
from engine.errors import ConfigError
from engine.training import device as devices

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """A benchmark with a run of its own: `run(options, say)` returns the table; `seeds` is its default."""

    summary: str
    run: Callable[[Options, Say], str]


def take_settings(settings: type[T], pairs: Iterable[str]) -> tuple[T, tuple[str, ...]]:
    """Return settings with the `name=value` pairs put in that name one of its fields, and the other pairs.

    Raises:
        ConfigError: a value is of another type than the field's default, or out of range.
    """
    defaults = {part.name: part.default for part in dataclasses.fields(settings)}  # type: ignore[arg-type]
    given, rest = {}, []
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if equals and name in defaults:
            given[name] = value_of(name, text, defaults[name])
        else:
            rest.append(pair)
    return settings(**given), tuple(rest)


def take_all(settings: type[T], pairs: Iterable[str]) -> T:
    """Return settings with every pair put in.

    Raises:
        ConfigError: a pair names none of the settings, or its value does not suit.
    """
    found, rest = take_settings(settings, pairs)
    if rest:
        known = ", ".join(part.name for part in dataclasses.fields(settings))  # type: ignore[arg-type]
        raise ConfigError("Not a setting of this benchmark", value=", ".join(rest), way_out=f"Known: {known}.")
    return found


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
        self._told = told(options, device, None)
        self._device = devices.describe(device)

    def find(self, row: str, seed: int, asked: Mapping[str, Any]) -> results.Run | None:
        """Return the run of this row and seed with the very same settings on such a device, or None."""
        wanted = (row, seed, json.loads(json.dumps(asked)), self._device)
        same = (run for run in self._runs if (run["row"], run["seed"], run["asked"], run["device"]) == wanted)
        return next(same, None)

    def add(self, run: results.Run, asked: Mapping[str, Any]) -> results.Run:
        """Keep a run that has row, seed, value, more and seconds, and save the file."""
        whole = {**run, "asked": json.loads(json.dumps(asked)), "device": self._device, "code": self._told["code"]}
        self._runs.append(whole)
        if self._out is not None:
            results.save(self._out, {"benchmark": self._name, **self._told, "runs": self._runs})
        return whole
