"""The tab "Is another round worth it?": the learning curve, and what going on would cost and correct."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import training_views
from app.components.quality.words import chart_text, minutes
from app.server.workbench import OpenProject
from engine.groups import FEW_GROUPS
from engine.percent import percent, short
from engine.project import options
from engine.quality import scale
from engine.records.quality import Between, CurvePoint, Outlook

NEXT = 100


def outlook_tab(opened: OpenProject) -> None:
    """Draw the tab."""
    wanted = min(max(round(100 * (1 - opened.project.goals.goal().rate), 1), 50.0), 99.9)
    least = min(95.0, wanted)
    state.preset("outlook_target", max(least, state.get("outlook_target", wanted)))
    target = st.slider(
        "Share of right labels to reach, over all images", least, 99.9, step=0.1, format="%.1f %%", width=420,
        key="outlook_target",
    )  # fmt: skip
    state.put("outlook_target", target)
    outlook = opened.project.measured.outlook(target=round(float(target) / 100, 4), next_count=NEXT)
    if outlook.advice:
        st.info(state.plain(outlook.advice), icon=":material/lightbulb:")
    _figures(outlook)
    st.subheader("Learning curve")
    measured = [point for point in outlook.curve if point.accuracy.n >= scale.SHARE]
    if measured and measured[-1].accuracy.few:
        st.caption(f"There is no curve with fewer than {FEW_GROUPS} scenes: it would show chance.")
        return
    if not measured:
        st.caption(f"No round's accuracy is measured by {scale.SHARE} random images yet, so there is no curve.")
        return
    st.plotly_chart(curve_figure(measured), key="curve", config={"displaylogo": False})
    few = " One point is no curve: a second round would show the way." if len(measured) == 1 else ""
    st.caption(
        "Accuracy of each complete round by the labels it trained on, with its exact 95 % interval: all on "
        "the random images that were asked blind so far, but for those a round had learned from. Whether one round is "
        f"better than another is told under Accuracy.{few}"
    )


def _figures(outlook: Outlook) -> None:
    cells = st.columns(4)
    corrections, each = outlook.next_corrections, outlook.seconds_each
    cells[0].metric(
        f"Corrections in the next {outlook.next_count:,}", "–" if corrections is None else f"{corrections:,.0f}",
        help="Expected wrong predictions among the least confident images that are undecided.",
    )  # fmt: skip
    pace = None if each is None else each * outlook.next_count / 60
    cells[1].metric(f"Time for the next {outlook.next_count:,}", minutes(pace))
    cells[1].caption("no pace measured yet" if each is None else f"at the measured {each:.1f} s each")
    left = outlook.decisions_left
    cells[2].metric(f"Decisions left to {short(outlook.target)}", "–" if left is None else f"{left:,}")
    cells[3].metric("Time for those", minutes(outlook.minutes_left))
    if outlook.scale is None:
        st.caption("No round is in force yet: nothing says how many predictions are wrong.")
        return
    note = state.plain(outlook.scale.note)
    if outlook.errors_left is None:
        st.caption(f"{note} What is wrong and what is left is estimated from {scale.TENS} measured answers on.")
        return
    cells[0].caption(_between(outlook.next_between))
    cells[2].caption("cannot be said" if left is None else _between(outlook.decisions_between))
    st.caption(
        f"Expected wrong predictions among all undecided images: {outlook.errors_left:,.0f} "
        f"({_between(outlook.errors_between)}). Decisions count from the least confident on; intervals hold in 95 of "
        f"100 cases as far as recalibrated confidences go; the measured set and audits measure. {note}"
    )


def _between(interval: Between | None) -> str:
    return "" if interval is None else f"{interval.low:,} to {interval.high:,}"


def curve_figure(points: Sequence[CurvePoint]) -> go.Figure:
    """Return accuracy by number of labels trained on, with intervals; no line where rounds share a number."""
    ordered = sorted(points, key=lambda point: (point.labels, point.round))
    values = [point.accuracy.value for point in ordered]
    figure = go.Figure(
        go.Scatter(
            x=[point.labels for point in ordered],
            y=values,
            error_y={
                "type": "data", "symmetric": False, "color": training_views.GREY,
                "array": [point.accuracy.high - value for point, value in zip(ordered, values, strict=True)],
                "arrayminus": [value - point.accuracy.low for point, value in zip(ordered, values, strict=True)],
            },
            mode="lines+markers" if len({point.labels for point in ordered}) == len(ordered) else "markers",
            line={"color": training_views.BLUE},
            marker={"size": 9},
            text=[_hover(point) for point in ordered],
            hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="labels trained on", rangemode="tozero")
    figure.update_yaxes(title_text="accuracy", tickformat=".3~%")
    figure.update_layout(height=360, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _hover(point: CurvePoint) -> str:
    accuracy = point.accuracy
    return (
        f"round {point.round}, {chart_text(options.title(point.algorithm))}: {percent(accuracy.value, 0)} "
        f"({percent(accuracy.low, 0)} to {percent(accuracy.high, 0)}), {point.labels:,} labels"
    )
