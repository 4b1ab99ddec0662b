"""How long a connection may stay open without a request: uvicorn has no limit for one that never sends its head."""

from __future__ import annotations

import asyncio
import socket

import h11
import uvicorn.config
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
"""From a connection, or the end of an answer, to the end of the next request's head."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which closes connections that are half open, or send what nobody reads any more."""

    _deadline: asyncio.TimerHandle | None = None

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
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the web socket's protocol, which pings."""
        self._rest()
        super().handle_websocket_upgrade(event)

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
