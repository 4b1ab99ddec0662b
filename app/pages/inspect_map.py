"""Map: every image a point; pseudo-labels over the epochs of a round; look at a region and label it."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.map_canvas.component import map_canvas
from app.workbench import OpenProject
from engine.errors import StarlingError
from engine.records import MapState

POLL_SECONDS = 1.0


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.counts().images:
        st.info("This project has no images yet. Import some first.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    found = opened.project.map_state()
    if found.status == "running":
        st.fragment(_progress, run_every=POLL_SECONDS)(opened)
    elif found.status != "ready":
        _offer(opened, found)
        return
    _map(opened, found)


def _offer(opened: OpenProject, found: MapState) -> None:
    """Say why there is no map and offer to compute it."""
    if found.status == "failed":
        st.error(state.plain(found.error or "The map could not be computed."))
    else:
        st.info(
            "There is no map of these images yet. It puts images that look alike side by side (PCA, then t-SNE), "
            "in the background; a first picture comes within seconds."
        )
    label = "Try again" if found.status == "failed" else "Compute the map"
    if st.button(label, type="primary", icon=":material/scatter_plot:", key="compute_map"):
        try:
            opened.project.start_map()
        except StarlingError as error:
            state.show_error(error)
            return
        st.rerun()


def _progress(opened: OpenProject) -> None:
    """Show how far the map is; run the page anew when it ended. The map itself looks for new pictures."""
    found = opened.project.map_state()
    if found.status != "running":
        st.rerun()
    st.progress(min(max(found.fraction, 0.0), 1.0), text=state.plain(found.stage or "Starting"))


def _map(opened: OpenProject, found: MapState) -> None:
    records = [one for one in opened.project.rounds() if opened.project.epochs(one.number)]
    titles = {one.number: f"round {one.number} · {one.algorithm} · {one.state}".replace("_", " ") for one in records}
    numbers = sorted(titles, reverse=True)
    number = None
    if numbers:
        number = st.selectbox(
            "Pseudo-labels of", numbers, format_func=lambda one: titles[one], key="map_round", width=420
        )
    map_canvas(
        opened.base,
        round_number=number,
        classes=opened.project.classes(),
        version=found.version,
        computing=found.status == "running",
        live=any(one.number == number and one.active for one in records),
        key=f"map_{opened.key}",
    )


page()
