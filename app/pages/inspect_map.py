"""Map: every image a point; pseudo-labels over the epochs of a round; look at a region and label it."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.lock import writing
from app.components.map_canvas.component import Shown, map_canvas
from app.components.training_views import state_word
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.project import options
from engine.project.maps import FeatureSource
from engine.records.rounds import COMPLETE_STATES, MapState, RoundRecord

POLL_SECONDS = 1.0
PAGES = {"review": "pages/review_labels.py", "export": "pages/export_dataset.py"}


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.store.counts().images:
        st.info("This project has no images yet. Import some first.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    records = {one.number: one for one in opened.project.maps.rounds()}
    if opened.project.store.active_round() is not None:
        st.fragment(_watch, run_every=2 * POLL_SECONDS)(opened, _stands(records))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = _choose_round(opened, records)
        source = _choose_source(opened)
        map_state = opened.project.maps.state(source.key)
        _offer(opened, source, map_state)
    _tell(map_state)
    if map_state.status == "running":
        st.fragment(_progress, run_every=POLL_SECONDS)(opened, source)
    record = records.get(number) if number is not None else None
    if record is None and map_state.status not in {"running", "ready"} and not map_state.version:
        return
    _map(opened, source, map_state, record)


def _stands(records: dict[int, RoundRecord]) -> list[tuple[int, str]]:
    return [(number, one.state) for number, one in records.items()]


def _watch(opened: OpenProject, drawn: list[tuple[int, str]]) -> None:
    """Run the page anew when a round has recorded its first epoch, or has ended."""
    if _stands({one.number: one for one in opened.project.maps.rounds()}) != drawn:
        st.rerun()


def _choose_round(opened: OpenProject, records: dict[int, RoundRecord]) -> int | None:
    """Return the round whose pseudo-labels are shown: the newest unless another is chosen."""
    if not records:
        return None
    in_force = opened.project.results.in_force()
    titles = {
        number: f"round {number} · {options.title(one.algorithm)} · {state_word(one, in_force)}"
        for number, one in records.items()
    }
    numbers = sorted(records, reverse=True)
    last, newest = state.get("map_round"), state.get("map_newest")
    follow = last not in records or (last == newest != numbers[0])  # who looks at the newest goes on doing so
    state.preset("map_round", numbers[0] if follow else last, again=follow)
    number = st.selectbox("Pseudo-labels of", numbers, format_func=lambda one: titles[one], key="map_round", width=340)
    state.put("map_round", number)
    state.put("map_newest", numbers[0])
    return number


def _choose_source(opened: OpenProject) -> FeatureSource:
    sources = {one.key: one for one in opened.project.maps.sources()}
    keys = list(sources)
    last = state.get("map_source")
    state.preset("map_source", last if last in sources else _first(opened, keys), again=last not in sources)
    key = st.selectbox(
        "Fixed map of", keys, format_func=lambda one: sources[one].title, key="map_source", width=340,
        help="\n\n".join(f"**{one.title}**: {one.about}" for one in sources.values()),
    )  # fmt: skip
    state.put("map_source", key)
    return sources[key]


def _first(opened: OpenProject, keys: list[str]) -> str:
    """Return the first source that has a picture, else the first."""
    return next((one for one in keys if opened.project.maps.drawn(one)), keys[0])


def _offer(opened: OpenProject, source: FeatureSource, map_state: MapState) -> None:
    """Offer to compute the fixed map, to cancel that, or to lay images out anew that were only placed."""
    if map_state.status == "running":
        if st.button("Cancel", icon=":material/close:", key="cancel_map", **writing(opened)):
            opened.project.maps.cancel(source.key)
            st.rerun()
        return
    if map_state.status == "ready":
        if map_state.placed and st.button(
            "Lay out anew", icon=":material/refresh:", key="fresh_map", **writing(opened)
        ):
            _start(opened, source, fresh=True)
        return
    label = {"failed": "Try again", "cancelled": "Go on with the map"}.get(map_state.status, "Compute the map")
    if st.button(label, type="primary", icon=":material/scatter_plot:", key="compute_map", **writing(opened)):
        _start(opened, source)


def _start(opened: OpenProject, source: FeatureSource, *, fresh: bool = False) -> None:
    try:
        opened.project.maps.start(source.key, fresh=fresh)
    except StarlingError as error:
        state.show_error(error)
        return
    st.rerun()


def _tell(map_state: MapState) -> None:
    """Say why there is no map, or what is special about this one."""
    if map_state.status == "failed":
        st.error(state.plain(map_state.error or "The map could not be computed."))
    elif map_state.status == "none":
        st.info(
            "There is no fixed map of these features yet. It puts images that look alike side by side (PCA, then "
            "t-SNE), in the background; a first picture comes within seconds."
        )
    elif map_state.status == "cancelled":
        st.info("The map was cancelled; the picture is as good as it was then.")
    elif map_state.status == "ready" and map_state.placed:
        st.caption(f"{map_state.placed:,} images came later and were placed among the others, which did not move.")


def _progress(opened: OpenProject, source: FeatureSource) -> None:
    """Show how far the map is; run the page anew when it ended. The map itself looks for new pictures."""
    map_state = opened.project.maps.state(source.key)
    if map_state.status != "running":
        st.rerun()
    st.progress(min(max(map_state.fraction, 0.0), 1.0), text=state.plain(map_state.stage or "Starting"))


def _moves(opened: OpenProject, number: int) -> bool:
    """Whether a round has a moving map, or can get one."""
    maps = opened.project.maps
    return maps.can_move(number) and (not opened.read_only or bool(maps.moving_state(number).version))


def _map(opened: OpenProject, source: FeatureSource, map_state: MapState, record: RoundRecord | None) -> None:
    shown = Shown(
        round=None if record is None else record.number,
        source=source.key,
        version=f"{map_state.version}:{map_state.status}",
        computing=map_state.status == "running",
        live=record is not None and (record.active or record.live),
        complete=record is not None and record.state in COMPLETE_STATES,
        moving=record is not None and _moves(opened, record.number),
    )
    asked = map_canvas(opened.base, shown, key=f"map_{opened.key}")
    if asked is not None and asked.page in PAGES:
        state.take_selection(asked.page)
        st.switch_page(PAGES[asked.page])


page()
