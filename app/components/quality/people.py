"""The tab "People": how many decisions each person made, and how fast."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.components.quality.words import when
from app.server.workbench import OpenProject
from engine.percent import percent
from engine.records.quality import Pace


def people_tab(opened: OpenProject) -> None:
    """Draw the tab."""
    paces = opened.project.measured.pace()
    if not paces:
        st.info("Nobody has decided anything yet. Labels that came with the import do not count here.")
        st.page_link("pages/review_labels.py", label="Go to Review", icon=":material/keyboard:")
        return
    st.dataframe(pd.DataFrame([_row(one) for one in paces]), hide_index=True, key="pace")
    st.caption(
        "Seconds: the median time of a single decision; those made together in a batch count apart and have none. "
        "Agreement: the share of predictions shown that the person accepted; a high one is good only where the "
        "predictions are."
    )


def _row(one: Pace) -> dict[str, object]:
    return {
        "Who": one.actor,
        "Single decisions": one.decisions,
        "In batches": one.batch_decisions,
        "Seconds each": "–" if one.seconds is None else f"{one.seconds:.1f}",
        "A minute": "–" if not one.seconds else f"{60 / one.seconds:.0f}",
        "Agreement": "–" if one.agreement is None else percent(one.agreement, 0),
        "Last": when(one.last),
    }
