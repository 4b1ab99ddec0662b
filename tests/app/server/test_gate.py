"""The gate in front of the app: host, origin, sign-in and proxies, for requests and web sockets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.server import access, sessions
from app.server.gate import Gate
from app.server.policy import Policy
from app.server.sessions import Sessions
from engine.errors import ConfigError

HERE = "http://127.0.0.1:8501"
BEARER = {"authorization": "Bearer sesame"}
Start = Callable[..., TestClient]


async def _echo(request: Request) -> PlainTextResponse:
    answer = PlainTextResponse(f"{request.method} {request.url.path} {request.url.query} {request.url.scheme}")
    answer.set_cookie("streamlits", "own")
    return answer


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return what makes a browser of an app with the gate in front."""

    def made(peer: str = "127.0.0.1", url: str = HERE, **options: object) -> TestClient:
        reached = access.access("127.0.0.1", **options)  # type: ignore[arg-type]
        app = Starlette(
            routes=[
                Route("/{path:path}", _echo, methods=["GET", "POST"]),
                WebSocketRoute("/stream", _socket),
                WebSocketRoute("/lab/stream", _socket),
            ],
            middleware=[
                Middleware(Gate, token="sesame", reached=reached, sessions=Sessions(tmp_path)),
                Middleware(Policy),
            ],
        )
        return TestClient(app, base_url=url, follow_redirects=False, client=(peer, 50000))

    return made


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()


def test_without_the_token_nothing_is_shown(client: TestClient) -> None:
    answer = client.get("/page")
    assert answer.status_code == 401
    assert "address it printed" in answer.text


