"""The name under which this browser's decisions are recorded: kept in a cookie, read by every route."""

from __future__ import annotations

from app.components.mount import mount, rerun
from engine.records.labels import RESERVED

_mount = mount("who_box", "style.css")


def who_box(name: str, key: str = "who_box") -> str | None:
    """Show the name and let it be changed; return the new one in the one run that follows, None in all others.

    Args:
        name: shown until the browser has another one.
        key: identity of this mount.
    """
    result = _mount(key=key, data={"name": name, "reserved": sorted(RESERVED)}, on_who_change=rerun)
    who = getattr(result, "who", None)
    return who if isinstance(who, str) else None
