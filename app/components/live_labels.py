"""Live labels on a page: the switch, and one line that says where they stand and how good they are."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.lock import writing
from app.components.training_views import duration
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.jobs.features import View
from engine.nets.net_name import FROZEN
from engine.percent import percent, short
from engine.project.live import MOST_PER_REFIT, LiveState
from engine.project.quality.measured import Standing
from engine.quality.scale import SHARE

EVERY_SECONDS = 2.0
ABOUT = (
    "A model that labels all images together from their features and your answers, fitted anew after every ten of them "
    "within a fraction of a second. The queue follows it, and so do map, grid, quality and export. A trained round can "
    "come after it."
)
NET = (
    "Any pretrained network whose weights are on this machine: of torchvision (mobilenet_v2), of timm "
    "(timm/vit_small_patch14_dinov2.lvd142m), or several joined by +. Its features are computed once, and live labels "
    "then go by them."
)


def live_labels(opened: OpenProject) -> None:
    """Draw the switch and, while live labels are on, the line beside it. Nothing where there are too few images."""
    if opened.live is None or not opened.project.live.possible:
        return
    switch, line, settings = st.columns([2, 9, 2], vertical_alignment="center")
    with switch:
        _switch(opened)
    with line:
        if opened.project.live.wanted:
            st.fragment(_line, run_every=EVERY_SECONDS)(opened, opened.project.results.in_force())
    if opened.project.live.wanted and not opened.read_only:
        with settings:
            _settings(opened)


def _switch(opened: OpenProject) -> None:
    wanted = opened.project.live.wanted
    state.preset("live_labels", wanted, again=st.session_state.get("live_labels") is None)
    if st.toggle("Live labels", key="live_labels", **writing(opened, help=ABOUT)) != wanted:
        opened.project.live.turn(not wanted)
        st.session_state.pop("review_strategy", None)  # the order that fits is chosen anew
        st.rerun()


def _settings(opened: OpenProject) -> None:
    with st.popover("Settings", icon=":material/tune:"):
        state.preset("live_per_refit", opened.project.live.per_refit)
        answers = st.number_input("Fit after so many answers", 1, MOST_PER_REFIT, key="live_per_refit")
        if answers != opened.project.live.per_refit:
            opened.project.live.fit_after(int(answers))
        state.preset("live_net", opened.project.live.net.removeprefix(FROZEN))
        net = st.text_input("Network that describes the images", key="live_net", placeholder="as recommended", help=NET)
        if net.strip() != opened.project.live.net.removeprefix(FROZEN):
            try:
                opened.project.live.describe_by(net)
            except ConfigError as error:
                state.show_error(error)


def _line(opened: OpenProject, drawn: int | None) -> None:
    """Say where live labels stand; run the page anew when a live round has come into force."""
    live = opened.project.live.state()
    if live.status == "on" and live.number != drawn:
        st.rerun(scope="app")
    if live.status == "features":
        left = "" if live.seconds_left is None else f", about {duration(live.seconds_left)} left"
        st.progress(live.fraction, text=f"Features, once for each image: {state.plain(live.words or 'starting')}{left}")
    elif live.status == "failed":
        st.warning(f"Live labels stand still and are tried again: {state.plain(live.words)}")
    elif live.status == "later":
        st.caption(f"{live.words} Live labels wait, so that it stays so.")
        if st.button("Go on with live labels", key="live_go_on"):
            opened.project.live.go_on()
    elif live.status == "on" and live.number is not None:
        goal = 1.0 - opened.project.goals.goal().rate
        standing = opened.project.measured.standing(live.number, goal)
        st.caption(f"{_fitted(live, opened.project.live.view())} {_measured(standing, goal)}")
        if opened.project.live.held():
            st.caption("An audit of all labels is open: the model stays as it is until you close it.")
    else:
        st.caption(state.plain(live.words))


SEEN = {"centre": "their centre squares", "whole": "whole photos", "both": "centre squares and whole photos"}


def _fitted(live: LiveState, view: View | None) -> str:
    if live.words:  # a guess is all there is
        return f"{live.words} It gives the order alone; label images, and your answers take over."
    text = f"Fitted {live.refits:,}×, last on {live.labels:,} labels in {live.seconds:.2f} s"
    if view is not None:
        text += f", by {SEEN[view.view]}: so {view.labels:,} labels chose"
    counted = f" The first guess counts {percent(live.guess_say, 0)}." if live.guess_say else ""
    return f"{text}.{counted}"


def _measured(standing: Standing, goal: float) -> str:
    """Say how many of all images are right, as the measured set tells, and how many are still to be decided.

    The latter as the Quality page says it, and not before it is said there.
    """
    n, right = standing.sample.n, standing.sample.right
    if n < SHARE:
        so_far = f"{right} of {n} predicted right so far" if n else "not measured yet"
        return f"Random images asked blind: {so_far}; from {SHARE} on they measure all."
    low, high = percent(standing.low, 0), percent(standing.high, 0)
    measured = f"{low} to {high}, by {n} random images asked blind"
    text = f"About {percent(standing.right, 0)} of all images are right ({measured})"
    if standing.decisions_left is None:
        return f"{text}."
    if standing.decisions_left == 0:
        return f"{text}: the goal of {short(goal)}. Audit it on the Quality page."
    between = standing.decisions_between
    spread = "" if between is None else f" ({between.low:,} to {between.high:,})"
    return f"{text}; about {standing.decisions_left:,} more answers to {short(goal)}{spread}."
