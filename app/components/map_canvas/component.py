"""The map: every image a point, on a fixed layout or moving with the epochs, coloured by label or pseudo-label."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from app.components.mount import mount, rerun


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


_mount = mount("map_canvas", "style.css", "hand.css")


@dataclass(frozen=True, slots=True)
class Goto:
    """The page the person asked for with the selection: "review" or "export"."""

    page: str


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
    result = _mount(key=key, data={"base": base, **asdict(shown)}, on_goto_change=rerun, on_saved_change=rerun)
    goto = getattr(result, "goto", None)
    return Goto(str(goto["page"])) if isinstance(goto, dict) and "page" in goto else None
