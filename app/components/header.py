"""The line under the navigation: which project, how far it is, and the round that runs."""

from __future__ import annotations

import streamlit as st

from app import state
from app.workbench import OpenProject


def header() -> None:
    """Draw the project line."""
    opened = state.current()
    if opened is None:
        return
    counts = opened.project.counts()
    percent = 100 * counts.labeled / counts.images if counts.images else 0.0
    left, right = st.columns([3, 2], vertical_alignment="center")
    with left:
        st.markdown(
            f"**{state.plain(opened.project.name)}** &nbsp; {counts.images:,} images · {counts.labeled:,} labeled "
            f"({percent:.1f}%) · {counts.unlabeled:,} unlabeled · {len(opened.project.classes())} classes"
        )
    with right:
        _running(opened)


def _running(opened: OpenProject) -> None:
    active = opened.project.active_round()
    if active is None:
        return
    st.fragment(_running_line, run_every=2.0)(opened)


def _running_line(opened: OpenProject) -> None:
    active = opened.project.active_round()
    if active is None:
        st.caption(":green[:material/check_circle:] Round ended")
        return
    epoch, epochs = active.progress.get("epoch"), active.progress.get("epochs")
    where = f" · epoch {epoch}/{epochs}" if epoch is not None and epochs else ""
    st.caption(f":blue[:material/progress_activity:] Round {active.number} {active.state}{where}")
