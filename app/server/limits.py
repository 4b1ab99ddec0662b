"""What a request may cost: how much it may carry, and how long its bytes may keep the server waiting.

A body is counted while it streams, whatever its Content-Length says, so that none is in memory beyond its limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1024**2
"""Of a body, where no rule says otherwise."""
STALLED_SECONDS = 60.0
"""Until the next bytes of a body that was begun."""
SENT_SECONDS = 300.0
"""Until a browser has taken what waits for it; one that lets a download rest goes on with it by its range."""

Rule = tuple[str, int]
"""A regular expression for a path, and the bytes that a body sent there may have."""


class TooLarge(Exception):
    """A body went on beyond its limit."""


class Stalled(Exception):
    """A body was begun, and no more of it comes."""


class Unread(Exception):
    """Nobody takes the answer."""


class Limits:
    """ASGI middleware that answers 413 to a body that is too large and 408 to one that does not go on.

    Args:
        app: what it guards.
        rules: where a body may be larger than MOST_BYTES; the first that fits counts.
        stalled_seconds: see STALLED_SECONDS.
        sent_seconds: see SENT_SECONDS.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: Sequence[Rule] = (),
        stalled_seconds: float = STALLED_SECONDS,
        sent_seconds: float = SENT_SECONDS,
    ) -> None:
        self.app = app
        self._rules = [(re.compile(path), most) for path, most in rules]
        self._stalled_seconds, self._sent_seconds = stalled_seconds, sent_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = next((most for path, most in self._rules if path.fullmatch(scope["path"])), MOST_BYTES)
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdecimal() or len(told) > 18 or int(told) > most:
            await _too_large(most)(scope, receive, send)
            return
        counted, begun = 0, False
        whole = False

        async def received() -> Message:
            nonlocal counted, whole
            if whole:
                return await receive()  # waits for the browser to go: as long as it likes
            try:
                async with asyncio.timeout(self._stalled_seconds):
                    message = await receive()
            except TimeoutError:
                raise Stalled from None
            counted += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if counted > most:
                raise TooLarge
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            try:
                async with asyncio.timeout(self._sent_seconds):
                    await send(message)
            except TimeoutError:
                raise Unread from None

        try:
            await self.app(scope, received, sent)
        except Unread:
            return  # the server closes what is not answered to its end
        except (TooLarge, Stalled) as error:
            if begun:
                return
            answer = _too_large(most) if isinstance(error, TooLarge) else _stalled()
            await answer(scope, receive, send)


def _too_large(most: int) -> JSONResponse:
    words = f"The request is too large. At most {most:,} bytes are taken here."
    return JSONResponse({"message": words}, status_code=413, headers={"Cache-Control": "no-store"})


def _stalled() -> JSONResponse:
    words = "The request did not go on. Send it again."
    headers = {"Cache-Control": "no-store", "Connection": "close"}
    return JSONResponse({"message": words}, status_code=408, headers=headers)
