"""What the commands share: the terminal, a progress bar, the project they are about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

out = Console(highlight=False)


ProjectArgument = Annotated[Path, typer.Argument(help="The project's folder.", metavar="PROJECT")]


@contextlib.contextmanager
def progress_bar() -> Iterator[Any]:
    """Show a bar a stage in the terminal; yields the function to report progress to."""
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
