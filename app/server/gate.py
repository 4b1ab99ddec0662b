"""The gate in front of everything: host and origin, the place below the host, and who is signed in.

The printed address carries the access token once. It is taken for a session (see `app.server.sessions`), whose secret
the browser keeps in a cookie; scripts send the token itself, as `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.access import Access
from app.server.sessions import LONGEST, Sessions
from engine.errors import ServerError

COOKIE = "starling_session"
SIGN_IN = "Open Starling by the address it printed when it started: it carries the access token."
_UNSAFE_NAME = "This server does not answer to the host “{}”. If that is its name, start it with --allow-host {}."
_NO_HOST = (
    "The proxy before Starling does not pass on what Starling needs. It must speak HTTP/1.1 and keep the host: in "
    "nginx proxy_http_version 1.1; proxy_set_header Host $http_host; and the headers for web sockets."
)
_NO_PROXY = (
    "A proxy forwarded this request, and Starling was not told of it. Start it with --behind-proxy {} and with "
    "--allow-host and the name of the host."
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD")


class Refused(Exception):
    """A request that is not let in: the status of the answer, and why."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself: its headers by lower-case name, the scheme and the host that the browser sees."""

    headers: dict[str, str]
    scheme: str
    host: str
    by_proxy: bool

    @property
    def secure(self) -> bool:
        """Whether it came by TLS."""
        return self.scheme in {"https", "wss"}


