"""The goal on a page: set it, see where the labels stand and the way to it, and take the next step."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from app import state
from app.components.lock import REASON, writing
from app.goal_words import goal_words, next_words, source_words, span_words, standing_words, step_words
from app.server.workbench import OpenProject
from app.source_words import BRIEF
from engine.errors import StarlingError
from engine.percent import percent
from engine.project.quality.goal import PATIENCE
from engine.project.review.ref import QueueRef
from engine.quality.standing import SHOWN
from engine.records.goal import Goal, GoalReport, GoalStanding

Draw = Callable[[OpenProject, GoalReport], None]
SOON = 1.0
"""Seconds after which a page looks again for a report that is being worked out."""
REVIEW, TRAIN = "pages/review_labels.py", "pages/train_rounds.py"
EXPORT, QUALITY = "pages/export_dataset.py", "pages/check_quality.py"
SCOPES = {False: "over all labels", True: "in every class"}
ABOUT = (
    "“Wrong” is what a person who looks at the image would change. The goal is reached when an audit has shown it: "
    "labels are frozen, images are drawn at random from all of them and asked blind. Looking at the doubtful ones "
    "first makes the audit shorter."
)


def goal_tab(opened: OpenProject) -> None:
    """Draw the tab: the goal, the standing, the way, the next step."""
    _form(opened)
    _follow(opened, _whole)


def goal_line(opened: OpenProject, where: str) -> None:
    """Draw where the labels stand and by source, the way to the goal and the button of the next step.

    It is worked out once for all pages, until a label, the round, the audit or the goal changes.

    Args:
        opened: the project.
        where: the page it stands on: review, train, export or import.
    """

    def line(opened: OpenProject, report: GoalReport) -> None:
        words, button = st.columns([5, 2], vertical_alignment="center")
        goal, following = state.plain(goal_words(report.goal)), state.plain(next_words(report))
        with words:
            if report.reached:
                st.success(following)
                st.caption(_stands(report.standing))
            else:
                st.caption(f"Goal: {goal}. {_stands(report.standing)} {following}")
        if report.step.kind != where:  # it is this page's own
            with button:
                _button(opened, report, where)

    _follow(opened, line)


def reached_line(opened: OpenProject, where: str) -> bool:
    """Draw the line where the goal is reached, and return whether it is: then nothing more needs to be asked."""
    report, fresh = opened.project.goals.report()
    reached = fresh and report is not None and bool(report.reached)
    if reached:
        goal_line(opened, where)
    return reached


def _follow(opened: OpenProject, draw: Draw) -> None:
    """Draw a report; while one is being worked out, the last one, and look again soon."""
    _, fresh = opened.project.goals.report()
    st.fragment(_drawn, run_every=None if fresh else SOON)(opened, draw, fresh)


def _drawn(opened: OpenProject, draw: Draw, was_fresh: bool) -> None:
    page, failed = state.get("goal_page"), state.get("goal_failed")
    state.forget("goal_page")
    state.forget("goal_failed")
    if page is not None:  # a step that was begun changes what its own button says, so it cannot ask whether it was hit
        st.switch_page(page)
    if failed is not None:
        state.show_error(failed)
    try:
        report, fresh = opened.project.goals.report(PATIENCE if was_fresh else 0.0)
    except StarlingError as error:
        state.show_error(error)
        return
    if fresh and not was_fresh:
        st.rerun()
    if report is None:
        st.caption("How the labels stand is being worked out.")
        return
    draw(opened, report)
    if not fresh:
        st.caption("Labels have changed since; it is being worked out anew.")


def _form(opened: OpenProject) -> None:
    """Draw the goal to be set."""
    goal = opened.project.goals.goal()
    presets = {"goal_rate": 100 * goal.rate, "goal_level": 100 * goal.level, "goal_scope": goal.per_class}
    for widget, value in presets.items():
        state.preset(widget, value)
    with st.form("goal_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        rate = st.number_input("At most % wrong", 0.0, 99.0, step=0.5, format="%.2f", key="goal_rate", help=ABOUT)
        level = st.number_input("% sure", 50.5, 99.9, step=0.5, format="%.1f", key="goal_level")
        scope = st.selectbox("Of", list(SCOPES), format_func=lambda one: SCOPES[one], key="goal_scope")
        wanted = st.form_submit_button("Set goal", key="set_goal", **writing(opened))
    if not wanted:
        return
    try:
        opened.project.goals.set(Goal(round(rate / 100, 6), round(level / 100, 6), scope), state.actor())
    except StarlingError as error:
        state.show_error(error)
        return
    st.rerun()


def _whole(opened: OpenProject, report: GoalReport) -> None:
    st.markdown(f"**Goal: {state.plain(goal_words(report.goal))}**")
    st.markdown(state.plain(standing_words(report.standing)))
    if report.reached:
        st.success(f"Reached: {state.plain(report.reached)}")
    elif report.way is not None:
        st.markdown(f"Plan: {state.plain(next_words(report))}")
    elif report.why:
        st.info(state.plain(report.why))
    _button(opened, report, "tab", primary=True)
    if report.standing.by_source:
        st.dataframe(_sources(report.standing), hide_index=True, key="goal_sources")
        st.caption(state.plain(_people(report.standing)))


def _stands(standing: GoalStanding) -> str:
    """Say how many labels are wrong now, and of which sources."""
    sources = f" By source: {source_words(standing)}." if len(standing.by_source) > 1 else ""
    return state.plain(f"{standing_words(standing)}{sources}")


def _sources(standing: GoalStanding) -> pd.DataFrame:
    rows = [
        {
            "Labels": BRIEF[one.source], "How many": one.labels, "Looked at": one.looked,
            "Expected wrong": percent(one.wrong / one.labels),
            "By the audit": "–" if one.low is None or one.high is None else span_words(one.low, one.high, one.labels),
        }
        for one in sorted(standing.by_source, key=lambda one: -one.wrong / one.labels)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _people(standing: GoalStanding) -> str:
    """Say what is known of the labels that people gave, and of images without any."""
    asked = standing.people_asked
    supposed = f"Labels that a person looked at are taken to be wrong in {percent(standing.people)}"
    text = f"{supposed}, a guess: none of them was asked again yet."
    if asked:
        labels = "label that a person gave was" if asked == 1 else "labels that people gave were"
        text = f"{supposed}, a guess: {asked:,} {labels} asked again, too few to say how often people err."
    if not standing.people:
        text = "Labels that a person looked at before the freeze are taken as right, as chosen for this audit."
    if asked >= SHOWN:
        text = f"People are wrong in about {percent(standing.people)} of their labels, by {asked:,} asked again."
    if standing.blank:
        images = "image has" if standing.blank == 1 else "images have"
        text += f" {standing.blank:,} {images} neither label nor prediction and are not counted."
    return text


def _page_of(report: GoalReport) -> str:
    return {"train": TRAIN, "export": EXPORT}.get(report.step.kind, REVIEW)


def _button(opened: OpenProject, report: GoalReport, where: str, *, primary: bool = False) -> None:
    """Draw the button of the next step."""
    locked = report.step.kind == "freeze" and bool(opened.read_only)
    st.button(
        step_words(report.step), key=f"goal_step_{where}", type="primary" if primary else "secondary",
        on_click=_begin, args=(opened, report), disabled=locked, help=REASON if locked else None,
    )  # fmt: skip


def _begin(opened: OpenProject, report: GoalReport) -> None:
    """Do what a step begins with, and let the review page ask what it is about; widgets want that before any page."""
    if report.step.kind == "look":
        state.take_queue(QueueRef("doubtful"))
    elif report.step.kind == "label":
        state.take_queue(QueueRef("unreviewed"))
    elif report.step.kind == "audit":
        found = opened.project.audits.opened()
        if found is not None:
            state.take_queue(QueueRef.of_audit(found.number))
    elif report.step.kind == "freeze":
        goal, before = report.goal, opened.project.audits.opened()
        try:
            if before is not None:  # the goal cannot be reached with it any more, as the page says
                opened.project.audits.close(before.number)
            found = opened.project.audits.freeze(rate=goal.rate, alpha=round(1.0 - goal.level, 9), actor=state.actor())
        except StarlingError as error:
            state.put("goal_failed", error)
            return
        state.take_queue(QueueRef.of_audit(found.number))
    state.put("goal_page", _page_of(report))
