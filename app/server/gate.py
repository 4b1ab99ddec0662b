"""The gate in front of everything: the Host, the Origin, and a token that the printed URL carries once."""

from __future__ import annotations

import hmac
import secrets
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "starling_token"


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
        cookie_token = jar[self.cookie(scope)].value if self.cookie(scope) in jar else ""
        if given and hmac.compare_digest(given.encode(), self.token.encode()) and scope["type"] == "http":
            rest = urlencode(query, doseq=True)
            response = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), status_code=303)
            response.set_cookie(self.cookie(scope), self.token, httponly=True, samesite="strict")
            await response(scope, receive, send)
        elif cookie_token and hmac.compare_digest(cookie_token.encode(), self.token.encode()):
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


def new_token() -> str:
    """Return a fresh access token."""
    return secrets.token_urlsafe(24)
