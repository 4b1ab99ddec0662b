"""What a round's teacher did: two plots of the paper on Meta Pseudo Labels, drawn of this round.

That it does not merely correct labels: accuracy on the labels trained on, of baseline, teacher and student, by epoch.
That it does not merely regularise: its distributions on chosen images at quarters of the student's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.images.thumbnails import thumbnail_bytes
from engine.project.opened import Project
from engine.rounds.folder.teacher import STEEPER, TeacherCourse

BLUE, ORANGE, GREEN, GREY = "#3b76d6", "#d97a1e", "#2f9e77", "#8a93a3"
BARS = 10
"""Classes shown at most: the most probable ones."""
LINES = (
    ("baseline", "train_accuracy", "supervised baseline", {"color": GREY, "dash": "dash"}),
    ("main", "teacher_train_accuracy", "teacher", {"color": GREEN}),
    ("main", "train_accuracy", "student", {"color": BLUE, "width": 3}),
    ("ablation", "train_accuracy", "student without feedback (h = 0)", {"color": ORANGE, "dash": "dash"}),
)


def has_teacher(curves: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether any epoch of the round reports a teacher's accuracy."""
    return any(value is not None for value in curves.get("teacher_train_accuracy", ()))


def training_accuracy(curves: Mapping[str, Sequence[Any]], number: int) -> None:
    """Draw the accuracy on the labels trained on, and say what it shows."""
    st.markdown("##### Not label correction: accuracy on the labels trained on")
    st.plotly_chart(training_accuracy_figure(curves), key=f"trained_{number}", config={"displaylogo": False})
    st.caption(
        "Of images as they are, by averaged weights. Training on the labels alone learns them by heart; a teacher that "
        "only corrected labels would hand them on, and the student would know them as well."
    )


def training_accuracy_figure(curves: Mapping[str, Sequence[Any]]) -> go.Figure:
    """Return a line each for baseline, teacher, student and the student without feedback, where they are recorded.

    A student's line begins where h was first measured: before, in Reduced Meta Pseudo Labels, the teacher is evaluated.

    Args:
        curves: columns phase, epoch and metrics, one row an epoch and phase.
    """
    figure = go.Figure()
    measured = zip(curves["epoch"], curves.get("h", ()), strict=False)
    begin = min((epoch for epoch, h in measured if h is not None), default=1)
    for phase, name, title, look in LINES:
        points = [
            (epoch, value)
            for one, epoch, value in zip(curves["phase"], curves["epoch"], curves.get(name, ()), strict=False)
            if one == phase and value is not None and (epoch >= begin or "student" not in title)
        ]
        if points:
            xs, ys = zip(*points, strict=True)
            mode = "lines" if len(points) > 40 else "lines+markers"
            figure.add_trace(go.Scatter(x=xs, y=ys, name=title, mode=mode, line=look, marker={"size": 4}))
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(tickformat=".0%", minallowed=0, maxallowed=1.02)
    figure.update_layout(
        height=260, margin={"l": 10, "r": 10, "t": 10, "b": 10}, hovermode="x unified",
        legend={"orientation": "h", "y": 1.03, "yanchor": "bottom"},
    )  # fmt: skip
    return figure


def course(project: Project, number: int) -> None:
    """Draw the teacher's distributions on chosen images at quarters of the student's training, and count changes."""
    found = project.results.teacher_course(number)
    if found is None:
        return
    st.markdown("##### Not only regularisation: what the teacher says of unlabeled images")
    st.markdown(words(found))
    classes = project.results.classes(number)
    shas = {item.id: item.sha256 for item in project.workspace.items()}
    for place, image_id in enumerate(found.ids.tolist()):
        picture, bars = st.columns([1, 9], vertical_alignment="center")
        picture.image(thumbnail_bytes(project.root, shas[image_id]), width=56)
        figure = course_figure(found.distributions[:, place], found.epochs, classes)
        bars.plotly_chart(figure, key=f"course_{number}_{image_id}", config={"displayModeBar": False})


def words(found: TeacherCourse) -> str:
    """Return in two sentences how many images flipped, and how many became steeper or flatter."""
    first, last = found.epochs[0], found.epochs[-1]
    return (
        f"From epoch {first} to {last} the student's gain h taught the teacher. Of {found.images:,} unlabeled images "
        f"that are followed, {found.flipped:,} changed their most probable class at least once; of "
        f"{found.steeper:,} the largest probability rose by more than {100 * STEEPER:.0f} points, of {found.flatter:,} "
        "it fell by as much. Regularisation alone would flatten them all and flip none."
    )


def course_figure(distributions: NDArray[np.float32], epochs: Sequence[int], classes: Sequence[str]) -> go.Figure:
    """Return one image's distributions, a panel of bars for each epoch; the most probable class is in blue.

    Args:
        distributions: (Q, K).
        epochs: Q numbers.
        classes: K names; the `BARS` that were ever most probable are shown, in their own order.
    """
    shown = np.sort(np.argsort(-distributions.max(0), kind="stable")[:BARS])
    titles = [f"epoch {epoch}" for epoch in epochs]
    figure = make_subplots(rows=1, cols=len(epochs), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.02)
    names = [classes[k] for k in shown.tolist()]
    for place, row in enumerate(distributions):
        colours = [BLUE if k == row.argmax() else GREY for k in shown.tolist()]
        hover = "%{x}: %{y:.1%}<extra></extra>"
        bars = go.Bar(x=names, y=row[shown], marker={"color": colours}, hovertemplate=hover)
        figure.add_trace(bars, row=1, col=place + 1)
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, 1], tickformat=".0%", nticks=3)
    figure.update_annotations(font={"size": 11})
    figure.update_layout(height=150, margin={"l": 10, "r": 10, "t": 24, "b": 10}, showlegend=False)
    return figure
