"""The web server: Streamlit's pages, Starling's own routes, and one gate in front of both.

Pictures, map arrays, decisions, uploads and downloads are plain routes, so that a key press or a moving map needs no
rerun of a page. The gate checks every request and web socket: the Host, the Origin, and a token that the printed URL
carries once and a cookie keeps.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import secrets
import socket
import threading
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.runtime.pages_manager import PagesManager

from app import routes, workbench
from engine import options
from engine.errors import ServerError

MAIN = Path(__file__).with_name("main.py")
COOKIE = "starling_token"
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
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Gate:
    """ASGI middleware that turns away requests from other sites, other hosts, or without the token.

    Args:
        app: what it guards.
        token: the secret; empty checks hosts and origins only.
        hosts: host names this server answers to.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...]) -> None:
        self.app = app
        self.token = token
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or web socket, or pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self.hosts:
            await self._refuse(scope, receive, send, 421, f"This server does not answer to the host “{host}”.")
            return
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            await self._refuse(scope, receive, send, 403, "A page of another site asked; Starling refused.")
            return
        if origin is None and scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            await self._refuse(scope, receive, send, 403, "A change needs an Origin header of this server.")
            return
        if not self.token:
            await self.app(scope, receive, send)
            return
        await self._with_token(scope, receive, send, headers.get("cookie", ""))

    async def _with_token(self, scope: Scope, receive: Receive, send: Send, cookie: str) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.pop("token", [""])[0]
        jar: SimpleCookie = SimpleCookie(cookie)
        kept = jar[self.cookie(scope)].value if self.cookie(scope) in jar else ""
        if given and hmac.compare_digest(given.encode(), self.token.encode()) and scope["type"] == "http":
            rest = urlencode(query, doseq=True)
            response = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), status_code=303)
            response.set_cookie(self.cookie(scope), self.token, httponly=True, samesite="strict")
            await response(scope, receive, send)
        elif kept and hmac.compare_digest(kept.encode(), self.token.encode()):
            await self.app(scope, receive, send)
        else:
            text = "Open Starling by the address it printed when it started: it carries the access token."
            await self._refuse(scope, receive, send, 401, text)

    @staticmethod
    def cookie(scope: Scope) -> str:
        """Return the cookie's name: one a port, since browsers share cookies among the ports of a host."""
        server = scope.get("server")
        return f"{COOKIE}_{server[1] if server else 0}"

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": text[:120]})
        else:
            await PlainTextResponse(text, status_code=status)(scope, receive, send)


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
        middleware=[Middleware(Gate, token=token, hosts=hosts)],
    )


def new_token() -> str:
    """Return a fresh access token."""
    return secrets.token_urlsafe(24)


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
