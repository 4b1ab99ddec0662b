"""Starling behind a real nginx with TLS, below a path: sign-in, pages, web socket, upload, decision, download."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests import nginx as front
from tests.ready_project import ReadyProjects, grey

pytestmark = pytest.mark.skipif(front.NGINX is None, reason="needs nginx")
SPOTS = grey(12, {f"{folder}/{shade}.png": shade for folder in ("left", "right", "_unlabeled") for shade in (40, 90)})


@dataclass
class Browser:
    """What a browser does that looks at the proxy: it keeps cookies, and names the host that it sees."""

    port: int
    root: Path
    token: str
    cookies: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The host as the address line shows it."""
        return f"{front.NAME}:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
        given = {"Host": self.host, "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        given |= {} if method == "GET" else {"Origin": f"https://{self.host}"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("set-cookie") or []:
                self.said.append(cookie)
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, ready: ReadyProjects) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "home").mkdir()
    root = ready.copy(SPOTS, folder / "home" / "spots")
    with front.served(folder, root) as served:
        made = Browser(served.port, root, served.token)
        assert f"https://{front.NAME}{front.BASE}/?token={served.token}" in served.log.read_text()
        status, headers, _ = made.ask("GET", f"{front.BASE}/?token={served.token}")
        assert (status, headers["location"]) == (303, f"{front.BASE}/")
        yield made


def test_cookies_keep_to_tls_and_to_the_path(browser: Browser) -> None:
    browser.ask("GET", f"{front.BASE}/_stcore/health")
    assert browser.said
    assert all("secure" in one.lower() for one in browser.said), browser.said
    (session,) = [one for one in browser.said if one.startswith("starling_session")]
    assert {"httponly", "samesite=strict", f"path={front.BASE}"} <= set(session.lower().split("; "))
    assert browser.token not in session


def test_page_and_its_scripts_lie_below_the_path(browser: Browser) -> None:
    status, headers, page = browser.ask("GET", f"{front.BASE}/review_labels")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    found = re.search(rb'src="\./(static/js/[^"]+)"', page)
    assert found is not None
    status, headers, _ = browser.ask("GET", f"{front.BASE}/{found[1].decode()}")
    assert status == 200
    assert "javascript" in headers["content-type"]
    assert browser.ask("GET", f"{front.BASE}/_stcore/health")[2] == b"ok"


def test_nobody_gets_in_without_signing_in_or_by_another_name(browser: Browser) -> None:
    assert browser.ask("GET", f"{front.BASE}/", Cookie="")[0] == 401
    assert browser.ask("GET", f"{front.BASE}/", Host="evil.example")[0] == 421
    assert browser.ask("POST", f"{front.BASE}{_base(browser)}/undo", b"{}", Origin="https://evil.example")[0] == 403
    assert browser.ask("GET", f"{front.BASE}/", X_Forwarded_Host="evil.example")[0] == 200  # nginx says its own


def test_web_socket_opens_for_this_site_alone(browser: Browser) -> None:
    def opens(origin: str) -> bool:
        address = f"wss://{browser.host}{front.BASE}/_stcore/stream"
        with socket.create_connection(("127.0.0.1", browser.port), timeout=30) as line:
            try:
                with connect(
                    address, sock=line, ssl=ssl._create_unverified_context(), server_hostname=front.NAME,
                    origin=origin, subprotocols=["streamlit"],  # type: ignore[arg-type, list-item]
                    additional_headers={"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())},
                    open_timeout=60,
                ) as opened:  # fmt: skip
                    return opened.response is not None and opened.response.status_code == 101
            except Exception:
                return False

    assert opens(f"https://{browser.host}")
    assert not opens(f"http://{browser.host}")
    assert not opens("https://evil.example")


def _base(browser: Browser) -> str:
    status, _, body = browser.ask("GET", f"{front.BASE}/starling/health")
    assert status == 200
    (key,) = json.loads(body)["projects"]
    return f"/starling/p/{key}"


def test_upload_decision_and_download_go_through(browser: Browser) -> None:
    base = front.BASE + _base(browser)
    data = os.urandom(3 << 20)
    status, _, body = browser.ask("POST", f"{base}/upload?name=more.zip", data)
    assert (status, json.loads(body)["bytes"]) == (200, len(data))
    (kept,) = (browser.root / "staging").glob("delivery-upload-*")
    assert kept.read_bytes() == data

    item = json.loads(browser.ask("GET", f"{base}/queue")[2])["items"][0]
    one = {"uid": "u1", "image_id": item["image_id"], "base_version": 0, "action": "label", "label": "left"}
    status, _, body = browser.ask("POST", f"{base}/decisions", json.dumps({"decisions": [one]}))
    assert json.loads(body)["acks"][0]["status"] == "saved"

    (browser.root / "exports").mkdir(exist_ok=True)
    (browser.root / "exports" / "set.zip").write_bytes(data)
    status, headers, body = browser.ask("GET", f"{base}/exports/set.zip", Range="bytes=1000000-")
    assert (status, body) == (206, data[1_000_000:])
    assert "attachment" in headers["content-disposition"]


def test_too_large_a_request_is_refused_by_starling_itself(browser: Browser) -> None:
    status, _, body = browser.ask("POST", f"{front.BASE}{_base(browser)}/classes", bytes(2 << 20))
    assert status == 413
    assert "1,048,576 bytes" in json.loads(body)["message"]
