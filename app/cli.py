"""The command `starling`: the workbench in the browser, and the same work from a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.bench import bench
from engine.errors import ConfigError, RoundError, SourceMissing, StarlingError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
out = Console(highlight=False)

ProjectArgument = Annotated[Path, typer.Argument(help="The project's folder.", metavar="PROJECT")]


def main() -> None:
    """Run the command line; an intended error is printed as one sentence and exits with 1."""
    try:
        app()
    except StarlingError as error:
        Console(stderr=True, highlight=False).print(f"[red]starling:[/red] {escape(str(error))}")
        sys.exit(1)


@contextlib.contextmanager
def _bar() -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(escape(label), total=total or None)
            bar.update(tasks[label], completed=done, total=total or None)

        yield progress


# the app -------------------------------------------------------------------------------------------------------------


def _serve(home: Path, project: Path | None, address: str, port: int, token: bool, browser: bool) -> None:
    from app import server, workbench

    port = server.free_port(address, port)
    secret = os.environ.get("STARLING_TOKEN") or server.new_token() if token else ""
    hosts = tuple(dict.fromkeys((*server.LOOPBACK, address)))
    shown = f"[{address}]" if ":" in address else address
    bench = workbench.use(workbench.Workbench(home))
    bench.url = f"http://{shown}:{port}/"
    if project is not None:
        bench.open(project)
    url = bench.url + (f"?token={secret}" if secret else "")
    out.print(f"Starling is at [bold]{url}[/bold]", soft_wrap=True)
    out.print(
        f"Projects are in {escape(str(bench.home))}. Stop with Ctrl+C; a round that runs goes on.",
        soft_wrap=True,
    )
    if browser:
        typer.launch(url)
    with contextlib.suppress(KeyboardInterrupt):
        server.build(secret, hosts).run(config=server.settings(address, port, hosts))
    bench.close()


Address = Annotated[str, typer.Option(help="Where to listen. The default is this machine only.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Home = Annotated[Path | None, typer.Option(help="The folder that holds the projects.")]
Token = Annotated[bool, typer.Option(help="Ask for the access token of the printed address.")]
Browser = Annotated[bool, typer.Option(help="Open the browser.")]


@app.command()
def ui(
    project: Annotated[Path | None, typer.Argument(help="A project to open at once.", metavar="[PROJECT]")] = None,
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
) -> None:
    """Open the workbench in the browser."""
    from app import workbench

    _serve(home or workbench.default_home(), project, address, port, token, browser)


@app.command()
def demo(
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
) -> None:
    """Open the workbench on scikit-learn's 1,797 digits, 5 % of them labeled."""
    from app import server, workbench
    from engine.importers.scan import ImportSource
    from engine.project import Project

    server.free_port(address, port)
    folder = (home or workbench.default_home()) / "digits-demo"
    if not (folder / "project.db").exists():
        try:
            with _bar() as progress, Project.create(folder, "Digits (demo)") as project:
                source = ImportSource("torchvision", Path(), name="digits", labels_kept=90)
                project.commit_import(project.scan(source, progress), progress)
        except BaseException:
            _remove_empty(folder)
            raise
    _serve(folder.parent, folder, address, port, token, browser)


# data in and out -----------------------------------------------------------------------------------------------------


