"""The tab "Accept by threshold": choose which predictions are good enough, audit them, accept the rest."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import training_views
from app.components.lock import writing
from app.components.quality import audits
from app.components.quality.by_class import warn_of_rare
from app.components.quality.chosen_round import chosen_round
from app.components.quality.words import chart_text, some
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.percent import at_least, at_most, percent
from engine.quality import audit
from engine.quality.betting import ALPHA, threshold
from engine.quality.standing import ASSUMED_MISS
from engine.records.quality import AcceptPreview, AcceptRule

TARGETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
WAYS = {
    "by_class": "One threshold a class, from an expected error",
    "global": "One threshold, from an expected error",
    "fixed": "One threshold, given",
}
GIVEN = "fixed"
ANSWERS = (20, 50, 100, 300)
"""Answers of which it is said what they could show."""


def accept_tab(opened: OpenProject) -> None:
    """Draw the tab."""
    audits.tell()
    running = opened.project.audits.opened()
    if running is not None and running.record.scope == "rule":
        audits.open_audit(opened, running)
    record = chosen_round(opened)
    if record is not None:
        rule = _rule(opened, record.number)
        preview = opened.project.audits.preview(rule)
        _preview(preview)
        warn_of_rare(opened, rule)
        _draw(opened, preview, busy=running is not None)
    audits.explanation()
    audits.past_audits(opened)


def _rule(opened: OpenProject, number: int) -> AcceptRule:
    """Draw the choice of thresholds and return the rule."""
    left, right = st.columns(2, gap="large")
    calibrated = opened.project.results.calibrated(number)
    ways = list(WAYS) if calibrated else [GIVEN]
    last = state.get("accept_way", ways[0])
    state.preset("accept_way", last if last in ways else ways[0], again=last not in ways)
    with left:
        way = st.radio("Accept a prediction by", ways, format_func=lambda one: WAYS[one], key="accept_way")
        if not calibrated:
            st.caption(
                "No label was held out in this round, so its confidences are not calibrated and promise no share of "
                "errors. Give a threshold; the audit measures the errors."
            )
    state.put("accept_way", way)
    with right:
        if way == GIVEN:
            state.preset("accept_threshold", state.get("accept_threshold", 0.95))
            threshold = st.slider("Least confidence", 0.5, 1.0, step=0.005, format="%.3f", key="accept_threshold")
            state.put("accept_threshold", threshold)
            return opened.project.audits.rule_at(number, float(threshold))
        state.preset("accept_target", state.get("accept_target", 0.01))
        target = st.select_slider(
            "Expected share of wrong labels, at most", TARGETS, format_func=percent, key="accept_target",
            help="The smallest thresholds are taken with which the confidences expect no more errors than this"
            + (", in each class by itself." if way == "by_class" else "."),
        )  # fmt: skip
        state.put("accept_target", target)
    return opened.project.audits.rule_for(number, float(target), way == "by_class")


def _preview(preview: AcceptPreview) -> None:
    """Show how many predictions the rule takes, how many are expected to be wrong, and of which classes."""
    share = preview.count / preview.undecided if preview.undecided else 0.0
    cells = st.columns(3)
    cells[0].metric("Would be accepted", f"{preview.count:,}")
    cells[0].caption(f"{percent(share)} of {some(preview.undecided, 'undecided image')}")
    wrong = preview.expected_errors
    cells[1].metric("Expected wrong among them", "–" if wrong is None else f"{wrong:,.1f}")
    expected = "too few measured answers to say"
    if wrong is not None and preview.errors_between is not None:
        share_wrong = percent(wrong / preview.count) if preview.count else "–"
        expected = (
            f"{share_wrong}; {preview.errors_between.low:,} to {preview.errors_between.high:,} in 95 of 100 cases"
        )
    cells[1].caption(f"{expected}; an audit measures it")
    usable = [value for value in preview.rule.thresholds.values() if value <= 1]
    cells[2].metric("Thresholds", _span(usable))
    none = [name for name, value in preview.rule.thresholds.items() if value > 1]
    if none:
        names = f"{state.plain(', '.join(none[:5]))}{' and others' * (len(none) > 5)}"
        cells[2].caption(f"none taken in {names}: nothing undecided there is sure enough")
    if preview.count:
        st.plotly_chart(per_class_figure(preview), key="accept_classes", config={"displaylogo": False})


def _span(values: list[float]) -> str:
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{low:.3f}" if high - low < 0.0005 else f"{low:.3f} to {high:.3f}"


def per_class_figure(preview: AcceptPreview) -> go.Figure:
    """Return how many predictions of each class would be accepted, with the class's threshold in the hover text."""
    names = list(preview.rule.thresholds)
    figure = go.Figure(
        go.Bar(
            x=[chart_text(name) for name in names],
            y=[preview.per_class.get(name, 0) for name in names],
            customdata=[_span([preview.rule.thresholds[name]]) if preview.rule.thresholds[name] <= 1 else "none taken"
                        for name in names],
            marker={"color": training_views.BLUE},
            hovertemplate="%{x}: %{y:,} accepted, threshold %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="would be accepted")
    figure.update_layout(height=240, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _forecast(opened: OpenProject, preview: AcceptPreview) -> None:
    """Say which bounds an audit of these can show, so that its length can be judged before it begins."""
    place = 1 + max((one.ordinal or 0 for one in opened.project.audits.records()), default=0)
    counts = [count for count in ANSWERS if count < preview.count] or [preview.count]
    ends = ", ".join(
        f"{at_most(audit.none_wrong(preview.count, count, threshold(audit=place), ASSUMED_MISS))} after {count:,}"
        for count in counts
    )
    st.caption(f"What answers can show where none is wrong: at most {ends} ({at_least(1 - ALPHA)} sure).")


def _draw(opened: OpenProject, preview: AcceptPreview, *, busy: bool) -> None:
    """Offer to begin an audit of exactly the images the rule takes."""
    if not preview.count:
        if not preview.undecided:
            st.info("Every image this round has seen is decided: nothing is left to accept.")
        else:
            st.info(
                "With these thresholds no undecided prediction would be accepted. Allow more errors, or train again."
            )
        return
    wanted = st.button(
        f"Freeze these {preview.count:,} and audit them", type="primary", icon=":material/fact_check:",
        key="draw_audit", **writing(opened, disabled=busy),
    )  # fmt: skip
    _forecast(opened, preview)
    if busy:
        st.caption("One audit at a time: close the open one first, its answers stay.")
    if not wanted:
        return
    try:
        found = opened.project.audits.start_rule(preview.rule, actor=state.actor())
    except StarlingError as error:
        state.show_error(error)
        return
    audits.begun(found)