class Gate:
    """ASGI middleware that turns away requests from other sites, for other hosts, or of browsers not signed in.

    Args:
        app: what it guards.
        token: the secret; empty checks hosts and origins only.
        reached: by what a request is meant for this app.
        sessions: who is signed in.
    """

    def __init__(self, app: ASGIApp, token: str, reached: Access, sessions: Sessions) -> None:
        self.app = app
        self.token, self.reached, self.sessions = token, reached, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or web socket, or pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        try:
            asked = self._asked(scope)
            path = self._path(scope, asked)
            self._check_site(scope, asked)
            answer = await self._answer(scope, asked, path)
        except Refused as refused:
            await _refuse(scope, receive, send, refused)
            return
        except ServerError as error:
            await _refuse(scope, receive, send, Refused(503, str(error)))
            return
        if answer is not None:
            await answer(scope, receive, send)
            return
        inner = {**scope, "scheme": asked.scheme, "path": path}
        if path != scope["path"]:
            inner["raw_path"] = quote(path).encode()
        inner["headers"] = [(k, v) for k, v in scope["headers"] if k != b"host"] + [(b"host", asked.host.encode())]
        if scope["type"] == "websocket" and self.token:
            receive = self._while_signed_in(receive, send, self._secret(asked))
        await self.app(inner, receive, send)

    def _asked(self, scope: Scope) -> Asked:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        peer = str((scope.get("client") or ("",))[0])
        by_proxy = self.reached.is_proxy(peer)
        if not by_proxy and headers.keys() & {"x-forwarded-proto", "x-forwarded-host"}:
            raise Refused(421, _NO_PROXY.format(peer))
        if scope.get("http_version") == "1.0" and "sec-fetch-mode" in headers:
            raise Refused(400, _NO_HOST)  # no browser speaks it, and no web socket would get through
        scheme, host = scope.get("scheme", "http"), headers.get("host", "")
        if by_proxy:
            # Of several values the last one is what the proxy itself has seen.
            forwarded = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
            if forwarded in {"http", "https"}:
                scheme = forwarded if scope["type"] == "http" else {"http": "ws", "https": "wss"}[forwarded]
            host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip() or host
        if not host:
            raise Refused(400, _NO_HOST)
        try:
            parts = urlsplit(f"//{host}")
            name, _ = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise Refused(400, "The Host header is no host.") from None
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            raise Refused(400, "The Host header is no host.")
        if name not in self.reached.hosts:
            known = name if name.isascii() and name.isprintable() else "NAME"
            raise Refused(421, _UNSAFE_NAME.format(host, known))
        return Asked(headers, scheme, host, by_proxy)

    def _path(self, scope: Scope, asked: Asked) -> str:
        """Return the path with what the app lies below; a proxy may have taken that off."""
        path, base = str(scope["path"]), self.reached.base_path
        if path.startswith("//") or "\\" in path:
            raise Refused(400, "The path is no path of this server.")
        if not base or path.startswith(f"{base}/"):
            return path
        if path == base:
            return f"{base}/"
        if asked.by_proxy:
            return base + path
        if path == "/" and scope["type"] == "http" and scope["method"] in _READING:
            return f"{base}/"
        raise Refused(404, f"Starling lies below {base}/ on this server.")

    def _check_site(self, scope: Scope, asked: Asked) -> None:
        """Let in what a page of this app asks, and a person who follows a link; nothing that another site's page does.

        Other ports of the host count as the same site, to which browsers send the cookie.
        """
        site, method = asked.headers.get("sec-fetch-site", "none"), scope.get("method", "GET")
        followed = (
            scope["type"] == "http"
            and method in _READING
            and asked.headers.get("sec-fetch-mode") == "navigate"
            and asked.headers.get("sec-fetch-dest") == "document"
        )
        if site not in {"none", "same-origin"} and not followed:
            raise Refused(403, "A page of another site asked; Starling refused.")
        origin = asked.headers.get("origin")
        if origin is not None:
            try:
                same = _address(origin) == _address(f"{asked.scheme.replace('ws', 'http')}://{asked.host}")
            except ValueError:
                raise Refused(400, "The Origin header is no origin.") from None
            if not same:
                raise Refused(403, "A page of another site asked; Starling refused.")
        elif scope["type"] == "http" and method not in _READING and not self._has_token(asked):
            raise Refused(403, "A change needs an Origin header of this server.")

    async def _answer(self, scope: Scope, asked: Asked, path: str) -> Response | None:
        """Return the answer to a request that goes no further; None for one that is let in."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = query.pop("token", [""])[0] if self.token else ""
        location = quote(path) + (f"?{urlencode(query, doseq=True)}" if query else "")
        if given and scope["type"] == "http" and self._is_token(given):
            return await self._signed_in(asked, location)
        if self.token and not self._has_token(asked):
            secret = self._secret(asked)
            known = bool(secret) and (
                self.sessions.knows_still(secret) or await run_in_threadpool(self.sessions.knows, secret)
            )
            if not known:
                raise Refused(401, SIGN_IN)
        moved = path != scope["path"] and not asked.by_proxy
        return RedirectResponse(location, status_code=303) if moved else None

    async def _signed_in(self, asked: Asked, location: str) -> Response:
        agent, name = asked.headers.get("user-agent", ""), asked.host
        secret = await run_in_threadpool(self.sessions.begin, agent, name)
        response = RedirectResponse(location, status_code=303)
        response.set_cookie(
            self._cookie(), secret, max_age=LONGEST, path=self.reached.base_path or "/",
            secure=asked.secure, httponly=True, samesite="strict",
        )  # fmt: skip
        return response

    def _has_token(self, asked: Asked) -> bool:
        """Return whether a script sent the token; what a proxy's own sign-in passes on is not looked at."""
        scheme, _, given = asked.headers.get("authorization", "").partition(" ")
        return bool(self.token) and scheme.lower() == "bearer" and self._is_token(given.strip())

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self.token.encode())

    def _cookie(self) -> str:
        return f"{COOKIE}_{self.sessions.name}"

    def _secret(self, asked: Asked) -> str:
        return cookie_parser(asked.headers.get("cookie", "")).get(self._cookie(), "")

    def _while_signed_in(self, receive: Receive, send: Send, secret: str) -> Receive:
        """Return what passes on a web socket's messages until its session ends."""

        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and secret and not self.sessions.knows(secret):
                await send({"type": "websocket.close", "code": 1008, "reason": "signed out"})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return received


def _address(origin: str) -> tuple[str, str | None, int | None]:
    parts: Any = urlsplit(origin)
    if origin != "null" and not (parts.scheme and parts.hostname):
        raise ValueError("no origin")
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refused.text[:40]})
    else:
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        await PlainTextResponse(refused.text, refused.status, headers)(scope, receive, send)


def new_token() -> str:
    """Return a fresh access token."""
    return secrets.token_urlsafe(24)
