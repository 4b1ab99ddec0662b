"""How a custom component is made known to Streamlit: its styles as text, of its JavaScript only a loader."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from app.components import modules


def script(component: str) -> str:
    """Return the text that loads the modules of a component, a folder beside this file."""
    entry = f"{component}/index.js"
    ahead = [modules.address(path) for path in modules.needed(entry)]
    made = f"export default componentAt({json.dumps(modules.address(entry))}, {json.dumps(ahead)});"
    return f"{modules.SOURCES['loader.js'].decode()}\n{made}\n"


def styles(component: str, *files: str) -> str:
    """Return the style sheet of all components, then those named, of this one."""
    paths = [modules.HERE / "common" / "base.css", *(modules.HERE / component / name for name in files)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def mount(component: str, *files: str) -> Any:
    """Register a component and return the function that shows it.

    Args:
        component: its folder's name.
        files: its style sheets, the later ones stronger.
    """
    return st.components.v2.component(
        f"starling_{component}", js=script(component), css=styles(component, *files), isolate_styles=True
    )


def rerun() -> None:
    """Streamlit reruns the page on a trigger value only if a callback is given: this one does nothing else."""
