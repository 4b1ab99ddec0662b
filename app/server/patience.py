"""How long a connection may wait with its request, and how long its head may be: uvicorn limits neither."""

from __future__ import annotations

import asyncio
import socket

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
"""From a connection, or the end of an answer, to the end of the next request's head."""
HEAD_BYTES = 65_536
"""Of a request's head, and of what else comes with its body."""
FRAMING = 8
"""Bytes that may come with each byte of a body: one byte a chunk takes five more."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes connections that are half open, or send what nobody reads any more."""

    _deadline: asyncio.TimerHandle | None = None
    _received = _of_body = 0
    """Bytes since the request began, and those of its body among them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head.

        An answer goes out as it is written: head and body are two writes, and the system would keep the second one back
        until the browser has confirmed the first, which may take it 40 ms. asyncio says so for its own sockets alone.
        """
        super().connection_made(transport)
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is whole ends the waiting."""
        self._received += len(data)
        super().data_received(data)
        if self._received > HEAD_BYTES + FRAMING * self._of_body and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")
        self._watch()

    def on_message_begin(self) -> None:
        """Count anew."""
        super().on_message_begin()
        self._received = self._of_body = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._of_body += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the web socket's protocol, which pings."""
        self._rest()
        super().handle_websocket_upgrade()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()
        elif self._deadline is None and self.transport.get_protocol() is self:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.close()


def install() -> None:
    """Let the server that Streamlit makes take this protocol; Streamlit has no setting for it."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{PatientProtocol.__name__}"
