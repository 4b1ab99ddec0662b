"""The map: every image a point on a fixed layout, coloured by its label or pseudo-label at the epoch shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = (
    "../common/dom.js", "../common/outbox.js", "palette.js", "data.js", "model.js", "sprites.js", "canvas.js",
    "pointer.js", "controls.js", "legend.js", "selection.js", "hover.js", "index.js",
)  # fmt: skip
STYLES = ("../common/base.css", "style.css")

_mount = st.components.v2.component(
    "starling_map_canvas",
    js="\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    css="\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES),
    isolate_styles=True,
)


def map_canvas(
    base: str,
    *,
    round_number: int | None,
    classes: Sequence[str],
    version: str = "",
    computing: bool = False,
    live: bool = False,
    key: str = "map_canvas",
) -> None:
    """Show the map. Positions and pseudo-labels come from the project's routes as binary arrays, not through Python.

    Args:
        base: route base of the open project, such as ``/starling/p/digits``.
        round_number: the round whose pseudo-labels colour the stars; None shows labels only.
        classes: class names in display order.
        version: changes when positions or labels should be fetched again, such as the map's version.
        live: the round still runs: look for new epochs every few seconds.
        computing: the layout is still refined: look for a better one every second or two.
        key: identity of this mount; the same key keeps zoom, epoch and selection over reruns.
    """
    data = {
        "base": base,
        "round": round_number,
        "classes": list(classes),
        "version": version,
        "live": live,
        "computing": computing,
    }
    _mount(key=key, data=data)
