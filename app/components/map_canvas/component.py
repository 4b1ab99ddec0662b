"""The map: every image a point, on a fixed layout or moving with the epochs, coloured by label or pseudo-label."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = (
    "../common/dom.js", "../common/outbox.js", "../common/keys.js", "palette.js", "data.js", "layout.js", "filters.js",
    "model.js", "sprites.js", "canvas.js", "view.js", "ink.js", "pointer.js", "controls.js", "player.js", "moving.js",
    "legend.js",
    "batch.js", "chips.js", "thumbs.js", "selection.js", "neighbours.js", "regions.js", "hover.js", "pictures.js",
    "loader.js", "frame.js", "index.js",
)  # fmt: skip
STYLES = ("../common/base.css", "style.css", "hand.css")


@dataclass(frozen=True)
class Shown:
    """What the map shows.

    round: the round whose pseudo-labels colour the stars, None shows labels only; source: of the fixed map's features;
    version: changes when positions or labels should be fetched again; computing: the layout is still refined; live: the
    round still runs; complete: it has calibrated predictions; moving: it has recorded features of tracked images.
    """

    round: int | None
    source: str
    version: str = ""
    computing: bool = False
    live: bool = False
    complete: bool = False
    moving: bool = False


_mount = st.components.v2.component(
    "starling_map_canvas",
    js="\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    css="\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES),
    isolate_styles=True,
)


@dataclass(frozen=True, slots=True)
class Goto:
    """The page the person asked for with the selection: "review" or "export"."""

    page: str


def _nothing() -> None:
    """Streamlit reruns the page on a trigger value only if a callback is given."""


def map_canvas(base: str, shown: Shown, *, key: str = "map_canvas") -> Goto | None:
    """Show the map. Positions and pseudo-labels come from the project's routes as binary arrays, not through Python.

    Args:
        base: route base of the open project, such as ``/starling/p/digits``.
        shown: what to show.
        key: identity of this mount; the same key keeps zoom, epoch and selection over reruns.

    Returns:
        Where the person wants to go, in the one run that follows; else None.
    """
    # “saved” only makes the page run again, so that the counts above the map are those of now
    result = _mount(key=key, data={"base": base, **asdict(shown)}, on_goto_change=_nothing, on_saved_change=_nothing)
    goto = getattr(result, "goto", None)
    return Goto(str(goto["page"])) if isinstance(goto, dict) and "page" in goto else None
