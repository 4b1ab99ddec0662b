"""Which project this browser session looks at, and small states of its pages, kept in st.session_state.

Widgets keep their own values there by key; a page that has to change one does so by `preset`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from app.routes.review import WHO, actor_of
from app.server import workbench
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.project.review.ref import QueueRef

_PROJECT = "starling_project"
_ACTOR = "starling_actor"


def current() -> OpenProject | None:
    """Return the project this session looks at: the chosen one, else the only one open, else None."""
    bench = workbench.current()
    key = st.session_state.get(_PROJECT)
    if key is not None and (chosen := bench.get(key)) is not None:
        return chosen
    opened = bench.opened()
    if opened:
        st.session_state[_PROJECT] = opened[0].key
        return opened[0]
    return None


def choose(opened: OpenProject) -> None:
    """Look at this project from now on; states kept for another one are dropped."""
    st.session_state[_PROJECT] = opened.key
    forget_all()


def open_project(root: Path) -> OpenProject:
    """Open a project folder and look at it."""
    opened = workbench.current().open(root)
    choose(opened)
    return opened


def create_project(name: str) -> OpenProject:
    """Make a project and look at it."""
    opened = workbench.current().create(name)
    choose(opened)
    return opened


def only_reads() -> bool:
    """Return whether Starling was started with --read-only, so that no project can be made."""
    return workbench.current().read_only


def projects() -> list[Path]:
    """Return the folders of the projects that can be opened."""
    return workbench.current().projects()


def actor() -> str:
    """Return the name under which this browser's decisions are recorded."""
    name = st.session_state.get(_ACTOR)
    return str(name) if name else actor_of(st.context.cookies)


def is_reviewer() -> bool:
    """Return whether this browser's person may take back what others decided."""
    return actor() in workbench.current().reviewers


def take_actor(name: str | None) -> None:
    """Take over a name that was just given; the routes read it from the browser's cookie."""
    if name is not None:
        st.session_state[_ACTOR] = actor_of({WHO: name})


def get(name: str, default: Any = None) -> Any:
    """Return a page's small state."""
    return st.session_state.get(f"starling_page_{name}", default)


def put(name: str, value: Any) -> None:
    """Keep a page's small state for this session."""
    st.session_state[f"starling_page_{name}"] = value


def forget(name: str) -> None:
    """Drop a page's small state."""
    st.session_state.pop(f"starling_page_{name}", None)


def forget_all() -> None:
    """Drop all pages' small states."""
    for name in [name for name in st.session_state if str(name).startswith("starling_page_")]:
        del st.session_state[name]


def need_project() -> OpenProject:
    """Return the project, or say how to get one and stop the page."""
    opened = current()
    if opened is None:
        st.info("No project is open. Go to **Import** to make one, or choose one there.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        st.stop()
    return opened


def guarded(draw: Callable[..., None]) -> Callable[..., None]:
    """Return `draw` such that an intended error is shown in words instead of ending the page."""

    @functools.wraps(draw)
    def drawn(*arguments: Any) -> None:
        try:
            draw(*arguments)
        except StarlingError as error:
            show_error(error)

    return drawn


def show_error(error: StarlingError) -> None:
    """Show an intended error: its cause, the value, the way out. Text from data is shown as text, never as markup."""
    st.error(plain(error.cause if error.value is None else f"{error.cause}: {error.value}") + ".")
    if error.way_out:
        st.markdown(f":material/lightbulb: {plain(error.way_out)}")


def plain(text: object) -> str:
    """Return text with Markdown's special characters escaped, so that data is never taken for markup."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-!|<>$:~" else char for char in str(text))


def selection_size(opened: OpenProject) -> int:
    """Return how many images the map handed over; without any, no page goes on asking for them."""
    if not opened.selection:
        if st.session_state.get("review_only") == "selection":
            del st.session_state["review_only"]
        st.session_state.pop("export_selection", None)
    return len(opened.selection)


def take_selection(page: str) -> None:
    """Let "review" or "export" begin with the images handed over from the map."""
    if page == "review":
        st.session_state["review_only"] = "selection"
    else:
        st.session_state["export_selection"] = True


def take_queue(ref: QueueRef) -> None:
    """Let "review" begin with one of its queues."""
    st.session_state["review_only"] = str(ref)


def preset(widget: str, value: Any, *, again: bool = False) -> None:
    """Give a widget its value before it is drawn, unless it has one; a widget forgets it when its page is left.

    Args:
        widget: its key.
        value: the value.
        again: also where it has one.
    """
    if again or widget not in st.session_state:
        st.session_state[widget] = value
