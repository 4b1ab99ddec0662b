"""The tab "Accuracy": what a round reached on the measured set, and how sure its predictions are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import training_views
from app.components.quality import confusion
from app.components.quality.by_class import classes_part
from app.components.quality.chosen_round import chosen_round
from app.components.quality.sureness import sureness_part
from app.components.quality.words import chart_text, some
from app.server.workbench import OpenProject
from engine.percent import percent, short
from engine.quality import scale
from engine.quality.reliability import MANY
from engine.records.quality import Reliability
from engine.records.rounds import RoundRecord, RoundReport

MARGINS = {"l": 10, "r": 10, "t": 10, "b": 10}


def accuracy_tab(opened: OpenProject) -> None:
    """Draw the tab."""
    record = chosen_round(opened)
    if record is None:
        return
    training_views.report(opened.project, record)
    report = record.report or RoundReport()
    _measured_set(opened, record)
    classes_part(opened, record)
    left, right = st.columns(2, gap="large")
    with left:
        confusion.confusion_part(opened, record)
    with right:
        _confidence(opened, record)
        st.subheader("Class balance")
        labeled = opened.project.store.counts().per_class
        st.plotly_chart(balance_figure(report, labeled), key="balance", config={"displaylogo": False})
    _footer(opened, record)


def _measured_set(opened: OpenProject, record: RoundRecord) -> None:
    """Say what the accuracy stands on and how it gets narrower; from 20 answers on, what holds of the undecided."""
    test = opened.project.measured.on_test_split(record.number)
    if test.n:
        st.markdown(
            f"On {test.how} {test.right:,} of {test.n:,} were predicted right ({percent(test.value)}, 95 % interval "
            f"{percent(test.low)} to {percent(test.high)}). Its labels are never trained on. It is no random sample of "
            "all images, and its labels are as they came."
        )
    estimate = opened.project.measured.accuracy(record.number)
    if estimate.n < scale.SHARE:
        st.info(
            "Nothing is known of the accuracy before 20 images drawn at random were answered, without a prediction in "
            "sight. On the Review page one answer in five is about such an image; “Random images, asked blind” there "
            "brings them alone."
        )
        return
    st.markdown(
        f"Of {some(estimate.n, 'random image')} {estimate.right:,} were predicted right, 95 % interval "
        f"{percent(estimate.low)} to {percent(estimate.high)}: {state.plain(estimate.how)}."
    )
    rest = opened.project.measured.undecided_right(record.number)
    if rest is not None:
        slips, asked = opened.project.measured.slips()
        labels = "label of people's that was" if asked == 1 else "labels of people's that were"
        known = f"as {asked:,} {labels} asked again let expect" if asked else "a guess, since none was asked again yet"
        st.markdown(
            f"Of the images that are still undecided about {percent(rest.value, 0)} are predicted right "
            f"({percent(rest.low, 0)} to {percent(rest.high, 0)}): as the random ones were, at like confidence, if "
            f"{short(round(slips.expected, 3))} of the answers were slips, {known}."
        )


def _confidence(opened: OpenProject, record: RoundRecord) -> None:
    """Say how confidences are written and what stands behind it; from enough measured answers draw the diagram."""
    st.subheader("Confidence")
    written = opened.project.measured.scale(record.number)
    st.markdown(state.plain(written.note))
    if written.n >= scale.WORDS:
        st.caption(
            f"On the logit scale a confidence is multiplied by {math.exp(written.b):.2f} and moved by {written.a:+.2f} "
            "before it is written; thresholds and exports use the number inside the model."
        )
    sureness_part(opened, record)
    before, after = opened.project.measured.reliability(record.number)
    if after.n < scale.PERCENT:
        st.info(
            f"A diagram of the share right by confidence needs {scale.PERCENT} random images asked blind; there "
            f"{'is' if after.n == 1 else 'are'} {after.n:,}."
        )
        return
    st.plotly_chart(reliability_figure(before, after), key="reliability", config={"displaylogo": False})
    st.markdown(diagram_words(before, after))
    st.caption(
        f"Before: {state.plain(before.how)}. After: {state.plain(after.how)}. A point above the dashed line was right "
        "more often than it said; larger points stand for more images."
    )


def diagram_words(before: Reliability, after: Reliability) -> str:
    """Return what a reliability diagram rests on; the calibration error where it is more than luck."""
    error = ""
    if after.n >= MANY:
        error = f"Expected calibration error **{percent(before.ece)}** before and **{percent(after.ece)}** after. "
    return f"{error}On {some(after.n, 'random image')} asked blind."


def reliability_figure(before: Reliability, after: Reliability) -> go.Figure:
    """Return the share right by confidence, before and after recalibration, against what it should be."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as it should be", hoverinfo="skip",
        line={"color": training_views.GREY, "dash": "dash"},
    )  # fmt: skip
    for one, name, colour in (
        (before, "before", training_views.ORANGE), (after, "after recalibration", training_views.BLUE),
    ):  # fmt: skip
        bins = [bin_ for bin_ in one.bins if bin_.n]
        figure.add_scatter(
            x=[bin_.confidence for bin_ in bins],
            y=[bin_.accuracy for bin_ in bins],
            customdata=[[bin_.low, bin_.high, bin_.n] for bin_ in bins],
            name=name,
            mode="lines+markers",
            line={"color": colour},
            marker={"size": _sizes([bin_.n for bin_ in bins])},
            hovertemplate="confidence %{customdata[0]:.0%} to %{customdata[1]:.0%}: %{y:.1%} of %{customdata[2]} right",
        )
    figure.update_xaxes(title_text="confidence", tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title_text="share right", tickformat=".0%", range=[0, 1.04])
    figure.update_layout(height=300, margin=MARGINS, legend={"orientation": "h", "y": 1.15})
    return figure


def _sizes(counts: Sequence[int]) -> list[float]:
    """Return marker sizes in pixels, larger for bins of more images."""
    most = max(counts, default=1)
    return [5 + 11 * (count / most) ** 0.5 for count in counts]


def balance_figure(report: RoundReport, labeled: Mapping[str, int]) -> go.Figure:
    """Return each class's share of the labels in force and of the pseudo-labels of a round's report."""
    classes = report.classes
    shown = [chart_text(name) for name in classes]
    given = np.array([labeled.get(name, 0) for name in classes], float)
    pseudo = np.array(report.histogram or [0] * len(classes), float)
    figure = go.Figure()
    for name, values in (("labels in force", given), ("pseudo-labels", pseudo)):
        figure.add_bar(x=shown, y=values / max(values.sum(), 1), name=name, customdata=values,
                       hovertemplate="%{x}: %{y:.1%} (%{customdata:.0f})<extra></extra>")  # fmt: skip
    figure.update_xaxes(type="category")
    figure.update_yaxes(tickformat=".0%")
    figure.update_layout(height=300, margin=MARGINS, barmode="group", legend={"orientation": "h", "y": 1.15})
    return figure


def _footer(opened: OpenProject, record: RoundRecord) -> None:
    report = record.report or RoundReport()
    counts, held = report.counts, report.heldout
    scenes = f" ({held.n:,} scenes of {held.images:,} labeled images, none of them trained on)" if held.grouped else ""
    st.caption(
        f"Round {record.number} trained on {counts.train:,} labeled and {counts.unlabeled:,} "
        f"unlabeled images and held {counts.heldout:,} out{scenes}; {report.epochs} epochs on "
        f"{state.plain(report.device)}, {report.peak_memory_mb:,.0f} MB at most."
    )
    if words := opened.project.groups.words():
        st.caption(state.plain(words))
