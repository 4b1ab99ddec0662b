"""Keeping a project sound: backup, restore, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.terminal import ProjectArgument, out, progress_bar
from app.loss_words import loss_words
from engine.errors import ConfigError, EntriesLost

TARGET = (
    "The folder that keeps the backups of this project, best on another disk. With --labels-only the file to write; "
    "one in the project's backups folder if not given."
)
BACKUP = (
    "The folder that `starling backup` wrote: its newest backup is taken. Or one of the files in its manifests folder, "
    "for an older backup; or a copy of a database, which replaces the labels and rounds alone."
)
FILES_ONLY = (
    "Put back only originals, thumbnails and files of complete rounds that are missing or damaged; labels and rounds "
    "stay as they are."
)
REPAIR = (
    "Make again what can be made: thumbnails, caches, maps, labels in force; and give a digest to what has none. What "
    "only a backup has is named."
)
ACCEPT_LOSS = (
    "Go on where the end of the ledger was lost and no backup has more: what is lost is written down in the project."
)


def backup(
    project: ProjectArgument,
    target: Annotated[Path | None, typer.Argument(help=TARGET, metavar="[TARGET]")] = None,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Write labels and rounds into a single file, without the images.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove older backups in the folder but for so many; all stay if not given."),
    ] = None,
) -> None:
    """Take a verified backup of the whole project, also while people label and a round trains.

    Into the same folder again it copies only what is new. `starling restore` puts it back.
    """
    from datetime import UTC, datetime

    from engine.project.backups.take import take
    from engine.project.workspace import Workspace, is_writable

    opened = Workspace.open(project, read_only=not is_writable(project))
    try:
        if labels_only:
            if target is None and opened.store.read_only:
                raise ConfigError(
                    "The project cannot be written, so a backup cannot be kept in it",
                    way_out="Name a file elsewhere: starling backup PROJECT FILE --labels-only.",
                )
            name = f"project-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
            written = target or opened.root / "backups" / name
            opened.store.backup(written)
            out.print(f"Wrote and verified {escape(str(written))}", soft_wrap=True)
            return
        if target is None:
            raise ConfigError(
                "A backup of the whole project needs a folder outside of it",
                way_out="Give one, best on another disk: starling backup PROJECT FOLDER. Or --labels-only for a file.",
            )
        with progress_bar() as progress:
            taken = take(opened, target, progress, keep=keep)
    finally:
        opened.close()
    for flaw in taken.flaws:
        out.print(f"[red]✗[/red] {escape(flaw)}", soft_wrap=True)
    out.print(
        f"Backed up {taken.files:,} files, {_megabytes(taken.size)}; copied {taken.new_files:,} that are new, "
        f"{_megabytes(taken.new_bytes)}, to {escape(str(target))}",
        soft_wrap=True,
    )
    if taken.flaws:
        raise typer.Exit(1)


def restore(
    project: ProjectArgument,
    backup: Annotated[Path, typer.Argument(help=BACKUP, metavar="BACKUP")],
    files_only: Annotated[bool, typer.Option("--files-only", help=FILES_ONLY)] = False,
) -> None:
    """Make a project what it was at a backup, or make a copy of it in a new folder.

    The backup is checked first. What was there before is moved aside, not removed. Nobody may have the project open.
    """
    from engine.project.backups import restore as restoring

    with progress_bar() as progress:
        done = restoring.restore(project, backup, progress, files_only=files_only)
    when = f" as of {done.made[:19].replace('T', ' ')} UTC" if done.made and not files_only else ""
    what = "put back" if files_only else f"restored{when}, {done.ledger_seq:,} entries in the ledger"
    out.print(f"{escape(done.name)}: {what}; {done.files:,} files written.", soft_wrap=True)
    if done.aside is not None:
        out.print(f"What was there before lies in {escape(str(done.aside))}", soft_wrap=True)
    for folder in done.rounds_aside:
        out.print(f"The folder of a round that the project does not have now: {escape(str(folder))}", soft_wrap=True)


def doctor(
    project: ProjectArgument,
    repair: Annotated[bool, typer.Option("--repair", help=REPAIR)] = False,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help=ACCEPT_LOSS)] = False,
) -> None:
    """Check the database, the ledger's chain, the rounds' files, every original and what is made of them.

    Exits with 1 if something is wrong.
    """
    from engine.project.upkeep import Upkeep
    from engine.project.workspace import Workspace, is_writable

    try:
        opened = Workspace.open(project, read_only=not repair and not is_writable(project), accept_loss=accept_loss)
    except EntriesLost:
        opened, repair = Workspace.open(project, read_only=True), False
    try:
        with progress_bar() as progress:
            health = Upkeep(opened).doctor(progress, repair=repair)
        losses, finished = opened.store.losses(), opened.store.finished
    finally:
        opened.close()
    for loss in losses:
        out.print(escape(loss_words(loss)), soft_wrap=True)
    for words in finished:
        out.print(escape(words), soft_wrap=True)
    for done in health.repaired:
        out.print(f"[green]✓[/green] Repaired: {escape(done)}", soft_wrap=True)
    for note in health.notes:
        out.print(f"– {escape(note)}", soft_wrap=True)
    for problem in health.problems:
        out.print(f"[red]✗[/red] {escape(problem)}", soft_wrap=True)
    if health.notes:
        out.print(
            "What has no digest was written by an earlier version and may be sound; `starling doctor PROJECT --repair` "
            "gives it one, of what it is now.",
            soft_wrap=True,
        )
    if health.problems:
        if health.mendable and not repair:
            out.print(
                f"`starling doctor PROJECT --repair` makes again what can be: {health.mendable:,} of these "
                f"{len(health.problems):,} problems.",
                soft_wrap=True,
            )
        raise typer.Exit(1)
    out.print("Sound: the database, the ledger's chain, rounds, originals, thumbnails, caches, maps and checks agree.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
