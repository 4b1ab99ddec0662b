"""The choice of the round whose predictions a tab is about."""

from __future__ import annotations

import streamlit as st

from app import state
from app.server.workbench import OpenProject
from engine.project import options
from engine.records.rounds import RoundRecord


def chosen_round(opened: OpenProject) -> RoundRecord | None:
    """Return the complete round chosen, at first the one in force; without any, say so and return None."""
    complete = {record.number: record for record in opened.project.results.complete()}
    if not complete:
        st.info("No round has ended yet. Accuracy is measured by random images that are asked without a prediction.")
        st.page_link("pages/train_rounds.py", label="Train a round", icon=":material/model_training:")
        return None
    in_force = opened.project.results.in_force()
    numbers = sorted(complete, reverse=True)
    last = state.get("quality_round")
    first = last if last in complete else in_force if in_force in complete else numbers[0]
    state.preset("quality_round", first, again=last not in complete)
    number = st.selectbox(
        "Round",
        numbers,
        format_func=lambda one: (
            f"Round {one} · {options.title(complete[one].algorithm)}" + (" · in force" if one == in_force else "")
        ),
        key="quality_round",
        width=420,
    )
    state.put("quality_round", number)
    return complete[number]
