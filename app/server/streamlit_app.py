"""The web server: Streamlit's pages, Starling's own routes, and one gate in front of both.

Pictures, map arrays, decisions, uploads and downloads are plain routes, so that a key press or a moving map needs no
rerun of a page. Every request and web socket passes the gate first, then limits of size and time; every answer takes
the policy's headers along.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from app.routes import table as routes
from app.server import patience, workbench
from app.server.access import Access
from app.server.as_they_are import AsTheyAre
from app.server.gate import Gate
from app.server.limits import Limits
from app.server.policy import Policy
from app.server.sessions import Sessions
from engine.project import options

MAIN = Path(__file__).resolve().parents[1] / "main.py"
THEME = {
    "theme.baseRadius": "0.4rem",
    "theme.paddingTop": "0.75rem",
    "theme.metricValueFontSize": "1.6rem",
    "theme.headingFontSizes": ["2rem", "1.6rem", "1.25rem"],
    "theme.light.primaryColor": "#2a62c9",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f3f5f8",
    "theme.light.textColor": "#1b2330",
    "theme.light.borderColor": "#d5dae2",
    "theme.dark.primaryColor": "#7ea6f4",
    "theme.dark.backgroundColor": "#12161d",
    "theme.dark.secondaryBackgroundColor": "#1c222c",
    "theme.dark.textColor": "#e6eaf0",
    "theme.dark.borderColor": "#353d4a",
}


@contextlib.asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Load torch while the first page is read; close the projects when the server stops. Workers go on."""
    threading.Thread(target=options.algorithms, name="load-torch", daemon=True).start()
    try:
        yield
    finally:
        workbench.current().close()


def build(token: str, reached: Access, sessions: Sessions) -> st.App:
    """Return the ASGI app with its guards in front.

    Streamlit would serve files of a folder named “pages” by their own addresses, without main.py, until main.py has
    run once; that is switched off, so that a reloaded or bookmarked page comes with its header and navigation.

    Args:
        token: the secret that signs a browser in; empty asks nobody for it.
        reached: by which names, and below which path.
        sessions: who is signed in.
    """
    PagesManager.uses_pages_directory = False
    patience.install()
    large = [(re.escape(reached.base_path) + path, most) for path, most in routes.LARGE]
    return st.App(
        str(MAIN),
        lifespan=lifespan,
        routes=routes.below(reached.base_path),
        middleware=[
            Middleware(Gate, token=token, reached=reached, sessions=sessions),
            Middleware(Policy),
            Middleware(Limits, rules=large),
            Middleware(AsTheyAre),
        ],
    )


def settings(address: str, port: int, reached: Access) -> dict[str, Any]:
    """Return the Streamlit settings Starling ships with, as `App.run` takes them."""
    return {
        "server.address": address,
        "server.port": port,
        **({"server.baseUrlPath": reached.base_path.strip("/")} if reached.base_path else {}),
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.allowedHosts": list(reached.hosts),
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        **THEME,
    }
