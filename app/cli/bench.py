"""The command `starling bench`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

MAP_LINE = "map                  The maps of MNIST: seconds, neighbours kept, and the page in Chromium"
REVIEW_LINE = "review               The review of 60,000 images: seconds of queues, grid, batches and undo"


def bench(
    name: Annotated[str | None, typer.Argument(help="Which benchmark; see --list.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Where torchvision's data sets lie; else STARLING_DATA, else data/sets.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many seeds, or a list: 0,1,2.")] = "",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="A JSON file for the results, saved after each run.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, e.g. epochs=3 or fixmatch.momentum=0.99; may be repeated."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of one run: its schedule is made to fit.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the runs that the file has, and go on.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the benchmarks.")] = False,
) -> None:
    """Measure the algorithms on known data sets, several seeds each, and print a table."""
    from engine.benchmarks import command
    from engine.benchmarks.options import Options, progress

    if list_ or name is None:
        typer.echo(f"{command.listing()}\n{MAP_LINE}\n{REVIEW_LINE}")
        return
    if name in {"map", "review"}:
        _project(name, data, tuple(set_ or ()), out)
        return
    line = shlex.join(["starling", *sys.argv[1:]])
    options = Options(name, data, seeds, device, out, tuple(set_ or ()), minutes, resume, line)
    typer.echo(command.run(options, progress))


def _project(name: str, data: Path | None, sets: tuple[str, ...], out: Path | None) -> None:
    """Run a benchmark on a project; `--set project=DIR` keeps it, or goes on with one."""
    from app.benchmarks import map as map_bench
    from app.benchmarks import review as review_bench
    from engine.benchmarks.options import data_root
    from engine.benchmarks.overrides import BENCH
    from engine.training import pairs

    settings: type[Any] = map_bench.MapSettings if name == "map" else review_bench.ReviewSettings
    run = map_bench.run if name == "map" else review_bench.run
    (values,) = pairs.parse(sets, {BENCH: settings})
    run(data_root(data), settings(**values), out, typer.echo)