@app.command("import")
def import_(
    project: ProjectArgument,
    path: Annotated[Path | None, typer.Argument(help="A folder or a zip.", metavar="[PATH]")] = None,
    torchvision: Annotated[str | None, typer.Option(help="A torchvision data set on disk, by name (MNIST, …).")] = None,
    root: Annotated[Path | None, typer.Option(help="Where the torchvision data set lies.")] = None,
    labels: Annotated[int | None, typer.Option(min=0, help="How many labels of it to keep, over all classes.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses which labels are kept.")] = 0,
    without: Annotated[
        list[str] | None, typer.Option(help="A class of it to leave out, as if nobody knew of it; may be repeated.")
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Import the images without their labels.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is inside and write nothing.")] = False,
) -> None:
    """Import images into a project, which is made if it does not exist."""
    from engine.importers.scan import ImportSource
    from engine.project import DATABASE, Project

    if (path is None) == (torchvision is None):
        raise ConfigError("Give either a path or --torchvision NAME", way_out="See “starling import --help”.")
    if torchvision is not None:
        hidden = tuple(without or ())
        source = ImportSource(
            "torchvision", root or Path(), name=torchvision, labels_kept=labels, seed=seed, without=hidden
        )
    elif path is not None and path.expanduser().exists():
        path = path.expanduser().resolve()
        source = ImportSource("zip" if path.is_file() else "folder", path, name=path.name)
    else:
        raise SourceMissing("The path to import does not exist", value=path, way_out="Check it for typing errors.")
    began = time.monotonic()
    created = not (project / DATABASE).exists()
    target = Project.create(project) if created else Project.open(project)
    try:
        with _bar() as progress:
            preview = target.scan(source, progress)
        _show_preview(preview)
        if dry_run:
            target.discard(preview)
            target.close()
            if created:
                _remove_empty(project)
            return
        with _bar() as progress:
            result = target.commit_import(preview, progress, use_labels=not no_labels)
    except BaseException:
        target.close()
        if created:
            _remove_empty(project)
        raise
    target.close()
    out.print(
        f"Imported {result.added:,} images with {result.labels_added:,} labels into {escape(str(project))} in "
        f"{time.monotonic() - began:.1f} s; {result.already_there:,} were already there, {result.refused:,} refused.",
        soft_wrap=True,
    )
    for row in result.differing[:20]:
        out.print(f"  label differs from the one in force: {escape(row.name)}: {escape(row.reason)}", soft_wrap=True)


def _remove_empty(project: Path) -> None:
    """Remove a project that was just made, if it holds nothing."""
    import shutil

    from engine.project import DATABASE, Project

    if (project / DATABASE).exists():
        with Project.open(project) as found:
            empty = found.counts().images == 0
        if empty:
            shutil.rmtree(project)


def _show_preview(preview: Any) -> None:
    labeled = sum(preview.counts.values())
    out.print(
        f"{escape(preview.source)}: {len(preview.found):,} images ({preview.layout}), {labeled:,} labeled in "
        f"{len(preview.counts)} classes, {preview.unlabeled:,} unlabeled; {len(preview.refused):,} refused, "
        f"{preview.skipped:,} skipped.",
        soft_wrap=True,
    )
    for notice in preview.notices:
        out.print(f"  {escape(notice)}", soft_wrap=True)
    for title, rows in (("refused", preview.refused), ("conflicting labels", preview.conflicts)):
        for row in rows[:20]:
            out.print(f"  {title}: {escape(row.name)}: {escape(row.reason)}", soft_wrap=True)
        if len(rows) > 20:
            out.print(f"  … and {len(rows) - 20:,} more {title}")


class Format(StrEnum):
    """Export formats."""

    imagefolder_zip = "imagefolder_zip"
    csv = "csv"
    parquet = "parquet"


@app.command()
def export(
    project: ProjectArgument,
    target: Annotated[
        Path | None, typer.Argument(help="The file to write; the project's exports folder if not given.")
    ] = None,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.imagefolder_zip,
    pseudo: Annotated[
        float | None, typer.Option(min=0, max=1, help="Add pseudo-labels at least this confident.")
    ] = None,
    human_only: Annotated[
        bool, typer.Option("--human-only", help="Leave out labels that came with the import.")
    ] = False,
    labeled_only: Annotated[bool, typer.Option("--labeled-only", help="Leave out images without a label.")] = False,
    round: Annotated[int | None, typer.Option(help="The round whose pseudo-labels are taken.")] = None,
) -> None:
    """Write the curated set, all or nothing."""
    from engine.exporters.collect import ExportOptions
    from engine.project import Project

    sources = (
        {"human", "accepted"} | (set() if human_only else {"imported"}) | ({"pseudo"} if pseudo is not None else set())
    )
    options = ExportOptions(
        format.value, frozenset(sources), 0.95 if pseudo is None else pseudo, not labeled_only, round
    )
    opened = Project.open(project)
    try:
        counts = opened.export_counts(options)
        with _bar() as progress:
            written = opened.export(options, progress, target=target)
    finally:
        opened.close()
    out.print(
        f"Wrote {escape(str(written))}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items() if n),
        soft_wrap=True,
    )


# rounds --------------------------------------------------------------------------------------------------------------


@app.command("round")
def round_(
    project: ProjectArgument,
    algorithm: Annotated[str, typer.Option(help="Its key, e.g. fixmatch; a wrong one names all.")] = "pseudo_label",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, e.g. epochs=30; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    resume: Annotated[int | None, typer.Option(help="Continue this stopped round instead.")] = None,
    cancel: Annotated[int | None, typer.Option(help="Stop this round instead.")] = None,
) -> None:
    """Start a round and show its progress. Ctrl+C leaves it running; `starling round PROJECT --cancel N` stops it."""
    from app import settings
    from engine import options
    from engine.project import Project
    from engine.rounds.supervisor.thread import EngineThread

    opened = Project.open(project)
    engine = EngineThread(opened.store, opened.root)
    try:
        if cancel is not None:
            record = opened.cancel_round(cancel)
        elif resume is not None:
            record = opened.resume_round(resume)
        else:
            spec = options.algorithms().get(algorithm)
            if spec is None:
                known = ", ".join(options.algorithms())
                raise ConfigError("Unknown algorithm", value=algorithm, way_out=f"Known: {known}.")
            train, config = settings.parse(set_ or (), options.TRAIN_CONFIG, spec.config)
            record = opened.queue_round(algorithm, config, {**train, "device": device})
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

    record = opened.round(number)
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
                more += f", held-out {metrics['heldout_accuracy']:.1%}"
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
        found = report.get(key)
        if found and found.get("n"):
            out.print(
                f"  {name}: {found['accuracy']:.2%} ({found['correct']}/{found['n']}), 95% interval "
                f"{found['low']:.1%}–{found['high']:.1%}"
            )
    if record.state in {"promoted", "held_back"}:
        truth = opened.true_accuracy(record.number)
        if truth is not None:
            out.print(f"  True accuracy on hidden labels: {truth.accuracy:.2%} ({truth.correct:,}/{truth.n:,})")
        out.print(f"  {escape(str((report.get('verdict') or {}).get('reason', '')))}", soft_wrap=True)
        out.print(
            f"  {report.get('seconds', 0):.0f} s, {report.get('seconds_per_epoch', 0):.2f} s an epoch, "
            f"{report.get('peak_memory_mb', 0):,.0f} MB at most, on {report.get('device')}"
        )


@app.command()
def status(project: ProjectArgument) -> None:
    """Show what a project holds and how its rounds ended."""
    from engine import options
    from engine.project import Project

    opened = Project.open(project, read_only=not os.access(project, os.W_OK))
    try:
        counts = opened.counts()
        out.print(f"{escape(opened.name)}: {counts.images:,} images, {len(opened.classes())} classes")
        out.print(
            f"  {counts.labeled:,} labeled: {counts.imported:,} imported, {counts.human:,} by a person, "
            f"{counts.accepted:,} accepted; {counts.unlabeled:,} unlabeled"
        )
        out.print(f"  device: {options.describe_device()}")
        table = Table("round", "algorithm", "state", "held-out", "95% interval", "epochs", "seconds")
        for record in opened.rounds():
            report = record.report or {}
            found = report.get("heldout") or {}
            table.add_row(
                str(record.number), record.algorithm, record.state,
                f"{found['accuracy']:.2%}" if found.get("n") else "–",
                f"{found['low']:.1%}–{found['high']:.1%}" if found.get("n") else "–",
                str(report.get("epochs", "–")), f"{report['seconds']:.0f}" if report else "–",
            )  # fmt: skip
        if opened.rounds():
            out.print(table)
    finally:
        opened.close()


@app.command()
def evaluate(
    project: ProjectArgument,
    torchvision: Annotated[str, typer.Option(help="The data set whose test split is used.")],
    root: Annotated[Path, typer.Option(help="Where it lies.")],
    round: Annotated[int | None, typer.Option(help="The round; the one in force if not given.")] = None,
) -> None:
    """Measure a round's final model on the test split of a torchvision data set, which no round ever sees."""
    from engine.project import Project
    from engine.rounds.worker import apply

    opened = Project.open(project)
    try:
        number = round if round is not None else opened.round_in_force()
        if number is None:
            raise RoundError("No round is in force", way_out="Give one: --round N.")
        found = apply.test_accuracy(opened.round_dir(number), torchvision, root)
    finally:
        opened.close()
    out.print(
        f"Round {number}: {found['accuracy']:.2%} on the {found['n']:,} test images of {torchvision} "
        f"({found['correct']:,} right), 95% interval {found['low']:.2%}–{found['high']:.2%}"
    )


@app.command()
def backup(
    project: ProjectArgument,
    target: Annotated[Path | None, typer.Argument(help="The file to write; the backups folder if not given.")] = None,
) -> None:
    """Write a verified copy of all labels and rounds, also while people label."""
    from datetime import UTC, datetime

    from engine.project import Project

    opened = Project.open(project)
    try:
        name = f"project-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
        written = opened.backup(target or opened.root / "backups" / name)
    finally:
        opened.close()
    out.print(f"Wrote and verified {escape(str(written))}", soft_wrap=True)


@app.command()
def doctor(project: ProjectArgument) -> None:
    """Check the database, the ledger's chain and every original; exit with 1 if something is wrong."""
    from engine.project import Project

    opened = Project.open(project, read_only=not os.access(project, os.W_OK))
    try:
        with _bar() as progress:
            problems = opened.doctor(progress)
    finally:
        opened.close()
    for problem in problems:
        out.print(f"[red]✗[/red] {escape(problem)}", soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    out.print("Sound: the database, the ledger's chain and all originals agree.")


app.command()(bench)

if __name__ == "__main__":
    main()
