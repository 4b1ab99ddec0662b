"""Quality: how good the predictions in force are, measured on labels that were held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import training_views
from engine import options


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    complete = opened.project.rounds_with_predictions()
    if not complete:
        st.info("Quality is measured on held-out labels at the end of a round. No round has ended yet.")
        st.page_link("pages/train_rounds.py", label="Train a round", icon=":material/model_training:")
        return
    in_force = opened.project.round_in_force()
    numbers = [record.number for record in reversed(complete)]
    records = {record.number: record for record in complete}
    number = st.selectbox(
        "Round",
        numbers,
        index=numbers.index(in_force) if in_force in numbers else 0,
        format_func=lambda n: (
            f"Round {n} · {options.title(records[n].algorithm)}" + (" · in force" if n == in_force else "")
        ),
    )
    record = records[number]
    training_views.report(opened.project, record)
    found = record.report or {}
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Confusion on the held-out set")
        st.plotly_chart(_confusion(found), key="confusion", config={"displaylogo": False})
    with right:
        st.subheader("Confidence")
        calibration = found.get("calibration") or {}
        if calibration.get("n"):
            st.markdown(
                f"Temperature **{calibration['temperature']:.2f}**, fitted on {calibration['n']} held-out labels. "
                f"Expected calibration error **{calibration['ece_before']:.1%}** before and "
                f"**{calibration['ece_after']:.1%}** after, on the same labels"
                + (": the second is optimistic." if calibration["n"] >= 100 else ": with so few, both are rough.")
            )
        st.subheader("Class balance")
        st.plotly_chart(
            _balance(found, opened.project.counts().per_class), key="balance", config={"displaylogo": False}
        )
    counts = found.get("counts") or {}
    st.caption(
        f"Round {record.number} trained on {counts.get('train', 0):,} labeled and {counts.get('unlabeled', 0):,} "
        f"unlabeled images and held {counts.get('heldout', 0):,} out; {found.get('epochs', 0)} epochs on "
        f"{state.plain(found.get('device', ''))}, {found.get('peak_memory_mb', 0):,.0f} MB at most."
    )


def _confusion(found: Mapping[str, Any]) -> go.Figure:
    classes = [str(name) for name in found.get("classes", [])]
    figure = go.Figure(
        go.Heatmap(
            z=found.get("confusion") or [],
            x=classes,
            y=classes,
            colorscale=[[0, "rgba(59,118,214,0.04)"], [1, training_views.BLUE]],
            showscale=False,
            xgap=1,
            ygap=1,
            texttemplate="%{z}" if len(classes) <= 20 else None,
            hovertemplate="label %{y}, predicted %{x}: %{z}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", title_text="predicted", constrain="domain")
    figure.update_yaxes(type="category", title_text="label", autorange="reversed", scaleanchor="x")
    figure.update_layout(height=460, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _balance(found: Mapping[str, Any], labeled: Mapping[str, int]) -> go.Figure:
    classes = [str(name) for name in found.get("classes", [])]
    given = np.array([labeled.get(name, 0) for name in classes], float)
    pseudo = np.array(found.get("histogram") or [0] * len(classes), float)
    figure = go.Figure()
    for name, values in (("labels in force", given), ("pseudo-labels", pseudo)):
        figure.add_bar(x=classes, y=values / max(values.sum(), 1), name=name, customdata=values,
                       hovertemplate="%{x}: %{y:.1%} (%{customdata:.0f})<extra></extra>")  # fmt: skip
    figure.update_xaxes(type="category")
    figure.update_yaxes(tickformat=".0%")
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        barmode="group",
        legend={"orientation": "h", "y": 1.15},
    )
    return figure


page()
