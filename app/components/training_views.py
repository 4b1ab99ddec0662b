"""How a round is shown: its state, its progress, its curves, its report."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from app import state
from engine.project import Project
from engine.records import RoundRecord

STATES = {
    "queued": "queued",
    "running": "running",
    "cancelling": "stopping",
    "cancelled": "cancelled",
    "failed": "failed",
    "interrupted": "interrupted",
    "finished": "finished",
    "promoted": "promoted",
    "held_back": "held back",
}
COLOURS = {
    "queued": "gray", "running": "blue", "cancelling": "orange", "cancelled": "gray", "failed": "red",
    "interrupted": "orange", "finished": "green", "promoted": "green", "held_back": "orange",
}  # fmt: skip
BLUE, ORANGE, GREEN, GREY = "#3b76d6", "#d97a1e", "#2f9e77", "#8a93a3"
PHASES = {
    "preparing": "Preparing the images",
    "baseline": "Supervised baseline",
    "main": "Training",
    "finishing": "Predicting all images",
}


def state_word(record: RoundRecord, in_force: int | None) -> str:
    """Return a round's state as shown; of the promoted ones only the last is in force."""
    return "in force" if record.number == in_force else STATES[record.state]


def state_line(record: RoundRecord, in_force: int | None) -> None:
    """Say in which state a round is, why, and what can be done."""
    colour, word = COLOURS[record.state], state_word(record, in_force)
    device = record.progress.get("device")
    attempt = f" · attempt {record.attempt}" if record.attempt > 1 else ""
    st.markdown(
        f"**Round {record.number}** &nbsp; :{colour}-badge[{word}]{attempt}"
        + (f" &nbsp; on {state.plain(device)}" if device else "")
    )
    if record.error:
        st.error(state.plain(record.error.get("cause") or record.error.get("message") or "The round stopped."))
        if record.error.get("way_out"):
            st.markdown(f":material/lightbulb: {state.plain(record.error['way_out'])}")
    elif record.state == "interrupted":
        st.warning("The worker of this round ended before it was done. Labels are untouched; the round can be resumed.")


def progress(record: RoundRecord) -> None:
    """Draw how far an active round is."""
    now = record.progress
    phase = PHASES.get(str(now.get("phase")), "Waiting for the worker")
    epoch, epochs = now.get("epoch") or 0, now.get("epochs") or 0
    step, steps = now.get("step") or 0, now.get("steps") or 0
    done = (max(epoch - 1, 0) + (step / steps if steps else 0.0)) / epochs if epochs else 0.0
    text = phase + (f" · epoch {epoch} of {epochs}, step {step} of {steps}" if epochs else "")
    if now.get("message") and now.get("phase") == "preparing":
        text += f" · {state.plain(now['message'])}"
    st.progress(min(max(done, 0.0), 1.0), text)
    metrics = now.get("metrics") or {}
    cells = st.columns(5)
    cells[0].metric("Steps per second", _number(now.get("steps_per_second"), "{:.1f}"))
    cells[1].metric("Time left", duration(now.get("eta_seconds")))
    cells[2].metric("Held-out accuracy", _number(metrics.get("heldout_accuracy"), "{:.1%}"))
    weight = "lambda" if record.algorithm == "meta_pseudo_labels" else "alpha"
    cells[3].metric("α" if weight == "alpha" else "λ", _number(metrics.get(weight), "{:.2f}"))
    cells[4].metric("Pseudo-labels used", _number(metrics.get("used_share"), "{:.0%}"))


