"""How a round is shown: its state, its progress, its curves, its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from app import state
from engine.groups import FEW_GROUPS
from engine.percent import percent
from engine.project.opened import Project
from engine.quality.measured_set import ENOUGH_EVIDENCE
from engine.quality.scale import SHARE
from engine.quality.stopping import Comparison
from engine.records.quality import Estimate
from engine.records.rounds import AblationFigures, RoundRecord, RoundReport

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
    "interrupted": "orange", "finished": "gray", "promoted": "gray", "held_back": "orange",
}  # fmt: skip
BLUE, ORANGE, GREEN, GREY = "#3b76d6", "#d97a1e", "#2f9e77", "#8a93a3"
PHASES = {
    "preparing": "Preparing the images",
    "baseline": "The labels alone",
    "ablation": "Without feedback (h = 0)",
    "start": "Teaching the labels of the set",
    "main": "Training",
    "finishing": "Predicting all images",
}
WEIGHTS = {
    "threshold": ("Threshold", "threshold, confidence from which an image counts"),
    "alpha": ("α", "α, weight of the pseudo-labels"),
    "lambda": ("λ", "λ, weight of the agreement of both views"),
}
"""What decides how much the unlabeled images count, by the metric's name: a sign and a title."""
CHOOSE = (
    "Labels that the round keeps out of its training. They choose and calibrate within it and are those there were, "
    "not a random choice: they measure no accuracy. Random images, asked blind, do."
)


def state_word(record: RoundRecord, in_force: int | None) -> str:
    """Return a round's state as shown; of the promoted ones only the last is in force."""
    word = "in force" if record.number == in_force else STATES[record.state]
    return f"live, {word}" if record.live else word


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


def fits(curves: dict[str, list[Any]]) -> None:
    """Say how a live round came about, which has fits in place of epochs."""
    labels, last = curves["labels"], curves["seconds"][-1]
    if len(labels) == 1:
        st.markdown(f"One fit, on {labels[0]:,} labels, in {last:.2f} s.")
        return
    st.markdown(
        f"{len(labels):,} fits, from {labels[0]:,} to {labels[-1]:,} labels; the last took {last:.2f} s. The map shows "
        "how the pseudo-labels moved with them."
    )


def progress(record: RoundRecord) -> None:
    """Draw how far an active round is."""
    now = record.progress
    phase = PHASES.get(str(now.get("phase")), "Waiting for the worker")
    epoch, epochs = now.get("epoch") or 0, now.get("epochs") or 0
    step, steps = now.get("step") or 0, now.get("steps") or 0
    done = (max(epoch - 1, 0) + (step / steps if steps else 0.0)) / epochs if epochs else 0.0
    text = phase + (f" · epoch {epoch} of {epochs}, step {step} of {steps}" if epochs else "")
    if now.get("phase") == "preparing":
        done = step / steps if steps else 0.0
        if now.get("message"):
            text += f" · {state.plain(now['message'])}" + (f", {step:,} of {steps:,}" if steps > 1 else "")
    st.progress(min(max(done, 0.0), 1.0), text)
    metrics = now.get("metrics") or {}
    cells = st.columns([11, 8, 12, 9, 13])
    cells[0].metric("Steps per second", _number(now.get("steps_per_second"), "{:.1f}"))
    cells[1].metric("Time left", duration(now.get("eta_seconds")))
    cells[2].metric("Held-out labels right", _right(metrics), help=CHOOSE)
    weight = weight_of(metrics)
    if weight is None:
        cells[3].metric("Training loss", _number(metrics.get("loss"), "{:.3f}"))
    else:
        cells[3].metric(WEIGHTS[weight][0], _number(metrics.get(weight), "{:.2f}"))
    cells[4].metric("Pseudo-labels used", _share(metrics.get("used_share"), 0))


