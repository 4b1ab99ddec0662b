"""What `starling bench` and `python -m engine.benchmarks` do.

To add a study of the review, what it costs a person and whether the stated bounds and confidences hold: one file, one
line here, one test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from engine.benchmarks import BENCHMARKS, overrides, results
from engine.benchmarks.audit_study import AUDIT
from engine.benchmarks.audited_rounds import AUDITED_ROUNDS, CALIBRATION
from engine.benchmarks.certificate import CERTIFICATE
from engine.benchmarks.data import find_sets, load_problem
from engine.benchmarks.decisions_study import DECISIONS
from engine.benchmarks.first_guess import FIRST_GUESS
from engine.benchmarks.groups import GROUPS
from engine.benchmarks.honesty import HONESTY
from engine.benchmarks.label_issues_study import LABEL_ISSUES
from engine.benchmarks.live import LIVE
from engine.benchmarks.options import Options, data_root, origin, parse_seeds, stored
from engine.benchmarks.overview import OVERVIEW
from engine.benchmarks.photo_rounds import PHOTO_ROUNDS
from engine.benchmarks.photos import PHOTOS
from engine.benchmarks.rare import RARE
from engine.benchmarks.run import accuracy_run
from engine.benchmarks.spec import Benchmark, Context, Row
from engine.benchmarks.study import Say, Study
from engine.benchmarks.throughput import throughput_run
from engine.benchmarks.tuned import TUNED
from engine.errors import ConfigError
from engine.training import device as devices

MEASURES = {"accuracy": accuracy_run, "throughput": throughput_run}
UNITS = {"accuracy": "%", "throughput": "steps/s"}


STUDIES: dict[str, Study] = {
    "decisions": DECISIONS,
    "audit": AUDIT,
    "honesty": HONESTY,
    "certificate": CERTIFICATE,
    "audited-rounds": AUDITED_ROUNDS,
    "calibration": CALIBRATION,
    "label-issues": LABEL_ISSUES,
    "photos": PHOTOS,
    "photo-rounds": PHOTO_ROUNDS,
    "live": LIVE,
    "first-guess": FIRST_GUESS,
    "rare": RARE,
    "groups": GROUPS,
    "tuned": TUNED,
    "overview": OVERVIEW,
}
"""Studies by the name that the command takes."""


def listing() -> str:
    """Return the names of benchmarks and studies with what each is."""
    summaries = {name: one.summary for name, one in BENCHMARKS.items()}
    summaries |= {name: study.summary for name, study in STUDIES.items()}
    width = max(map(len, summaries))
    return "\n".join(f"{name:{width}}  {summary}" for name, summary in summaries.items())


def run(options: Options, say: Say = lambda line: None) -> str:
    """Run a benchmark or a study and return its table; `say` hears a line after each run, and the file is saved then.

    Raises:
        ConfigError: an option is wrong, or the file of results is there and `resume` is not given.
        SourceMissing: the data do not lie in the folder.
        DeviceMissing: the device is not on this machine.
    """
    if options.name in STUDIES:
        return STUDIES[options.name].run(options, say)
    benchmark = _benchmark(options)
    context = Context(data_root(options.data), devices.resolve(options.device))
    rows = overrides.apply(benchmark.rows(context), options.set)
    seeds = parse_seeds(options.seeds or str(benchmark.seeds))
    minutes = benchmark.minutes if options.minutes is None else options.minutes
    runs = stored(options)
    devices.set_threads(int(next((row.train["threads"] for row in rows if "threads" in row.train), 0)))
    made = origin(options, context.device, minutes)
    kept = {
        (row.label, seed): results.done_already(runs, row, seed, minutes, made["device"])
        for row in rows
        for seed in seeds
    }
    find_sets((row for row in rows if any(kept[row.label, seed] is None for seed in seeds)), context.root)
    content: dict[str, Any] = {}
    for seed in seeds:
        for row in rows:
            done = kept[row.label, seed]
            one = done or _one(benchmark, row, seed, context, minutes) | {"code": made["code"]}
            runs = runs if done else [*runs, one]
            content = results.document(options.name, benchmark, rows, runs, made)
            if options.out is not None:
                results.save(options.out, content)
            say(_line(options.name, benchmark, one) + (", kept from the file" if done else ""))
    return results.table(content, benchmark.note)


def _benchmark(options: Options) -> Benchmark:
    if options.name not in BENCHMARKS:
        known = ", ".join((*BENCHMARKS, *STUDIES))
        raise ConfigError("There is no benchmark of this name", value=options.name, way_out=f"Choose one of {known}.")
    if options.minutes is not None and not 0 < options.minutes < float("inf"):
        raise ConfigError("The minutes must be more than 0", value=options.minutes)
    if options.resume and options.out is None:
        raise ConfigError("There is nothing to resume", way_out="Name the file of results with --out.")
    return BENCHMARKS[options.name]


def _one(benchmark: Benchmark, row: Row, seed: int, context: Context, minutes: float | None) -> results.Run:
    """Run one row with one seed."""
    problem = load_problem(row.data, context.root, seed)
    outcome = MEASURES[benchmark.measure](row, seed, problem, context.device, minutes)
    return {
        "row": row.label,
        "seed": seed,
        "value": outcome.value,
        "more": dict(outcome.more),
        "seconds": outcome.seconds,
        "steps": outcome.steps,
        "labels": len(problem.pools.train_idx),
        "unlabeled": len(problem.pools.unlabeled_idx),
        "device": devices.describe(context.device),
        "torch": str(torch.__version__),
        "asked": results.asked(row, minutes),
        "train": dict(outcome.train),
    }


def _line(name: str, benchmark: Benchmark, run: Mapping[str, Any]) -> str:
    unit = UNITS[benchmark.measure]
    return f"{name}, {run['row']}, seed {run['seed']}: {run['value']:.2f} {unit} in {run['seconds']:.0f} s"
