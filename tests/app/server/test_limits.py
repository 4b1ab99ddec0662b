"""What a request may cost: bodies are counted while they stream, stalled ones and half-open connections are closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from app.routes import table as routes
from app.server import limits, patience, workbench
from app.server.limits import Limits

HALF = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Le"


async def _read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(sum([len(chunk) async for chunk in request.stream()])))


async def _endless(request: Request) -> StreamingResponse:
    async def noise() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    return StreamingResponse(noise())


ROUTES = [
    Route("/read", _read, methods=["POST"]),
    Route("/large", _read, methods=["POST"]),
    Route("/endless", _endless),
]


def _guarded(**options: float) -> Starlette:
    return Starlette(routes=ROUTES, middleware=[Middleware(Limits, rules=[("/large", 3 << 20)], **options)])


def test_body_up_to_its_limit_is_read_and_one_byte_more_is_not() -> None:
    client = TestClient(_guarded())
    for path, most in (("/read", limits.MOST_BYTES), ("/large", 3 << 20)):
        assert client.post(path, content=bytes(most)).text == str(most)
        answer = client.post(path, content=bytes(most + 1))
        assert answer.status_code == 413
        assert f"{most:,} bytes" in answer.json()["message"]


def test_body_is_counted_while_it_streams_whatever_its_length_says() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield bytes(64 << 10)

    sent: list[Message] = []

    async def ask() -> None:
        source = pieces()

        async def receive() -> Message:
            return {"type": "http.request", "body": next(source), "more_body": True}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/read", "raw_path": b"/read", "query_string": b"",
            "headers": [(b"content-length", b"10")], "root_path": "", "scheme": "http", "http_version": "1.1",
        }  # fmt: skip
        await _guarded()(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 413
    assert taken == 17


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "9" * 40])
def test_length_that_is_none_is_refused(length: str) -> None:
    assert TestClient(_guarded()).post("/read", headers={"content-length": length}).status_code == 413


def test_upload_that_is_refused_leaves_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = Starlette(routes=routes.ROUTES, middleware=[Middleware(Limits, rules=[(".*/upload", 2 << 20)])])
    opened = workbench.current().opened()[0]

    def noise() -> Iterator[bytes]:  # without a Content-Length
        for _ in range(3):
            yield bytes(1 << 20)

    answer = TestClient(guarded).post(f"{opened.base}/upload?name=a.zip", content=noise())
    assert answer.status_code == 413
    assert list((opened.project.root / "staging").iterdir()) == []
    assert opened.deliveries.all() == []


def test_routes_take_what_the_browser_sends_at_most() -> None:
    rules = dict(routes.LARGE)
    one = {
        "uid": "f" * 32 + "-100000", "image_id": 100_000, "base_version": 1_000_000, "action": "accept",
        "label": "c" * 60, "confidence": 0.123456, "round": 12, "batch": "f" * 32, "seconds": None,
        "seen_seconds": 12.345, "actor": "a" * 60, "blind": False, "asked": None,
    }  # fmt: skip
    assert len(json.dumps(one)) * 100_000 < rules["/starling/p/[^/]+/decisions"]


@contextlib.contextmanager
def _serving(app: Starlette) -> Iterator[int]:
    """Serve an app with Starling's protocol; yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", http=patience.PatientProtocol))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(30)


def _closed_after(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[float, bytes]:
    """Send pieces and wait until the server closes; return how many seconds that took, and what it said."""
    begun, said = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, contextlib.suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        while chunk := connection.recv(65536):
            said += chunk
    return time.monotonic() - begun, said


def test_half_open_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    whole = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    with _serving(_guarded(stalled_seconds=0.5)) as port:
        assert 0.4 < _closed_after(port)[0] < 20  # nothing at all
        assert 0.4 < _closed_after(port, HALF)[0] < 20  # half a head
        drips = [HALF[at : at + 1] for at in range(len(HALF))]
        assert _closed_after(port, *drips, pause=0.1)[0] < 20  # a head that drips
        seconds, said = _closed_after(port, whole, HALF)  # half a head behind a whole request
        assert said.count(b"HTTP/1.1 200") == 1
        assert seconds < 20
        seconds, said = _closed_after(port, whole[:-1])  # half a body
        assert b"408" in said
        assert b"Send it again" in said
        assert seconds < 20


def test_a_head_without_an_end_is_not_read_on() -> None:
    """Nor is what comes with a body and is none of it: the parser keeps it all."""
    kilobyte = b"x" * 1024
    body = b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = {
        "a path": (b"GET /", kilobyte),
        "a header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", kilobyte),
        "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: " + kilobyte + b"\r\n"),
        "behind a chunk": (body + b"1;a=", kilobyte),
        "trailers": (body + b"2\r\nab\r\n0\r\n", b"A: " + kilobyte + b"\r\n"),
    }
    with _serving(_guarded()) as port:
        for what, (begun, more) in endless.items():
            sent = 0
            opened = socket.create_connection(("127.0.0.1", port), timeout=30)
            with opened as connection, contextlib.suppress(OSError):
                connection.sendall(begun)
                while sent < 100 * patience.HEAD_BYTES:
                    sent += connection.send(more)
            assert sent < 100 * patience.HEAD_BYTES, what


def test_a_body_in_the_smallest_pieces_is_read() -> None:
    head = b"POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _serving(_guarded()) as port:
        _, said = _closed_after(port, head + b"1\r\nx\r\n" * 2 * patience.HEAD_BYTES + b"0\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200")
        head = b"GET /read?" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert b"too long" not in _closed_after(port, head)[1]


def test_slow_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.3)

    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(1.2)
        return PlainTextResponse("late")

    app = Starlette(routes=[Route("/slow", slow)], middleware=[Middleware(Limits, stalled_seconds=0.2)])
    with _serving(app) as port:
        request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert _closed_after(port, request)[1].endswith(b"late")


def test_answer_that_nobody_takes_is_given_up() -> None:
    with _serving(_guarded(sent_seconds=0.5)) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2.5)
        connection.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1 << 20):
                pass


def test_an_answer_is_sent_at_once_on_a_socket_as_streamlit_makes_it() -> None:
    """asyncio leaves a socket that was bound elsewhere with the system's delay of small packets."""
    at_once: list[int] = []

    class Noting(patience.PatientProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            at_once.append(option)

    config = uvicorn.Config(_guarded(), port=0, log_level="critical", http=Noting)
    with contextlib.closing(config.bind_socket()) as bound:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        with socket.create_connection(bound.getsockname()) as connection:
            connection.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 404"
        server.should_exit = True
        thread.join(30)
    assert [value != 0 for value in at_once] == [True]


def test_streamlits_server_takes_the_protocol() -> None:
    patience.install()
    config = uvicorn.Config(_guarded())
    config.load()
    assert config.http_protocol_class is patience.PatientProtocol


@pytest.mark.speed
def test_large_body_holds_nobody_up_for_long() -> None:
    """The parser lets other threads go on: no wait as long as the whole takes."""
    from app.routes.requests import parsed

    body = json.dumps({"decisions": [{"uid": f"u{i}", "image_id": i, "label": "x" * 60} for i in range(100_000)]})
    longest, ended = 0.0, threading.Event()

    def beat() -> None:
        nonlocal longest
        last = time.monotonic()
        while not ended.wait(0.001):
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    thread = threading.Thread(target=beat)
    thread.start()
    begun = time.monotonic()
    parsed(body.encode())
    whole = time.monotonic() - begun
    ended.set()
    thread.join()
    assert longest < max(0.1, whole / 2)
