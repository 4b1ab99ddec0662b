"""The file of results, rewritten whole after each run so that an interrupted benchmark keeps its runs; the table."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.benchmarks.spec import Benchmark, Row
from engine.errors import ConfigError
from engine.files import write_atomic

Run = dict[str, Any]
"""One run as it is stored: row, seed, asked, train, value, more, seconds, steps, device, torch, code."""


def asked(row: Row, minutes: float | None) -> dict[str, Any]:
    """Return everything of a row that the result depends on besides the seed, as JSON gives it back."""
    settings = {
        "algorithm": row.algorithm,
        "data": row.data,
        "config": row.config,
        "train": row.train,
        "epochs_run": row.epochs_run,
        "minutes": minutes if row.budgeted else None,
    }
    return dict(json.loads(json.dumps(settings)))


def done_already(runs: Sequence[Run], row: Row, seed: int, minutes: float | None, device: str) -> Run | None:
    """Return the stored run of this row with this seed, the very same settings and on such a device, or None."""
    wanted = (row.label, seed, asked(row, minutes), device)
    same = (run for run in runs if (run["row"], run["seed"], run["asked"], run["device"]) == wanted)
    return next(same, None)


def summary(rows: Sequence[Row], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return for each row with runs: values by seed, mean, sample deviation (None of one run), mean seconds."""
    summed: list[dict[str, Any]] = []
    for row in rows:
        mine = sorted((run for run in runs if run["row"] == row.label), key=lambda run: int(run["seed"]))
        if not mine:
            continue
        values = [float(run["value"]) for run in mine]
        names = dict.fromkeys(name for run in mine for name in run["more"])
        summed.append(
            {
                "row": row.label,
                "mean": statistics.fmean(values),
                "sd": statistics.stdev(values) if len(values) > 1 else None,
                "values": {str(run["seed"]): run["value"] for run in mine},
                "seconds": statistics.fmean(run["seconds"] for run in mine),
                "more": {name: statistics.fmean(run["more"][name] for run in mine) for name in names},
                "published": row.published,
                "target": row.target,
            }
        )
    return summed


def differences(pairs: Sequence[tuple[str, str]], summed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each pair of rows: first minus second of the seeds both have, their mean and sample deviation."""
    by_row = {part["row"]: part["values"] for part in summed}
    by_pair: list[dict[str, Any]] = []
    for first, second in pairs:
        seeds = [seed for seed in by_row.get(first, {}) if seed in by_row.get(second, {})]
        if not seeds:
            continue
        values = {seed: by_row[first][seed] - by_row[second][seed] for seed in seeds}
        spread = statistics.stdev(values.values()) if len(seeds) > 1 else None
        by_pair.append(
            {"pair": [first, second], "mean": statistics.fmean(values.values()), "sd": spread, "values": values}
        )
    return by_pair


def document(
    name: str, benchmark: Benchmark, rows: Sequence[Row], runs: Sequence[Run], origin: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the file holds: the settings of each row, every run, the summary and `origin` (command, code, …).

    Runs of other settings than the rows have now stay in the file, but do not enter the summary.
    """
    in_force = {row.label: asked(row, origin.get("minutes")) for row in rows}
    summed = summary(rows, [run for run in runs if run["asked"] == in_force.get(run["row"])])
    return {
        "benchmark": name,
        "measure": benchmark.measure,
        **origin,
        "rows": [{"row": row.label, **asked(row, origin.get("minutes"))} for row in rows],
        "runs": list(runs),
        "summary": summed,
        "differences": differences(benchmark.pairs, summed),
    }


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file by the content, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def load(path: Path, name: str) -> list[Run]:
    """Return the runs of a file of results.

    Raises:
        ConfigError: it is not such a file, or one of another benchmark.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs, benchmark = list(content["runs"]), content["benchmark"]
        complete = all({"row", "seed", "asked", "value", "more", "seconds"} <= set(run) for run in runs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("This is no file of benchmark results", value=path, way_out="Give another --out.") from error
    if benchmark != name or not complete:
        raise ConfigError(
            "This file holds results of another benchmark", value=f"{path}: {benchmark}", way_out="Give another --out."
        )
    return runs


def table(content: Mapping[str, Any], note: str = "") -> str:
    """Return the table of a results document: a line a row with mean ± sample deviation, each seed and the time."""
    percent = content["measure"] == "accuracy"
    places = 2 if percent else 3
    head = ["", "mean ± sd" + (", %" if percent else ", steps/s"), "each seed", "s/run"]
    summed = content["summary"]
    shown = {key: any(part[key] is not None for part in summed) for key in ("published", "target")}
    head += [key for key, some in shown.items() if some]
    names = list(dict.fromkeys(name for part in summed for name in part["more"]))
    lines = [head + names]
    for part in summed:
        line = [part["row"], _spread(part, places), _each(part, places), f"{part['seconds']:.0f}"]
        line += [_number(part[key], places) for key, some in shown.items() if some]
        lines.append(line + [_number(part["more"].get(name), 2) for name in names])
    shown_lines = [f"{content['benchmark']} on {content['device']}, torch {content['torch']}", "", *aligned(lines)]
    for part in content["differences"]:
        first, second = part["pair"]
        shown_lines.append(f"{first} − {second}: {_spread(part, places, '+')} ({_each(part, places, '+')})")
    return "\n".join([*shown_lines, *textwrap.wrap(note, 100)])


def _number(value: float | None, places: int, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{places}f}"


def _spread(part: Mapping[str, Any], places: int, sign: str = "") -> str:
    mean = _number(part["mean"], places, sign)
    return mean if part["sd"] is None else f"{mean} ± {part['sd']:.{places}f}"


def _each(part: Mapping[str, Any], places: int, sign: str = "") -> str:
    return " ".join(f"{value:{sign}.{places}f}" for value in part["values"].values())


def mean_spread(values: Sequence[float], places: int = 1) -> str:
    """Return the mean of one value or more, and the sample deviation where there are several: 93.1 ± 0.4."""
    mean = f"{statistics.fmean(values):.{places}f}"
    return f"{mean} ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else mean


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    sized = [[line[0].ljust(widths[0])] for line in lines]
    for line, new in zip(lines, sized, strict=True):
        new += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
    return ["  ".join(new).rstrip() for new in sized]
