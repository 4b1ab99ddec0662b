"""The gate in front of the app: token, Host and Origin, for requests and web sockets."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.server.gate import LOOPBACK, Gate

HERE = "http://127.0.0.1:8501"
COOKIE = {"cookie": "starling_token_8501=sesame"}


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.method} {request.url.query}")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[Route("/page", _echo, methods=["GET", "POST"]), WebSocketRoute("/stream", _socket)],
        middleware=[Middleware(Gate, token="sesame", hosts=LOOPBACK)],
    )
    return TestClient(app, base_url=HERE, follow_redirects=False)


def test_without_the_token_nothing_is_shown(client: TestClient) -> None:
    answer = client.get("/page")
    assert answer.status_code == 401
    assert "address it printed" in answer.text


def test_token_in_the_address_becomes_a_strict_cookie_and_leaves_the_address(client: TestClient) -> None:
    answer = client.get("/page?token=sesame&tab=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/page?tab=2"
    cookie = answer.headers["set-cookie"].lower()
    assert "starling_token_8501=sesame" in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/page").text == "GET "


def test_wrong_token_is_refused(client: TestClient) -> None:
    assert client.get("/page?token=sesam").status_code == 401
    assert client.get("/page", headers={"cookie": "starling_token_8501=other"}).status_code == 401


def test_foreign_host_is_refused_even_with_the_token(client: TestClient) -> None:
    assert client.get("/page", headers={**COOKIE, "host": "evil.example:8501"}).status_code == 421


def test_foreign_origin_is_refused(client: TestClient) -> None:
    assert client.get("/page", headers={**COOKIE, "origin": "http://evil.example"}).status_code == 403
    assert client.get("/page", headers={**COOKIE, "origin": "http://127.0.0.1:9999"}).status_code == 403
    assert client.get("/page", headers={**COOKIE, "origin": "null"}).status_code == 403


def test_change_needs_an_origin_of_this_server(client: TestClient) -> None:
    assert client.post("/page", headers=COOKIE).status_code == 403
    assert client.post("/page", headers={**COOKIE, "origin": HERE}).status_code == 200


def test_web_socket_needs_token_and_origin(client: TestClient) -> None:
    def opens(headers: dict[str, str]) -> bool:
        try:
            with client.websocket_connect("ws://127.0.0.1:8501/stream", headers=headers) as socket:
                return socket.receive_text() == "in"
        except WebSocketDisconnect:
            return False

    assert not opens({})
    assert not opens({**COOKIE, "origin": "http://evil.example"})
    assert opens({**COOKIE, "origin": HERE})