def curves_figure(curves: dict[str, list[Any]]) -> go.Figure:
    """Return held-out accuracy and the share of pseudo-labels used, the losses, and their weight, by epoch.

    Args:
        curves: columns phase, epoch and metrics, one row an epoch and phase.
    """
    weight = "alpha" if any(value is not None for value in curves.get("alpha", [])) else "lambda"
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.5, 0.3, 0.2])
    for phase, name, title, row, look in (
        ("main", "heldout_accuracy", "held-out accuracy", 1, {"color": BLUE, "width": 3}),
        ("baseline", "heldout_accuracy", "supervised baseline", 1, {"color": GREY, "dash": "dash"}),
        ("main", "used_share", "share of pseudo-labels used", 1, {"color": GREEN, "dash": "dot"}),
        ("main", "loss", "training loss", 2, {"color": ORANGE}),
        ("main", "heldout_loss", "held-out loss", 2, {"color": BLUE, "dash": "dot"}),
        ("main", weight, "α, weight of the pseudo-labels" if weight == "alpha" else "λ", 3, {"color": GREEN}),
    ):
        points = [
            (epoch, value)
            for one, epoch, value in zip(curves["phase"], curves["epoch"], curves.get(name, []), strict=False)
            if one == phase and value is not None
        ]
        if points:
            xs, ys = zip(*points, strict=True)
            mode = "lines" if len(points) > 40 else "lines+markers"
            trace = go.Scatter(x=xs, y=ys, name=title, mode=mode, line=look, marker={"size": 4})
            figure.add_trace(trace, row=row, col=1)
    figure.update_xaxes(title_text="epoch", row=3, col=1)
    figure.update_yaxes(tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text="loss", rangemode="tozero", row=2, col=1)
    figure.update_yaxes(title_text="α" if weight == "alpha" else "λ", rangemode="tozero", nticks=4, row=3, col=1)
    figure.update_layout(
        height=480, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": 1.12},
        hovermode="x unified",
    )  # fmt: skip
    return figure


def report(project: Project, record: RoundRecord) -> None:
    """Show what a complete round reached, how that was measured, and whether it is in force."""
    found = record.report or {}
    verdict = found.get("verdict") or {}
    if verdict:
        (st.success if verdict.get("promoted") else st.warning)(state.plain(verdict.get("reason", "")))
    heldout, baseline = found.get("heldout") or {}, found.get("baseline")
    cells = st.columns(4)
    for cell, title, figures in ((cells[0], "Held-out accuracy", heldout), (cells[1], "Supervised baseline", baseline)):
        cell.metric(title, accuracy(figures), help=how(figures or {}))
        cell.caption(interval(figures))
    truth = project.true_accuracy(record.number)
    if truth is not None and truth.n:
        cells[2].metric(
            "True accuracy",
            f"{truth.accuracy:.2%}",
            help=f"{truth.correct:,} of {truth.n:,} unlabeled images right, by labels hidden at import. Neither "
            "training nor calibration nor the choice of rounds ever saw them.",
        )
        cells[2].caption(f"{truth.n:,} hidden labels")
    cells[3].metric("Time", duration(found.get("seconds")), help=f"{found.get('seconds_per_epoch', 0):.2f} s an epoch")


def accuracy(found: dict[str, Any] | None) -> str:
    """Return an accuracy as a percentage."""
    return f"{found['accuracy']:.1%}" if found and found.get("n") else "–"


def interval(found: dict[str, Any] | None) -> str:
    """Return the interval of an accuracy and the number of labels behind it."""
    if not found or not found.get("n"):
        return "not run"
    return f"95% interval {found['low']:.1%} to {found['high']:.1%}, {found['n']:,} labels"


def how(found: dict[str, Any]) -> str:
    """Return how an accuracy was measured."""
    if not found or not found.get("n"):
        return "There is no held-out set."
    return (
        f"{found['correct']} of {found['n']} held-out labeled images right; 95% interval ({found['method']}). They "
        "were never trained on; the temperature of the confidences is fitted on them, which leaves the accuracy "
        "as it is."
    )


def duration(seconds: Any) -> str:
    """Return seconds in words: 75 → 1:15 min."""
    if not isinstance(seconds, int | float):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _number(value: Any, pattern: str) -> str:
    return pattern.format(value) if isinstance(value, int | float) else "–"
