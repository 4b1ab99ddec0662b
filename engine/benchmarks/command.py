"""What `starling bench` and `python -m engine.benchmarks` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from engine.benchmarks import BENCHMARKS, overrides, results
from engine.benchmarks.data import load_task
from engine.benchmarks.options import Options, data_root, parse_seeds, stored, told
from engine.benchmarks.run import accuracy_run
from engine.benchmarks.spec import Benchmark, Context, Row
from engine.benchmarks.table import table
from engine.benchmarks.throughput import throughput_run
from engine.errors import ConfigError
from engine.training import device as devices

MEASURES = {"accuracy": accuracy_run, "throughput": throughput_run}
UNITS = {"accuracy": "%", "throughput": "steps/s"}


def listing() -> str:
    """Return the names of the benchmarks with what each is."""
    width = max(map(len, BENCHMARKS))
    return "\n".join(f"{name:{width}}  {benchmark.summary}" for name, benchmark in BENCHMARKS.items())


def run(options: Options, say: Callable[[str], None] = lambda line: None) -> str:
    """Run a benchmark and return its table; `say` hears a line after each run, and the file is saved after each.

    Raises:
        ConfigError: an option is wrong, or the file of results is there and `resume` is not given.
        SourceMissing: the data do not lie in the folder.
        DeviceMissing: the device is not on this machine.
    """
    benchmark = _benchmark(options)
    context = Context(data_root(options.data), devices.resolve(options.device))
    rows = overrides.apply(benchmark.rows(context), options.set)
    seeds = parse_seeds(options.seeds or str(benchmark.seeds))
    minutes = benchmark.minutes if options.minutes is None else options.minutes
    runs = stored(options)
    devices.set_threads(int(next((row.train["threads"] for row in rows if "threads" in row.train), 0)))
    said = told(options, context.device, minutes)
    content: dict[str, Any] = {}
    for seed in seeds:
        for row in rows:
            found = results.done_already(runs, row, seed, minutes, said["device"])
            kept = ", kept from the file"
            if found is None:
                found = _one(benchmark, row, seed, context, minutes) | {"code": said["code"]}
                runs, kept = [*runs, found], ""
            content = results.document(options.name, benchmark, rows, runs, said)
            if options.out is not None:
                results.save(options.out, content)
            say(_line(options.name, benchmark, found) + kept)
    return table(content, benchmark.note)


def _benchmark(options: Options) -> Benchmark:
    if options.name not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise ConfigError("There is no benchmark of this name", value=options.name, way_out=f"Choose one of {known}.")
    if options.minutes is not None and not 0 < options.minutes < float("inf"):
        raise ConfigError("The minutes must be more than 0", value=options.minutes)
    if options.resume and options.out is None:
        raise ConfigError("There is nothing to resume", way_out="Name the file of results with --out.")
    return BENCHMARKS[options.name]


def _one(benchmark: Benchmark, row: Row, seed: int, context: Context, minutes: float | None) -> results.Run:
    """Run one row with one seed."""
    task = load_task(row.data, context.root, seed)
    outcome = MEASURES[benchmark.measure](row, seed, task, context.device, minutes)
    return {
        "row": row.label,
        "seed": seed,
        "value": outcome.value,
        "more": dict(outcome.more),
        "seconds": outcome.seconds,
        "steps": outcome.steps,
        "labels": len(task.pools.train_idx),
        "unlabeled": len(task.pools.unlabeled_idx),
        "device": devices.describe(context.device),
        "torch": str(torch.__version__),
        "asked": results.asked(row, minutes),
        "train": dict(outcome.train),
    }


def _line(name: str, benchmark: Benchmark, run: Mapping[str, Any]) -> str:
    unit = UNITS[benchmark.measure]
    return f"{name}, {run['row']}, seed {run['seed']}: {run['value']:.2f} {unit} in {run['seconds']:.0f} s"
