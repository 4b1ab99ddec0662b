"""What pages show of a project that is open read-only: why nothing can be saved, and disabled controls."""

from __future__ import annotations

from typing import TypedDict

import streamlit as st

from app import state
from app.server.workbench import OpenProject

REASON = "The project is open read-only."


class Control(TypedDict):
    """Arguments of a button or switch."""

    disabled: bool
    help: str | None


def writing(opened: OpenProject, *, disabled: bool = False, help: str | None = None) -> Control:
    """Return the arguments of a control that writes: disabled with the reason where the project is read-only.

    Args:
        opened: the project.
        disabled: whether it is disabled anyhow.
        help: its help elsewhere.
    """
    if opened.read_only:
        return {"disabled": True, "help": REASON}
    return {"disabled": disabled, "help": help}


def notice() -> None:
    """Say that the project that is looked at is open read-only, why, and what that leaves."""
    opened = state.current()
    if opened is not None and opened.read_only:
        st.warning(
            f"**Read-only**: {state.plain(opened.read_only)} Labels, maps and results are shown; nothing can be saved, "
            "trained or computed. `starling export PROJECT FILE` writes an export elsewhere.",
            icon=":material/lock:",
        )
