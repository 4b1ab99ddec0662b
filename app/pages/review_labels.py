"""Review: the images a person should look at next, one after another, decided by key."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from app import state
from app.components.review_surface.component import review_surface
from app.workbench import OpenProject
from engine.query import QUERY_STRATEGIES

Only = Literal["unreviewed", "marked", "all", "selection"]
SHOWN: dict[Only, str] = {"unreviewed": "Not yet decided", "marked": "Skipped, unsure, flagged", "all": "All images"}


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.counts().images:
        st.info("This project has no images yet. Import some first; labels are then given here.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    strategy, number, only = _choices(opened)
    review_surface(
        opened.base,
        strategy=strategy,
        round_number=number,
        only=only,
        classes=opened.project.classes(),
        key=f"review_{opened.key}",
    )


def _choices(opened: OpenProject) -> tuple[str, int | None, Only]:
    """Draw the three choices above the surface; return strategy key, round number and what is shown."""
    rounds = {record.number: record for record in opened.project.rounds_with_predictions()}
    in_force = opened.project.round_in_force()
    order, predictions, shown = st.columns(3)
    with order:
        strategy = st.selectbox(
            "First come the images with",
            list(QUERY_STRATEGIES),
            format_func=lambda key: QUERY_STRATEGIES[key].title,
            disabled=not rounds,
            help="\n\n".join(f"**{one.title}**: {one.summary}" for one in QUERY_STRATEGIES.values()),
            key="review_strategy",
        )
    with predictions:
        numbers: list[int | None] = [*([None] if in_force is None else []), *sorted(rounds, reverse=True)]
        number = st.selectbox(
            "Predictions of",
            numbers,
            index=numbers.index(in_force),
            format_func=lambda one: "no round" if one is None else _round_title(one, in_force, rounds[one].algorithm),
            disabled=not rounds,
            key="review_round",
        )
    with shown:
        titles = dict(SHOWN)
        if state.selection_size(opened):
            titles["selection"] = f"Selected on the map ({state.selection_size(opened):,})"
        only: Only = st.selectbox("Show", list(titles), format_func=lambda one: titles[one], key="review_only")
    if not rounds:
        st.caption("No round has finished yet: random images come, without predictions. Label a first batch by key.")
    elif number is None:
        st.caption("No round is in force: random images come. A round chosen above shows its predictions all the same.")
    return strategy, number, only


def _round_title(number: int, in_force: int | None, algorithm: str) -> str:
    title = f"round {number} · {algorithm.replace('_', ' ')}"
    return f"{title} · in force" if number == in_force else title


page()
