"""Rounds from a terminal: start, stop, watch, status, evaluate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.cli.terminal import ProjectArgument, out
from engine.errors import ConfigError, RoundError
from engine.percent import percent


def round_(
    project: ProjectArgument,
    algorithm: Annotated[str, typer.Option(help="Its key, e.g. fixmatch; a wrong one names all.")] = "pseudo_label",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, e.g. epochs=30; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    resume: Annotated[int | None, typer.Option(help="Continue this stopped round instead.")] = None,
    cancel: Annotated[int | None, typer.Option(help="Stop this round instead.")] = None,
) -> None:
    """Start a round and show its progress. Ctrl+C leaves it running; `starling round PROJECT --cancel N` stops it."""
    from engine.project import options
    from engine.project.opened import Project
    from engine.rounds.supervisor.thread import EngineThread
    from engine.training import pairs

    opened = Project.open(project)
    engine = EngineThread(opened.store, opened.root)
    try:
        if cancel is not None:
            record = opened.training.cancel(cancel)
        elif resume is not None:
            record = opened.training.resume(resume)
        else:
            spec = options.algorithms().get(algorithm)
            if spec is None:
                known = ", ".join(options.algorithms())
                raise ConfigError("Unknown algorithm", value=algorithm, way_out=f"Known: {known}.")
            train, config = pairs.parse(set_ or (), options.TRAIN_CONFIG, spec.config)
            record = opened.training.queue(algorithm, config, {**train, "device": device})
        engine.start()
        engine.wake()
        record = _watch(opened, record.number)
    finally:
        engine.stop()
        opened.close()
    if record.state not in {"promoted", "held_back", "finished"} and cancel is None:
        error = record.error or {}
        raise RoundError(
            f"Round {record.number} is {record.state}",
            value=error.get("cause"),
            way_out=str(error.get("way_out") or ""),
        )


def _watch(opened: Any, number: int) -> Any:
    from engine.rounds.supervisor.follow import follow

    record = opened.store.round(number)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[more]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(f"Round {number} queued", total=1.0, more="")
        for record in follow(opened.store, number):
            now = record.progress
            epoch, epochs = now.get("epoch") or 0, now.get("epochs") or 0
            step, steps = now.get("step") or 0, now.get("steps") or 1
            metrics = now.get("metrics") or {}
            more = f"{now.get('steps_per_second') or 0:.1f} steps/s"
            if metrics.get("heldout_accuracy") is not None:
                more += f", held-out {percent(metrics['heldout_accuracy'])}"
            done = (max(epoch - 1, 0) + step / steps) / epochs if epochs else step / steps
            words = f"Round {number} {record.state}, {now.get('phase') or 'waiting'} {epoch}/{epochs}"
            bar.update(task, completed=done, description=words, more=more)
    _show_round(opened, record)
    return record


def _show_round(opened: Any, record: Any) -> None:
    out.print(f"Round {record.number} ({record.algorithm}) is {record.state}.")
    report = record.report or {}
    rows = ("Held-out accuracy", "heldout"), ("Supervised baseline", "baseline"), ("Without feedback", "ablation")
    for name, key in rows:
        figures = report.get(key)
        if figures and figures.get("n"):
            out.print(
                f"  {name}: {percent(figures['accuracy'], 2)} ({figures['correct']}/{figures['n']}), 95 % interval "
                f"{percent(figures['low'])}–{percent(figures['high'])}"
            )
    if record.state in {"promoted", "held_back"}:
        truth = opened.results.true_accuracy(record.number)
        if truth is not None:
            out.print(f"  True accuracy on hidden labels: {percent(truth.accuracy, 2)} ({truth.correct:,}/{truth.n:,})")
        out.print(f"  {escape(str((report.get('verdict') or {}).get('reason', '')))}", soft_wrap=True)
        out.print(
            f"  {report.get('seconds', 0):.0f} s, {report.get('seconds_per_epoch', 0):.2f} s an epoch, "
            f"{report.get('peak_memory_mb', 0):,.0f} MB at most, on {report.get('device')}"
        )


def status(project: ProjectArgument) -> None:
    """Show what a project holds and how its rounds ended."""
    from engine.project import options
    from engine.project.opened import Project

    opened = Project.open(project, read_only=not os.access(project, os.W_OK))
    try:
        counts = opened.store.counts()
        out.print(f"{escape(opened.store.name)}: {counts.images:,} images, {len(opened.store.classes())} classes")
        out.print(
            f"  {counts.labeled:,} labeled: {counts.imported:,} imported, {counts.human:,} by a person, "
            f"{counts.accepted:,} accepted; {counts.unlabeled:,} unlabeled"
        )
        out.print(f"  device: {options.describe_device()}")
        table = Table("round", "algorithm", "state", "held-out", "95 % interval", "epochs", "seconds")
        for record in opened.store.rounds():
            report = record.report or {}
            heldout = report.get("heldout") or {}
            table.add_row(
                str(record.number), record.algorithm, record.state,
                percent(heldout['accuracy'], 2) if heldout.get("n") else "–",
                f"{percent(heldout['low'])}–{percent(heldout['high'])}" if heldout.get("n") else "–",
                str(report.get("epochs", "–")), f"{report['seconds']:.0f}" if report else "–",
            )  # fmt: skip
        if opened.store.rounds():
            out.print(table)
    finally:
        opened.close()


def evaluate(
    project: ProjectArgument,
    torchvision: Annotated[str, typer.Option(help="The data set whose test split is used.")],
    root: Annotated[Path, typer.Option(help="Where it lies.")],
    round: Annotated[int | None, typer.Option(help="The round; the one in force if not given.")] = None,
) -> None:
    """Measure a round's final model on the test split of a torchvision data set, which no round ever sees."""
    from engine.project.opened import Project
    from engine.rounds.worker import apply

    opened = Project.open(project)
    try:
        number = round if round is not None else opened.results.in_force()
        if number is None:
            raise RoundError("No round is in force", way_out="Give one: --round N.")
        accuracy = apply.test_accuracy(opened.workspace.round_folder(number), torchvision, root)
    finally:
        opened.close()
    out.print(
        f"Round {number}: {percent(accuracy['accuracy'], 2)} on the {accuracy['n']:,} test images of {torchvision} "
        f"({accuracy['correct']:,} right), 95 % interval {percent(accuracy['low'], 2)}–{percent(accuracy['high'], 2)}"
    )
