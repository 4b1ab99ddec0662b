"""The confusion matrix of a round: a click on a cell shows its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.components import training_views
from app.components.quality.gallery import Tile, gallery, review_these, titles_of
from app.components.quality.words import chart_text
from app.server.workbench import OpenProject
from engine.records.rounds import RoundRecord

Cell = tuple[str, str]
HEIGHT = 460


def confusion_part(opened: OpenProject, record: RoundRecord) -> None:
    """Draw the matrix and the images of the cell chosen in it."""
    st.subheader("Confusion on the held-out set")
    report = record.report or {}
    counts = report.get("confusion") or []
    classes = [str(name) for name in report.get("classes", [])]
    if not counts or not any(map(any, counts)):
        st.info("No labels were held out in this round.")
        return
    clicked = st.plotly_chart(
        confusion_figure(counts, classes),
        key=f"confusion_{record.number}",
        on_select="rerun",
        selection_mode="points",
        config={"displayModeBar": False},
    )
    cells = filled_cells(counts, classes)
    _follow(clicked_cell(clicked, classes), record.number, cells)
    _images(opened, record.number, cells)


def _follow(cell: Cell | None, number: int, cells: Sequence[Cell]) -> None:
    """Choose the cell of a new click, none for an empty one; a click followed before does not override the list."""
    if cell is not None and state.get("quality_clicked") != (number, cell):
        state.preset(f"quality_cell_{number}", cell if cell in cells else None, again=True)
    state.put("quality_clicked", (number, cell))


def _images(opened: OpenProject, number: int, cells: Sequence[Cell]) -> None:
    """Show the images of a cell; the list beside the click is for keyboards, largest mistakes first."""
    key = f"quality_cell_{number}"
    cell = st.selectbox(
        "Images of one cell (or click on it)",
        cells,
        index=None,
        format_func=lambda one: f"{one[0]} predicted as {one[1]}",
        placeholder="label and prediction",
        key=key,
    )
    if cell is None:
        return
    ids = [int(one) for one in opened.project.measured.confusion_ids(number, cell[0], cell[1])]
    st.markdown(
        f"**{len(ids):,}** images labeled **{state.plain(cell[0])}** and predicted **{state.plain(cell[1])}**: "
        "all of them held out, none trained on."
    )
    if not ids:
        return
    shown = ids[:24]
    names = titles_of(opened, shown)
    gallery(opened, [Tile(one, names.get(one, ""), f"image {one}") for one in shown])
    review_these(opened, ids, "review_cell", f"Review these {len(ids):,}" if len(ids) > 1 else "Review this one")


def filled_cells(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Cell]:
    """Return (label, predicted) of the cells with images: mistakes first, most frequent first, then what is right."""
    cells = [
        (row == column, -int(counts[row][column]), row, column)
        for row in range(len(classes))
        for column in range(len(classes))
        if counts[row][column]
    ]
    return [(classes[row], classes[column]) for _, _, row, column in sorted(cells)]


def clicked_cell(event: Any, classes: Sequence[str]) -> Cell | None:
    """Return (label, predicted) of the point selected in a chart, None without one."""
    selection: Mapping[str, Any] = (event or {}).get("selection") or {}
    points = selection.get("points") or []
    place = points[0].get("customdata") if points else None
    if not isinstance(place, Sequence) or len(place) != 2:
        return None
    row, column = int(place[0]), int(place[1])
    if not (0 <= row < len(classes) and 0 <= column < len(classes)):
        return None
    return classes[row], classes[column]


def confusion_figure(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Return the matrix as a heatmap under unseen squares, because a heatmap's own cells cannot be selected."""
    size = range(len(classes))
    figure = go.Figure(
        go.Heatmap(
            z=counts, x=list(size), y=list(size), colorscale=[[0, "rgba(59,118,214,0.04)"], [1, training_views.BLUE]],
            showscale=False, xgap=1, ygap=1, texttemplate="%{z}" if len(classes) <= 20 else None, hoverinfo="skip",
        )
    )  # fmt: skip
    names = [chart_text(name) for name in classes]
    cells = [(row, column) for row in size for column in size]
    figure.add_scatter(
        x=[column for _, column in cells],
        y=[row for row, _ in cells],
        customdata=cells,
        text=[f"label {names[row]}, predicted {names[column]}: {counts[row][column]}" for row, column in cells],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={"symbol": "square", "size": max(6, 0.62 * HEIGHT / max(len(classes), 1)), "opacity": 0},
        selected={"marker": {"opacity": 0.4, "color": training_views.ORANGE}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
    )
    ticks = {"tickvals": list(size), "ticktext": names, "showgrid": False, "zeroline": False}
    span = [-0.5, len(classes) - 0.5]
    figure.update_xaxes(title_text="predicted", constrain="domain", range=span, **ticks)
    figure.update_yaxes(title_text="label", range=span[::-1], scaleanchor="x", constrain="domain", **ticks)
    figure.update_layout(height=HEIGHT, margin={"l": 10, "r": 10, "t": 10, "b": 10}, clickmode="event+select")
    return figure