def curves_figure(curves: dict[str, list[Any]]) -> go.Figure:
    """Return the share of held-out labels right and of pseudo-labels used, the losses, their weight and h, by epoch.

    Args:
        curves: columns phase, epoch and metrics, one row an epoch and phase.
    """
    weight = weight_of({name: next((v for v in values if v is not None), None) for name, values in curves.items()})
    sign, weight_title = WEIGHTS.get(weight or "", ("", ""))
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.5, 0.3, 0.2],
        specs=[[{}], [{}], [{"secondary_y": True}]],
    )  # fmt: skip
    for phase, name, title, row, look in (
        ("main", "heldout_accuracy", "held-out labels right, no accuracy", 1, {"color": BLUE, "width": 3}),
        ("baseline", "heldout_accuracy", "labels alone", 1, {"color": GREY, "dash": "dash"}),
        ("ablation", "heldout_accuracy", "without feedback (h = 0)", 1, {"color": ORANGE, "dash": "dash"}),
        ("main", "used_share", "share of pseudo-labels used", 1, {"color": GREEN, "dash": "dot"}),
        ("main", "loss", "training loss", 2, {"color": ORANGE}),
        ("main", "heldout_loss", "held-out loss", 2, {"color": BLUE, "dash": "dot"}),
        ("main", weight or "", weight_title, 3, {"color": GREEN}),
        ("main", "h", "h, the student's gain from a step", 3, {"color": ORANGE, "dash": "dot"}),
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
            figure.add_trace(trace, row=row, col=1, secondary_y=name == "h" if row == 3 else None)
    figure.update_xaxes(title_text="epoch", row=3, col=1)
    figure.update_yaxes(tickformat=".0%", minallowed=0, maxallowed=1.02, row=1, col=1)
    figure.update_yaxes(title_text="loss", rangemode="tozero", row=2, col=1)
    figure.update_yaxes(title_text=sign, rangemode="tozero", nticks=4, row=3, col=1, secondary_y=False)
    figure.update_yaxes(nticks=4, showgrid=False, row=3, col=1, secondary_y=True)
    figure.update_layout(
        height=480, margin={"l": 10, "r": 10, "t": 10, "b": 10}, hovermode="x unified",
        legend={"orientation": "h", "y": 1.03, "yanchor": "bottom"},
    )  # fmt: skip
    return figure


def weight_of(metrics: Mapping[str, Any]) -> str | None:
    """Return which of `WEIGHTS` a round reports, None for neither."""
    return next((name for name in WEIGHTS if metrics.get(name) is not None), None)


def report(project: Project, record: RoundRecord) -> None:
    """Show what a complete round reached, how that was measured, and whether it is in force."""
    outcome = record.report or RoundReport()
    cells = st.columns([3, 2, 1])
    with cells[0]:
        measured(project.measured.accuracy(record.number))
    truth = project.results.true_accuracy(record.number)
    if truth is not None and truth.n:
        cells[1].metric(
            "True accuracy",
            percent(truth.accuracy, 2),
            help=f"{truth.correct:,} of {truth.n:,} unlabeled images right, by labels hidden at import. Neither "
            "training nor calibration nor the choice of rounds ever saw them.",
        )
        cells[1].caption(f"{truth.n:,} hidden labels")
    cells[2].metric("Time", duration(outcome.seconds), help=f"{outcome.seconds_per_epoch:.2f} s an epoch")
    if outcome.verdict.reason:
        (st.info if outcome.verdict.promoted else st.warning)(state.plain(outcome.verdict.reason))
    before = previous_in_force(project, record.number)
    if before is not None:
        st.markdown(compared(record.number, before, project.measured.compare(record.number, before)))
    if outcome.heldout.n:
        st.caption(state.plain(within(outcome)), help=CHOOSE)
    if outcome.ablation:
        st.markdown(difference(outcome.ablation))


def measured(estimate: Estimate) -> None:
    """Show a round's accuracy on the measured set, from 20 answers on; before, how many are still to be given."""
    enough = estimate.n >= SHARE
    share = f"{estimate.right:,} of {estimate.n:,} scenes" if estimate.few else percent(estimate.value)
    st.metric(
        "Measured accuracy",
        share if enough else "–",
        help="Of images drawn at random from all, asked without a prediction and never trained on. One answer in five "
        "on the Review page is about such an image; “Random images, asked blind” there brings them alone.",
    )
    if enough:
        span = f"95 % interval {percent(estimate.low)} to {percent(estimate.high)}"
        grouped = f" of {estimate.n:,} scenes ({estimate.images:,} images)" if estimate.images > estimate.n else ""
        st.caption(f"{estimate.right:,} of {estimate.n:,} random images{grouped}, {span}")
    else:
        st.caption(f"not measured yet: {estimate.n} of {SHARE} random images answered")


def previous_in_force(project: Project, number: int) -> int | None:
    """Return the round that was in force before this one; None where there was none that can still be read."""
    earlier = [one.number for one in project.results.complete() if one.number < number and one.state == "promoted"]
    return max(earlier, default=None)


def compared(number: int, other: int, comparison: Comparison) -> str:
    """Return in a sentence whether a round is better than another; only strong evidence says so."""
    if comparison.n < SHARE:
        return f"Whether round {number} is better than round {other} is not measured yet."
    if comparison.few:
        return f"Which round is better cannot be told with fewer than {FEW_GROUPS} scenes."
    counts = (
        f"On the same {comparison.n:,} random images round {number} alone is right on {comparison.only_this:,}, "
        f"round {other} alone on {comparison.only_other:,}"
    )
    evidence = f"evidence {comparison.evidence:.3g} of the {ENOUGH_EVIDENCE:.0f} that it takes"
    if not comparison.told_apart:
        return f"{counts}: they cannot be told apart ({evidence})."
    better = comparison.only_this > comparison.only_other
    return f"{counts}: round {number} is **{'better' if better else 'worse'}** ({evidence})."


def within(outcome: RoundReport) -> str:
    """Return in a sentence what the labels say that the round held out, which is no accuracy of the rest."""
    held = outcome.heldout
    told = [f"{held.correct:,} of {held.n:,} held-out {'scenes' if held.grouped else 'labels'} right"]
    if held.grouped:
        told[0] += f" ({held.images:,} labels, one of each scene counted)"
    if outcome.baseline is not None and outcome.baseline.n:
        told.append(f"{outcome.baseline.correct:,} by the labels alone")
    if outcome.ablation is not None and outcome.ablation.heldout.n:
        told.append(f"{outcome.ablation.heldout.correct:,} without feedback (h = 0)")
    return f"Within the round: {', '.join(told)}; chosen by them, so no measure of accuracy."


def difference(ablation: AblationFigures) -> str:
    """Return in a sentence what was counted with and without feedback on the held-out images.

    It shows no effect either way: the images choose within the round, and are of one split and one seed.

    Args:
        ablation: with its paired counts.
    """
    n, gained, lost = ablation.heldout.n, ablation.only_main, ablation.only_ablation
    if not n:
        return "Whether the feedback changed anything cannot be said: no image was held out."
    if ablation.heldout.few:
        return f"Whether the feedback changed anything cannot be told with fewer than {FEW_GROUPS} scenes."
    counts = (
        f"Of the same {n:,} held-out images {ablation.both_right:,} were right with and without feedback, "
        f"{gained:,} only with it, {lost:,} only without it"
    )
    return f"{counts}. These images choose within the round: what the feedback does for others, they do not show."


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


def _right(metrics: Mapping[str, Any]) -> str:
    """Return how many held-out labels are right, as a count; – where none are held out."""
    share, labels = metrics.get("heldout_accuracy"), metrics.get("heldout_labels")
    return f"{round(share * labels):,} of {labels:,.0f}" if share is not None and labels else "–"


def _share(value: float | None, digits: int | None = None) -> str:
    return "–" if value is None else percent(value, digits)


def _number(value: Any, pattern: str) -> str:
    return pattern.format(value) if isinstance(value, int | float) else "–"
