"""Rounds from a terminal: start, stop, watch, status, evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.cli.terminal import ProjectArgument, out
from app.source_words import counted
from engine.errors import ConfigError, RoundBlocked, RoundError
from engine.percent import percent
from engine.records.labels import LabelSource
from engine.records.rounds import HeldoutFigures, RoundReport


def round_(
    project: ProjectArgument,
    algorithm: Annotated[
        str | None,
        typer.Option(
            help="Its key, e.g. fixmatch, with its defaults, instead of the recommendation; a wrong one names all."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting, e.g. epochs=30; where training and algorithm share a name, train.momentum=0.8 or "
            "fixmatch.momentum=0.99. May be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    resume: Annotated[int | None, typer.Option(help="Continue this stopped round instead.")] = None,
    cancel: Annotated[int | None, typer.Option(help="Stop this round instead.")] = None,
) -> None:
    """Start the recommended round, or one of an algorithm, and show its progress.

    Ctrl+C leaves it running; `starling round PROJECT --cancel N` stops it.
    """
    from engine.project.opened import Project
    from engine.rounds.supervisor.thread import EngineThread

    opened = Project.open(project)
    engine = EngineThread(opened.store, opened.root, compare=opened.measured.compare)
    try:
        if cancel is not None:
            record = opened.training.cancel(cancel)
        elif resume is not None:
            record = opened.training.resume(resume)
        else:
            record = _queue(opened, algorithm, set_ or (), device)
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


def _queue(opened: Any, algorithm: str | None, sets: Sequence[str], device: str) -> Any:
    """Queue a round of this algorithm, or the recommended one and say what it is and why."""
    from engine.project import options
    from engine.training import pairs

    recommendation = opened.training.recommendation() if algorithm is None else None
    if algorithm is not None:
        key, config, train = algorithm, {}, {}
    elif recommendation is not None:
        key, config, train = recommendation.algorithm, recommendation.config, recommendation.standard
    else:
        raise RoundBlocked("The project has no images to train on", way_out="Import images: `starling import`.")
    spec = options.algorithms().get(key)
    if spec is None:
        raise ConfigError("Unknown algorithm", value=key, way_out=f"Known: {', '.join(options.algorithms())}.")
    own_train, own_config = pairs.parse(sets, {pairs.TRAIN: options.TRAIN_CONFIG, key: spec.config})
    train = {**train, **own_train, "device": device}
    record = opened.training.queue(key, {**config, **own_config}, train)
    if recommendation is not None:
        net = f" on {train['net']}" if "net" in train else ""
        length = "" if spec.labels_a_set or "epochs" not in train else f", {train['epochs']} epochs"
        what = f"{spec.title}{net}{length}"
        out.print(f"Recommended: {escape(what)}. {escape(recommendation.reason)}", soft_wrap=True)
        for warning in recommendation.warnings:
            out.print(f"  Note: {escape(warning)}", soft_wrap=True)
    return record


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
            if metrics.get("heldout_accuracy") is not None and (labels := metrics.get("heldout_labels")):
                more += f", {round(metrics['heldout_accuracy'] * labels):,} of {labels:,.0f} held-out labels right"
            done = (max(epoch - 1, 0) + step / steps) / epochs if epochs else step / steps
            words = f"Round {number} {record.state}, {now.get('phase') or 'waiting'} {epoch}/{epochs}"
            bar.update(task, completed=done, description=words, more=more)
    _show_round(opened, record)
    return record


def _show_round(opened: Any, record: Any) -> None:
    out.print(f"Round {record.number} ({record.algorithm}) is {record.state}.")
    report = record.report or RoundReport()
    if record.state in {"promoted", "held_back"}:
        _show_measured(opened, record.number)
    rows = {
        "Held-out labels": report.heldout,
        "Labels alone": report.baseline,
        "The round's own algorithm, left aside": report.passed_over,
        "Without feedback": None if report.ablation is None else report.ablation.heldout,
    }
    for name, figures in rows.items():
        if figures is not None and figures.n:
            out.print(f"  {name}: {heldout(figures)} right")
    if report.heldout.n:
        out.print("  Held-out labels choose within the round and measure no accuracy.")
    if record.state in {"promoted", "held_back"}:
        truth = opened.results.true_accuracy(record.number)
        if truth is not None:
            out.print(f"  True accuracy on hidden labels: {percent(truth.accuracy, 2)} ({truth.correct:,}/{truth.n:,})")
        out.print(f"  {escape(report.verdict.reason)}", soft_wrap=True)
        out.print(
            f"  {report.seconds:.0f} s, {report.seconds_per_epoch:.2f} s an epoch, "
            f"{report.peak_memory_mb:,.0f} MB at most, on {report.device}"
        )


def status(project: ProjectArgument) -> None:
    """Show what a project holds and how its rounds ended."""
    from engine.project import options
    from engine.project.opened import Project
    from engine.project.workspace import is_writable

    opened = Project.open(project, read_only=not is_writable(project))
    try:
        counts = opened.store.counts()
        labels = {source: getattr(counts, source) for source in get_args(LabelSource)}
        out.print(f"{escape(opened.store.name)}: {counts.images:,} images, {len(opened.store.classes())} classes")
        out.print(f"  {counts.labeled:,} labeled: {counted(labels) or 'none'}; {counts.unlabeled:,} unlabeled")
        out.print(f"  device: {options.describe_device()}")
        table = Table("round", "algorithm", "state", "held-out right", "epochs", "seconds")
        for record in opened.store.rounds():
            report = record.report or RoundReport()
            held = report.heldout
            table.add_row(
                str(record.number), record.algorithm + (" (its baseline)" if report.passed_over else ""), record.state,
                heldout(held),
                str(report.epochs) if record.report else "–", f"{report.seconds:.0f}" if record.report else "–",
            )  # fmt: skip
        if opened.store.rounds():
            out.print(table)
        _show_last(opened)
    finally:
        opened.close()


def heldout(held: HeldoutFigures) -> str:
    """Return how many held-out labels, or scenes, are right; they choose, so that this is no accuracy."""
    if not held.n:
        return "–"
    return f"{held.correct:,} of {held.n:,}" + (f" scenes ({held.images:,} labels)" if held.grouped else "")


def _show_last(opened: Any) -> None:
    """Say why the last complete round is in force or not, and how good the one in force is measured to be."""

    complete = opened.results.complete()
    if complete:
        reason = (complete[-1].report or RoundReport()).verdict.reason
        out.print(f"Round {complete[-1].number}. {escape(reason)}", soft_wrap=True)
    in_force = opened.results.in_force()
    if in_force is None:
        return
    _show_measured(opened, in_force)


def _show_measured(opened: Any, number: int) -> None:
    """Say how good a round is by the measured set, or that it is not measured yet."""
    from engine.quality.scale import SHARE

    found = opened.measured.accuracy(number)
    if found.n < SHARE:
        out.print(
            f"How good round {number} is, is not measured yet: {found.n} of {SHARE} random images answered. The "
            "Review page asks them.",
            soft_wrap=True,
        )
        return
    out.print(
        f"Round {number} predicted {found.right:,} of {found.n:,} random images right ({percent(found.value)}), 95 % "
        f"interval {percent(found.low)}–{percent(found.high)}",
        soft_wrap=True,
    )


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
