"""The command `starling bench`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import ConfigError

MAP_LINE = "map                  The maps of MNIST: seconds, neighbours kept, and the page in Chromium"
REVIEW_LINE = "review               The review of 60,000 images: seconds of queues, grid, batches and undo"
IO_LINE = "io                   Import and export of small images: images and rows a second, memory"
LOAD_LINE = "load                 30 and 100 people at once, with a round and without: ms of routes, CPU, memory"
FORMATS_LINE = (
    "formats              Every format out and in again, and read by its own tool; --data: a folder of photos"
)
GIF_LINE = "article-gif          The article's animation: 750 images of MNIST at two epochs of Pseudo-Label, a GIF"
MOONS_LINE = "two-moons-picture    Two moons: what each algorithm decides everywhere in the plane, a PNG"
PICTURES = {"article-gif": ".gif", "two-moons-picture": ".png"}
"""Names that draw a picture, and what its file is called."""


def bench(
    name: Annotated[str | None, typer.Argument(help="Which benchmark; see --list.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Where torchvision's data sets lie; else STARLING_DATA, else data/sets.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many seeds, or a list: 0,1,2.")] = "",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="A JSON file for the results, saved after each run; of a picture, its file.")
    ] = None,
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
        typer.echo(
            "\n".join(
                [command.listing(), MAP_LINE, REVIEW_LINE, IO_LINE, LOAD_LINE, FORMATS_LINE, GIF_LINE, MOONS_LINE]
            )
        )
        return
    if name in {"map", "review", "io", "load", "formats"}:
        _project(name, data, tuple(set_ or ()), out)
        return
    if name in PICTURES:
        _picture(name, data, tuple(set_ or ()), out)
        return
    line = shlex.join(["starling", *sys.argv[1:]])
    options = Options(name, data, seeds, device, out, tuple(set_ or ()), minutes, resume, line)
    typer.echo(command.run(options, progress))


def _project(name: str, data: Path | None, sets: tuple[str, ...], out: Path | None) -> None:
    """Run a benchmark on a project; `--set project=DIR` keeps it, or goes on with one."""
    from app.benchmarks import formats, in_and_out, load
    from app.benchmarks import map as map_bench
    from app.benchmarks import review as review_bench
    from engine.benchmarks.options import data_root
    from engine.benchmarks.overrides import BENCH
    from engine.training import pairs

    ways: dict[str, tuple[type[Any], Callable[..., Any]]] = {
        "map": (map_bench.MapSettings, map_bench.run),
        "review": (review_bench.ReviewSettings, review_bench.run),
        "io": (in_and_out.IoSettings, in_and_out.run),
        "load": (load.LoadSettings, load.run),
        "formats": (formats.FormatSettings, formats.run),
    }
    settings, run = ways[name]
    (values,) = pairs.parse(sets, {BENCH: settings})
    run(data if name == "formats" else data_root(data), settings(**values), out, typer.echo)


def _picture(name: str, data: Path | None, sets: tuple[str, ...], out: Path | None) -> None:
    """Draw a picture that a public document shows, into the file given or one called like the benchmark."""
    from app.benchmarks import article_gif, moons_picture
    from engine.benchmarks.options import data_root
    from engine.benchmarks.overrides import BENCH
    from engine.training import pairs

    file = out or Path(name).with_suffix(PICTURES[name])
    if file.suffix != PICTURES[name]:
        raise ConfigError("The picture is of another kind", value=file, way_out=f"Name a file with {PICTURES[name]}.")
    if name == "article-gif":
        (values,) = pairs.parse(sets, {BENCH: article_gif.GifSettings})
        article_gif.run(data_root(data), article_gif.GifSettings(**values), file, typer.echo)
        return
    (values,) = pairs.parse(sets, {BENCH: moons_picture.MoonsSettings})
    moons_picture.run(moons_picture.MoonsSettings(**values), file, typer.echo)
