"""The goal from a terminal: set it, see where the labels stand and the way to it, verify what an export certifies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.terminal import ProjectArgument, out
from app.goal_words import goal_words, next_words, source_words, standing_words, step_words

PATIENCE = 600.0
"""Seconds to wait for the plan; at 60,000 labels it takes about one."""


def goal_(
    project: ProjectArgument,
    rate: Annotated[float | None, typer.Option(help="The share of wrong labels at most, e.g. .01 for 1 %.")] = None,
    level: Annotated[float | None, typer.Option(help="How sure that is to be, e.g. .95.")] = None,
    per_class: Annotated[
        bool | None, typer.Option("--per-class/--over-all", help="In every class, or over all labels.")
    ] = None,
) -> None:
    """Show how many labels are wrong, the goal and the way to it; set the goal with the options."""
    from engine.project.opened import Project
    from engine.project.workspace import is_writable

    changes = {
        name: value for name, value in (("rate", rate), ("level", level), ("per_class", per_class)) if value is not None
    }
    opened = Project.open(project, read_only=not changes and not is_writable(project))
    try:
        if changes:
            opened.goals.set(replace(opened.goals.goal(), **changes))  # type: ignore[arg-type]
        report, _ = opened.goals.report(PATIENCE)
    finally:
        opened.close()
    if report is None:
        return
    out.print(f"Goal: {escape(goal_words(report.goal))}", soft_wrap=True)
    out.print(f"  {escape(standing_words(report.standing))}", soft_wrap=True)
    if report.standing.by_source:
        out.print(f"  {escape(source_words(report.standing))}", soft_wrap=True)
    out.print(f"  {escape(next_words(report))}", soft_wrap=True)
    out.print(f"  Next: {escape(step_words(report.step))}", soft_wrap=True)


def verify(
    export: Annotated[
        Path,
        typer.Argument(
            help="A zip, the folder it was unpacked into, or a table beside its certificate.", metavar="EXPORT"
        ),
    ],
) -> None:
    """Work the certificate of an export out again from its files alone; exit with 1 if something does not hold."""
    from engine.project.quality.verify import verify as findings_of

    findings = findings_of(export)
    for finding in findings:
        mark = "[green]✓[/green]" if finding.holds else "[red]✗[/red]"
        out.print(f"{mark} {escape(finding.what)}", soft_wrap=True)
    failed = sum(not finding.holds for finding in findings)
    if failed:
        out.print(f"{failed} of {len(findings)} do not hold: this export is not what was certified.")
        raise typer.Exit(1)
    out.print("All of it holds.")
