"""The name under which this browser's decisions are recorded: kept in a cookie, read by every route."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = ("../common/dom.js", "index.js")
STYLES = ("../common/base.css", "style.css")

_mount = st.components.v2.component(
    "starling_who_box",
    js="\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    css="\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES),
    isolate_styles=True,
)


def _nothing() -> None:
    """Streamlit reruns the page on a trigger value only if a callback is given."""


def who_box(cookie: str, name: str, key: str = "who_box") -> str | None:
    """Show the name and let it be changed; return the new one in the one run that follows, None in all others.

    Args:
        cookie: name of the cookie that the routes read.
        name: shown until the browser has another one.
        key: identity of this mount.
    """
    result = _mount(key=key, data={"cookie": cookie, "name": name}, on_who_change=_nothing)
    who = getattr(result, "who", None)
    return who if isinstance(who, str) else None
