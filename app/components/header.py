"""The line under the navigation: which project, how far it is, and the round that runs."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.who_box.component import who_box
from app.server.workbench import OpenProject
from engine.percent import percent

COUNTS_SECONDS = 5.0


def header(live: bool = False) -> None:
    """Draw the project line.

    Args:
        live: whether its counts follow what is decided beside Streamlit while the page stands.
    """
    opened = state.current()
    if opened is None:
        return
    left, right, who = st.columns([6, 3, 2], vertical_alignment="center")
    with left:
        st.fragment(_counts, run_every=COUNTS_SECONDS if live else None)(opened)
    with right:
        _running(opened)
    with who:
        state.take_actor(who_box(state.actor()))


def _counts(opened: OpenProject) -> None:
    """Say how far the project is."""
    counts, classes = opened.project.store.counts(), len(opened.project.store.classes())
    share = counts.labeled / counts.images if counts.images else 0.0
    st.markdown(
        f"**{state.plain(opened.project.store.name)}** &nbsp; {counts.images:,} images · {counts.labeled:,} labeled "
        f"({percent(share)}) · {counts.unlabeled:,} unlabeled · {classes} {'class' if classes == 1 else 'classes'}"
    )


def _running(opened: OpenProject) -> None:
    active = opened.project.store.active_round()
    if active is None:
        return
    st.fragment(_running_line, run_every=2.0)(opened)


def _running_line(opened: OpenProject) -> None:
    active = opened.project.store.active_round()
    if active is None:
        st.caption(":green[:material/check_circle:] Round ended")
        return
    epoch, epochs = active.progress.get("epoch"), active.progress.get("epochs")
    where = f" · epoch {epoch}/{epochs}" if epoch is not None and epochs else ""
    st.caption(f":blue[:material/progress_activity:] Round {active.number} {active.state}{where}")
