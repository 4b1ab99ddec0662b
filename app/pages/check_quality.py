"""Quality: the goal, how good labels and predictions are, what can be accepted, what to check, and whether to go on."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.components.quality.accept import accept_tab
from app.components.quality.accuracy import accuracy_tab
from app.components.quality.audits import audit_tab
from app.components.quality.goal import goal_tab
from app.components.quality.label_checks import labels_tab
from app.components.quality.outlook import outlook_tab
from app.components.quality.people import people_tab
from app.server.workbench import OpenProject

TABS: dict[str, Callable[[OpenProject], None]] = {
    "Goal": goal_tab,
    "Accuracy": accuracy_tab,
    "Audit": audit_tab,
    "Accept by threshold": accept_tab,
    "Labels to check": labels_tab,
    "People": people_tab,
    "Is another round worth it?": outlook_tab,
}


def page() -> None:
    """Draw the page: only the tab that is shown is computed."""
    opened = state.need_project()
    last = state.get("quality_tab")
    state.preset("quality_tab", last if last in TABS else next(iter(TABS)))
    chosen = st.segmented_control(
        "Shown", list(TABS), required=True, key="quality_tab", label_visibility="collapsed", width="stretch"
    )
    state.put("quality_tab", chosen)
    state.guarded(TABS[chosen or next(iter(TABS))])(opened)


page()
