"""Train: start a round, watch it, cancel or resume it, and read what came of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.components import training_views
from app.components.forms import config_form
from app.workbench import OpenProject
from engine import options
from engine.errors import StarlingError
from engine.records import RESUMABLE_STATES, RoundRecord

MAIN_FIELDS = ("net", "epochs", "device")


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    left, right = st.columns([2, 3], gap="large")
    with left:
        _start(opened)
    with right:
        rounds = opened.project.rounds()
        if not rounds:
            st.subheader("Rounds")
            st.info("No round yet. Its progress, curves and report will be shown here.")
            return
        _round(opened, rounds)


def _start(opened: OpenProject) -> None:
    st.subheader("New round")
    offered = options.algorithms()
    key = st.radio(
        "Algorithm",
        list(offered),
        format_func=lambda one: offered[one].title,
        captions=[one.summary for one in offered.values()],
        index=list(offered).index("pseudo_label"),
    )
    spec = offered[key]
    train = config_form(options.TRAIN_CONFIG, "train", only=MAIN_FIELDS, suggestions={"net": options.NETS})
    st.caption(f"“auto” is {options.describe_device()} on this machine.")
    with st.expander(f"{spec.title}: settings"):
        config = config_form(spec.config, f"algorithm_{key}")
        st.caption(f"Source: {state.plain(spec.source)}")
    with st.expander("Training settings"):
        train |= config_form(options.TRAIN_CONFIG, "train", skip=MAIN_FIELDS)
    active = opened.project.active_round()
    if st.button(
        "Start round",
        type="primary",
        icon=":material/play_arrow:",
        disabled=active is not None,
        key="start_round",
    ):
        try:
            record = opened.project.queue_round(key, config, train)
        except StarlingError as error:
            state.show_error(error)
            if not opened.project.counts().labeled:
                st.page_link("pages/review_labels.py", label="Label a first batch", icon=":material/keyboard:")
        else:
            opened.engine.wake()
            state.put("round", record.number)
            st.rerun()
    if active is not None:
        st.caption(f"Round {active.number} is {active.state}; one round runs at a time.")


def _round(opened: OpenProject, rounds: list[RoundRecord]) -> None:
    numbers = [record.number for record in reversed(rounds)]
    states = {record.number: record for record in rounds}
    shown, in_force = state.get("round"), opened.project.round_in_force()
    chosen = st.selectbox(
        "Round",
        numbers,
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
    record = opened.project.round(number)
    if record.state != shown_state:
        st.rerun(scope="app")
    training_views.state_line(record, opened.project.round_in_force())
    if record.active:
        training_views.progress(record)
        if st.button("Cancel round", icon=":material/stop:", disabled=record.state == "cancelling", key="cancel_round"):
            _try(lambda: opened.project.cancel_round(number), opened)
    elif record.state in RESUMABLE_STATES and st.button(
        "Resume",
        icon=":material/resume:",
        help="Continues from the last checkpoint, with the same split",
        key="resume",
    ):
        _try(lambda: opened.project.resume_round(number), opened)
    curves = opened.project.curves(number)
    if curves.get("epoch"):
        figure = training_views.curves_figure(curves)
        st.plotly_chart(figure, key=f"curves_{number}", config={"displaylogo": False})
    if record.report:
        training_views.report(opened.project, record)


def _try(action: Any, opened: OpenProject) -> None:
    try:
        action()
    except StarlingError as error:
        state.show_error(error)
        return
    opened.engine.wake()
    st.rerun(scope="app")


page()