def test_token_in_the_address_becomes_a_session_and_leaves_the_address(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/page?token=sesame&tab=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/page?tab=2")
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
    assert client.get("/page").text == "GET /page  http"
    kept = (tmp_path / sessions.FILE).read_text()
    assert "sesame" not in cookie + kept
    secret = re.search(r"=([^;]+);", cookie)
    assert secret is not None
    assert secret[1] not in kept
    assert (tmp_path / sessions.FILE).stat().st_mode & 0o777 == 0o600


def test_cookie_that_holds_the_token_itself_opens_nothing(client: TestClient) -> None:
    client.get("/page?token=sesame")
    (name,) = client.cookies
    client.cookies.clear()
    for cookie in (f"{name}=sesame", "starling_token_8501=sesame"):
        assert client.get("/page", headers={"cookie": cookie}).status_code == 401


def test_wrong_token_is_refused(client: TestClient) -> None:
    assert client.get("/page?token=sesam").status_code == 401
    assert client.get("/page?token=").status_code == 401
    for wrong in ("Bearer sesam", "Bearer", "Basic sesame", "Bearer sesam\xe9"):
        assert client.get("/page", headers={"authorization": wrong.encode("latin-1")}).status_code == 401


def test_sign_in_of_a_proxy_beside_the_session_is_not_looked_at(client: TestClient) -> None:
    client.get("/page?token=sesame")
    basic = {"authorization": "Basic YW5uOnNlc2FtZQ=="}
    assert client.get("/page", headers=basic).status_code == 200
    assert client.post("/page", headers=basic).status_code == 403  # browsers send that by themselves
    assert client.post("/page", headers={**basic, "origin": HERE}).status_code == 200


def test_cookie_of_something_else_on_the_host_does_not_sign_anybody_out(client: TestClient) -> None:
    client.get("/page?token=sesame")
    ((name, secret),) = client.cookies.items()
    client.cookies.clear()
    assert client.get("/page", headers={"cookie": f'a[0]={{"b": 1}}; {name}={secret}'}).status_code == 200


def test_browser_signed_out_from_elsewhere_gets_in_no_more(client: TestClient, tmp_path: Path) -> None:
    client.get("/page?token=sesame")
    assert client.get("/page").status_code == 200
    beside = Sessions(tmp_path)
    (one,) = beside.all()
    beside.revoke([one.id])
    assert client.get("/page").status_code == 401


def test_web_socket_of_a_browser_that_is_signed_out_closes(client: TestClient, tmp_path: Path) -> None:
    client.get("/page?token=sesame")
    with client.websocket_connect("ws://127.0.0.1:8501/stream", headers={"origin": HERE}) as socket:
        socket.send_text("one")
        assert socket.receive_text() == "one"
        Sessions(tmp_path).revoke([one.id for one in Sessions(tmp_path).all()])
        socket.send_text("two")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_session_ends_unused_and_at_the_latest_by_its_age(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = time.time()
    client.get("/page?token=sesame")

    def status(days: float) -> int:
        monkeypatch.setattr(time, "time", lambda: begun + days * 86400)
        return client.get("/page").status_code

    assert [status(day) for day in (0, 6, 12, 18, 24, 29, 30.1)] == [200] * 6 + [401]
    monkeypatch.setattr(time, "time", lambda: begun + 31 * 86400)
    client.get("/page?token=sesame")
    assert status(31 + 7.1) == 401
    assert Sessions(tmp_path).all() == []


def test_a_look_at_the_time_of_the_file_is_enough_while_nothing_changed(tmp_path: Path) -> None:
    sessions, beside = Sessions(tmp_path), Sessions(tmp_path)
    secret = beside.begin()
    assert not sessions.knows_still(secret), "it was not read yet"
    assert sessions.knows(secret)
    assert sessions.knows_still(secret)
    assert not sessions.knows_still("another")
    beside.revoke([one.id for one in beside.all()])
    assert not sessions.knows_still(secret), "another process ended it"
    assert not sessions.knows(secret)


def test_another_folder_of_projects_has_sessions_of_its_own(start: Start, tmp_path: Path) -> None:
    secret = Sessions(tmp_path / "one").begin()
    assert Sessions(tmp_path / "one").knows(secret)
    assert not Sessions(tmp_path / "two").knows(secret)
    assert Sessions(tmp_path / "one").name != Sessions(tmp_path / "two").name


def test_foreign_host_is_refused_even_with_the_token(client: TestClient) -> None:
    answer = client.get("/page", headers={**BEARER, "host": "lab.example:8501"})
    assert answer.status_code == 421
    assert "--allow-host lab.example" in answer.text


@pytest.mark.parametrize("allowed", ["lab.example", "LAB.example.", "[fe80::1]"])
def test_host_that_was_allowed_is_answered(start: Start, allowed: str) -> None:
    host = allowed.lower().rstrip(".")
    assert start(allowed=[allowed]).get("/page", headers={**BEARER, "host": f"{host}:8501"}).status_code == 200


@pytest.mark.parametrize("host", ["[", "[::1", "a]", "localhost:port", "localhost:99999", "x@localhost", "localhost/x"])
def test_host_that_is_none_is_a_wrong_request(client: TestClient, host: str) -> None:
    assert client.get("/page", headers={**BEARER, "host": host}).status_code == 400


@pytest.mark.parametrize("origin", ["[", "", "127.0.0.1:8501", "http://[", "http://[::1", "http://127.0.0.1:x"])
def test_origin_that_is_none_is_a_wrong_request(client: TestClient, origin: str) -> None:
    assert client.get("/page", headers={**BEARER, "origin": origin}).status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:8501", "null"])
def test_foreign_origin_is_refused(client: TestClient, origin: str) -> None:
    assert client.get("/page", headers={**BEARER, "origin": origin}).status_code == 403


def test_change_needs_an_origin_of_this_server(client: TestClient) -> None:
    client.get("/page?token=sesame")
    assert client.post("/page").status_code == 403
    assert client.post("/page", headers={"origin": HERE}).status_code == 200
    client.cookies.clear()
    assert client.post("/page", headers=BEARER).status_code == 200  # no browser sends that by itself


def test_page_of_another_port_of_this_host_gets_nothing_by_the_cookie(client: TestClient) -> None:
    client.get("/page?token=sesame")
    picture = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    frame = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    own = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
    status = [client.get("/page", headers=one).status_code for one in (picture, frame, link, own)]
    assert status == [403, 403, 200, 200]
    assert client.post("/page", headers={**link, "origin": HERE}).status_code == 403


@pytest.mark.parametrize("path", ["//elsewhere.example/x", "//elsewhere.example", "/\\elsewhere.example", "///x"])
def test_nobody_is_led_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(f"{HERE}{path}?token=sesame")
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_every_answer_forbids_frames_and_scripts_from_elsewhere(client: TestClient) -> None:
    for answer in (client.get("/page", headers=BEARER), client.get("/page")):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    rules = dict(
        rule.split(" ", 1)
        for rule in client.get("/page", headers=BEARER).headers["content-security-policy"].split("; ")
    )
    assert rules["default-src"] == "'none'"
    assert {"'unsafe-inline'", "'unsafe-eval'", "data:", "*"} & set(rules["script-src"].split()) == set()
    assert "//" not in " ".join(rules.values()).replace("sha256-", "")
    assert re.search(r"'sha256-[\w+/]{43}='", rules["script-src"])


def test_web_socket_needs_sign_in_and_origin(client: TestClient) -> None:
    def opens(headers: dict[str, str]) -> bool:
        try:
            with client.websocket_connect("ws://127.0.0.1:8501/stream", headers=headers) as socket:
                socket.send_text("in")
                return socket.receive_text() == "in"
        except WebSocketDisconnect:
            return False

    assert not opens({})
    assert not opens({"origin": HERE})
    assert not opens({**BEARER, "origin": "http://evil.example"})
    assert opens({**BEARER, "origin": HERE})
    client.get("/page?token=sesame")
    assert opens({"origin": HERE})


PROXY = {"allowed": ["lab.example"], "base_path": "lab/", "proxies": ["10.0.0.0/24"]}
FORWARDED = {"host": "127.0.0.1:8501", "x-forwarded-host": "lab.example", "x-forwarded-proto": "https"}


def test_behind_a_proxy_the_name_and_scheme_that_the_browser_sees_count(start: Start) -> None:
    client = start("10.0.0.7", **PROXY)
    answer = client.get("/lab/page?token=sesame", headers=FORWARDED)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lab/page")
    assert {"secure", "path=/lab", "httponly"} <= set(answer.headers["set-cookie"].lower().split("; "))
    change = {**FORWARDED, **BEARER, "origin": "https://lab.example"}
    answer = client.post("/lab/page", headers=change)
    assert answer.text == "POST /lab/page  https"
    assert "; Secure" in answer.headers["set-cookie"]
    assert client.post("/lab/page", headers={**change, "origin": "http://lab.example"}).status_code == 403


def test_last_forwarded_value_is_the_proxys_own(start: Start) -> None:
    client = start("10.0.0.7", **PROXY)
    said = {"x-forwarded-host": "localhost, lab.example", "x-forwarded-proto": "http, https"}
    answer = client.get("/lab/page", headers={**BEARER, **said})
    assert answer.text.endswith("https")
    said["x-forwarded-host"] = "lab.example, evil.example"
    assert client.get("/lab/page", headers={**BEARER, **said}).status_code == 421


def test_path_below_the_host_is_found_whether_the_proxy_keeps_it_or_not(start: Start) -> None:
    client = start("10.0.0.7", **PROXY)
    for path in ("/lab/page", "/page"):
        assert client.get(path, headers={**FORWARDED, **BEARER}).text.startswith("GET /lab/page ")
    assert client.get("/lab", headers={**FORWARDED, **BEARER}).text.startswith("GET /lab/ ")


def test_without_a_proxy_the_path_below_the_host_is_shown_once(start: Start) -> None:
    client = start(base_path="/lab")
    answer = client.get("/?token=sesame&tab=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/lab/?tab=2")
    answer = client.get("/lab?tab=2", headers=BEARER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lab/?tab=2")
    assert client.get("/lab/?tab=2", headers=BEARER).status_code == 200
    answer = client.get("/elsewhere", headers=BEARER)
    assert answer.status_code == 404
    assert "/lab/" in answer.text


def test_forwarded_headers_of_anybody_else_are_not_believed(start: Start) -> None:
    client = start("10.0.1.7", **PROXY)
    answer = client.get("/lab/page", headers={**FORWARDED, **BEARER})
    assert answer.status_code == 421
    assert "--behind-proxy 10.0.1.7" in answer.text


def test_proxy_without_the_host_is_told_of_instead_of_a_blank_page(start: Start) -> None:
    client = start("10.0.0.7", **PROXY)
    answer = client.get("/lab/page", headers={**BEARER, "host": ""})
    assert answer.status_code == 400
    assert "$http_host" in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed": ["http://lab.example"]}, {"allowed": ["lab.example/x"]}, {"allowed": [""]}, {"allowed": ["*"]},
        {"base_path": "/a b"}, {"base_path": "/a/../b"}, {"base_path": "/a//b"}, {"base_path": "/{key}"},
        {"proxies": ["proxy.example"]}, {"proxies": ["10.0.0.0/99"]}, {"proxies": ["*"]},
    ],
)  # fmt: skip
def test_option_that_is_none_is_refused_in_words(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"Give it as in"):
        access.access("127.0.0.1", **wrong)  # type: ignore[arg-type]


def test_everywhere_is_printed_as_addresses_that_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "own_names", lambda: ("192.0.2.7", "fe80::7", "desk"))
    for address in ("0.0.0.0", "::"):
        reached = access.access(address, ["lab.example"])
        urls = access.urls(address, 8501, reached, ["lab.example"])
        assert urls == [f"http://{name}:8501/" for name in ("127.0.0.1", "192.0.2.7", "desk", "lab.example")]
        assert {url.split(":")[1].strip("/") for url in urls} <= set(reached.hosts)
    assert access.urls("::1", 80, access.access("::1")) == ["http://[::1]:80/"]
    behind = access.access("127.0.0.1", ["lab.example"], "/lab", ["127.0.0.1"])
    assert access.urls("127.0.0.1", 8501, behind, ["lab.example"]) == ["https://lab.example/lab/"]


def test_own_names_are_those_of_this_machine() -> None:
    names = access.own_names()
    assert names
    assert not set(names) & set(access.LOOPBACK)
    assert replace(access.access("0.0.0.0"), hosts=()) == access.Access(hosts=())
