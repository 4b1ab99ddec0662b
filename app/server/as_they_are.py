"""Exports leave as they lie on the disk: Streamlit would pack those that are text on their way."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_EXPORT = re.compile(r".*/starling/p/[^/]+/exports/")


class AsTheyAre:
    """ASGI middleware in front of one that packs answers: it is told that who asks for an export takes it plain.

    Packed on the way, a file has no length beforehand, and a download that broke off cannot go on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and _EXPORT.match(scope["path"]):
            scope = {**scope, "headers": [one for one in scope["headers"] if one[0] != b"accept-encoding"]}
        await self.app(scope, receive, send)
