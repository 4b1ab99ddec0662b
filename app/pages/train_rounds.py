"""Train: start a round, watch it, cancel or resume it, and read what came of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.components import round_choice, teacher_views, training_views
from app.components.live_labels import live_labels
from app.components.lock import writing
from app.components.quality.gallery import review_queue
from app.components.quality.goal import goal_line
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.project import options
from engine.project.review.ref import QueueRef
from engine.quality.measured_set import EVERY
from engine.quality.scale import SHARE
from engine.records.rounds import LIVE, RESUMABLE_STATES, RoundRecord


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    live_labels(opened)
    goal_line(opened, "train")
    left, right = st.columns([2, 3], gap="large")
    with left:
        _start(opened)
    with right:
        st.subheader("Rounds")
        rounds = opened.project.store.rounds()
        if not rounds:
            st.info("No round yet. Its progress, curves and report will be shown here.")
            recommendation = opened.project.training.recommendation()
            if recommendation is not None:
                st.markdown("##### How training changes the images")
                round_choice.augmentation(opened, recommendation.train, "recommended")
            return
        _round(opened, rounds)


def _start(opened: OpenProject) -> None:
    active = opened.project.store.active_round()
    if opened.live is not None and opened.project.live.wanted:
        st.caption(
            "Live labels fit such a model after every ten answers already. Train a round to compare, or for another "
            "algorithm; its result then stays in force until you go on with live labels."
        )
    chosen = round_choice.recommended(opened, active=active is not None)
    if active is None:
        _measure_first(opened)
    else:
        st.caption(f"Round {active.number} is {active.state}; one round runs at a time.")
    message = st.container()
    chosen = round_choice.own(opened, active=active is not None) or chosen
    if chosen is not None:
        with message:
            round_choice.start(opened, chosen)


def _measure_first(opened: OpenProject) -> None:
    """Offer the random images that measure a round from its start, where they are a small part of all."""
    missing = SHARE - len(opened.project.measured.measured_ids())
    if missing > 0 and len(opened.project.store.image_ids()) >= EVERY * SHARE:
        st.caption(
            f"Nothing tells yet how good a round is. {missing} random images, asked blind, measure it from its start; "
            "it never learns from them."
        )
        answers = "answer" if missing == 1 else "answers"
        review_queue(QueueRef.parse("measured"), "measure_first", f"Measure first: {missing} blind {answers}")


def _round(opened: OpenProject, rounds: list[RoundRecord]) -> None:
    numbers = [record.number for record in reversed(rounds)]
    states = {record.number: record for record in rounds}
    shown, in_force = state.get("round"), opened.project.results.in_force()
    chosen = st.selectbox(
        "Round",
        numbers,
        label_visibility="collapsed",
        index=numbers.index(shown) if shown in numbers else 0,
        format_func=lambda n: (
            f"Round {n} · {options.title(states[n].algorithm)} · {training_views.state_word(states[n], in_force)}"
        ),
    )
    state.put("round", chosen)
    record = states[chosen]
    st.fragment(_live, run_every=1.0 if record.active else None)(opened, chosen, record.state)


@state.guarded
def _live(opened: OpenProject, number: int, shown_state: str) -> None:
    record = opened.project.store.round(number)
    if record.state != shown_state:
        st.rerun(scope="app")
    training_views.state_line(record, opened.project.results.in_force())
    if record.active:
        training_views.progress(record)
        if st.button(
            "Cancel round",
            icon=":material/stop:",
            key="cancel_round",
            **writing(opened, disabled=record.state == "cancelling"),
        ):
            _try(lambda: opened.project.training.cancel(number), opened)
    elif record.state in RESUMABLE_STATES and st.button(
        "Resume",
        icon=":material/resume:",
        key="resume",
        **writing(opened, help="Continues from the last checkpoint, with the same split"),
    ):
        _try(lambda: opened.project.training.resume(number), opened)
    curves = opened.project.results.curves(number)
    if LIVE in record.progress and curves.get("labels"):
        training_views.fits(curves)
    elif curves.get("epoch"):
        figure = training_views.curves_figure(curves)
        st.plotly_chart(figure, key=f"curves_{number}", config={"displaylogo": False})
    if record.report:
        training_views.report(opened.project, record)
    if teacher_views.has_teacher(curves):
        teacher_views.training_accuracy(curves, number)
        if not record.active:
            teacher_views.course(opened.project, number)


def _try(action: Any, opened: OpenProject) -> None:
    try:
        action()
    except StarlingError as error:
        state.show_error(error)
        return
    opened.engine.wake()
    st.rerun(scope="app")


page()
