"""Exports downloaded from the real server: broken off and gone on with, large, by curl; and a large upload."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from engine.project.opened import Project

MEGABYTE = 1 << 20
LARGE = 300 * MEGABYTE
TOKEN = "open-sesame-open-sesame"
BEARER = f"Bearer {TOKEN}"


@dataclass
class Server:
    """A running app with one project: its port, its process, the start of the project's routes."""

    root: Path
    port: int
    process: psutil.Process
    base: str = ""

    @contextmanager
    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """Yield the answer to a request; the connection is closed afterwards, read to the end or not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"authorization": BEARER, **{name.replace("_", "-"): text for name, text in headers.items()}}
        try:
            connection.request(method, path, body, {name: text for name, text in given.items() if text})
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        with self.ask("GET", path, **headers) as answer:
            return answer.status, answer.read()

    def settled(self) -> int:
        """Wait until the server has loaded what it loads at its start, and return its memory, bytes."""
        seen: list[int] = []
        deadline = time.monotonic() + 120
        while len(seen) < 15 or max(seen[-15:]) - min(seen[-15:]) > MEGABYTE:
            assert time.monotonic() < deadline
            seen.append(self.process.memory_info().rss)
            time.sleep(0.2)
        return seen[-1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    Project.create(home / "pets").close()
    command = [sys.executable, "-m", "app.cli", "ui", str(home / "pets"), "--home", str(home), "--port", "0"]
    environment = {**os.environ, "COLUMNS": "300", "PYTHONUNBUFFERED": "1", "STARLING_TOKEN": TOKEN}
    log = home / "app.log"
    with open(log, "wb") as out:
        app = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r":(\d+)/\?token=", log.read_text())):
            assert app.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        made = Server(home / "pets", int(found[1]), psutil.Process(app.pid))
        while not made.base:
            assert time.monotonic() < deadline, log.read_text()
            try:
                key = re.search(rb'"projects":\["([^"]+)"', made.get("/starling/health")[1])
            except ConnectionRefusedError:
                time.sleep(0.1)
            else:
                assert key is not None
                made.base = f"/starling/p/{key[1].decode()}"
        yield made
    finally:
        app.kill()
        app.wait(10)


@pytest.fixture
def large(server: Server) -> Iterator[Path]:
    """An export of 300 MB of noise."""
    path, rng = server.root / "exports" / "large.csv", np.random.default_rng(0)
    with open(path, "wb") as file:
        for _ in range(LARGE // MEGABYTE):
            file.write(rng.bytes(MEGABYTE))
    yield path
    path.unlink()


@contextmanager
def _most(process: psutil.Process) -> Iterator[list[int]]:
    """Yield a list that gets the memory of a process, bytes, again and again."""
    seen, ended = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


def test_download_that_broke_off_goes_on_to_the_same_bytes(server: Server, large: Path) -> None:
    address = f"{server.base}/exports/large.csv"
    with server.ask("GET", address, accept_encoding="gzip, deflate, br") as first:
        assert first.getheader("content-encoding") is None
        assert first.getheader("content-length") == str(LARGE)
        part, etag = first.read(LARGE // 3 + 17), first.getheader("etag") or ""
    with server.ask("GET", address, range=f"bytes={len(part)}-", if_range=etag, accept_encoding="gzip") as rest:
        assert (rest.status, rest.getheader("content-encoding")) == (206, None)
        assert hashlib.sha256(part + rest.read()).digest() == hashlib.sha256(large.read_bytes()).digest()


def test_server_holds_little_of_what_it_sends_and_takes(server: Server, large: Path) -> None:
    server.get(f"{server.base}/exports/large.csv", range="bytes=0-9")
    before = server.settled()
    with _most(server.process) as seen:
        with server.ask("GET", f"{server.base}/exports/large.csv") as answer:
            while answer.read(MEGABYTE):
                pass
        origin, size = f"http://127.0.0.1:{server.port}", str(LARGE)
        with (
            open(large, "rb") as body,
            server.ask("POST", f"{server.base}/upload?name=a.zip", body, origin=origin, content_length=size) as taken,
        ):
            assert taken.status == 200, taken.read()
    (uploaded,) = (server.root / "staging").glob("delivery-upload-*.zip")
    assert uploaded.stat().st_size == LARGE
    uploaded.unlink()
    assert max(seen) - before < 30 * MEGABYTE


def test_file_replaced_while_it_is_sent_is_sent_as_it_was(server: Server, large: Path) -> None:
    was, digest = hashlib.sha256(large.read_bytes()).digest(), hashlib.sha256()
    with server.ask("GET", f"{server.base}/exports/large.csv") as answer:
        digest.update(answer.read(MEGABYTE))
        _replace(large)
        while chunk := answer.read(MEGABYTE):
            digest.update(chunk)
    assert digest.digest() == was


def test_nobody_without_the_token_gets_an_export(server: Server) -> None:
    (server.root / "exports" / "set.zip").write_bytes(b"0123456789")
    address = f"{server.base}/exports/set.zip"
    assert server.get(address) == (200, b"0123456789")
    with server.ask("HEAD", address) as answer:
        assert answer.getheader("content-length") == "10"
    for wrong in ("", f"{BEARER}x"):
        assert server.get(address, authorization=wrong)[0] == 401
        assert server.get(address, range="bytes=0-1", authorization=wrong)[0] == 401
    assert server.get(address, host="evil.example")[0] == 421
    assert server.get(address, origin="http://evil.example")[0] == 403
    (server.root / "exports" / "link.zip").symlink_to(server.root / "project.db")
    for name in ("link.zip", "..%2Fproject.db", "../project.db", "%2e%2e/project.db"):
        assert b"SQLite" not in server.get(f"{server.base}/exports/{name}")[1], name


def _replace(path: Path) -> None:
    """Put another file of the same size in its place."""
    aside = path.with_name("aside")
    aside.write_bytes(bytes(LARGE))
    aside.replace(path)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_goes_on_and_never_mixes_two_versions(server: Server, large: Path, tmp_path: Path) -> None:
    with Project.open(server.root, read_only=True) as project:
        (found,) = [one for one in project.exports.finished.all() if one.name == large.name]
    url = f"http://127.0.0.1:{server.port}{server.base}/exports/large.csv?version={found.version}"
    target = tmp_path / "got.csv"
    command = ["curl", "--silent", "--fail", "--continue-at", "-", "--header", f"Authorization: {BEARER}"]
    command += ["--output", str(target), url]
    whole = large.read_bytes()
    target.write_bytes(whole[: LARGE // 2])
    subprocess.run(command, check=True, timeout=120)
    assert target.read_bytes() == whole
    target.write_bytes(whole[: LARGE // 2])
    _replace(large)
    assert subprocess.run(command, check=False, timeout=120).returncode != 0
    assert target.read_bytes() == whole[: LARGE // 2]
