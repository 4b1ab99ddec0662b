"""The command `starling`: the workbench in the browser, and the same work from a terminal."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from app.cli import data, goal, rounds, serve, tokens, upkeep
from app.cli.bench import bench
from engine.errors import StarlingError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
app.command()(serve.ui)
app.command()(serve.demo)
app.command()(tokens.tokens)
app.command("import")(data.import_)
app.command()(data.export)
app.command()(data.revisions)
app.command("round")(rounds.round_)
app.command()(rounds.status)
app.command()(rounds.evaluate)
app.command("goal")(goal.goal_)
app.command()(goal.verify)
app.command()(upkeep.backup)
app.command()(upkeep.restore)
app.command()(data.groups)
app.command()(upkeep.doctor)
app.command()(bench)


def main() -> None:
    """Run the command line; an intended error is printed as one sentence and exits with 1."""
    try:
        app()
    except StarlingError as error:
        Console(stderr=True, highlight=False).print(f"[red]starling:[/red] {escape(str(error))}")
        sys.exit(1)


if __name__ == "__main__":
    main()
