"""The web server: Streamlit's pages, Starling's own routes, and one gate in front of both.

Pictures, map arrays, decisions, uploads and downloads are plain routes, so that a key press or a moving map needs no
rerun of a page. The gate checks every request and web socket: the Host, the Origin, and a token that the printed URL
carries once and a cookie keeps.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from app.routes import table as routes
from app.server import workbench
from app.server.as_they_are import AsTheyAre
from app.server.gate import LOOPBACK, Gate
from engine.errors import ServerError
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


def build(token: str, hosts: tuple[str, ...] = LOOPBACK) -> st.App:
    """Return the ASGI app with the gate in front.

    Streamlit would serve files of a folder named “pages” by their own addresses, without main.py, until main.py has
    run once; that is switched off, so that a reloaded or bookmarked page comes with its header and navigation.
    """
    PagesManager.uses_pages_directory = False
    return st.App(
        str(MAIN),
        lifespan=lifespan,
        routes=routes.ROUTES,
        middleware=[Middleware(Gate, token=token, hosts=hosts), Middleware(AsTheyAre)],
    )


def free_port(address: str, port: int) -> int:
    """Return `port` if it can be bound.

    Raises:
        ServerError: it is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ServerError(
                    "The port is in use",
                    value=f"{address}:{port}",
                    way_out=f"Another Starling may be running there. Choose another: --port {port + 1}.",
                ) from error
            raise ServerError(
                f"The address cannot be listened on ({error.strerror})",
                value=f"{address}:{port}",
                way_out="Use --address 127.0.0.1.",
            ) from error
        return int(probe.getsockname()[1])


def settings(address: str, port: int, hosts: tuple[str, ...]) -> dict[str, Any]:
    """Return the Streamlit settings Starling ships with, as `App.run` takes them."""
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.allowedHosts": list(hosts),
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
