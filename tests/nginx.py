"""A real nginx with TLS before a real Starling, by the very configuration that app/server/README.md shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
DOCUMENT = Path(__file__).resolve().parents[1] / "app" / "server" / "README.md"
NAME = "lab.localhost"
"""Chromium resolves it to this machine."""
BASE = "/labels"
OPTIONS = ("--allow-host", NAME, "--base-path", BASE, "--behind-proxy", "127.0.0.1")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx(folder: Path, app_port: int) -> Iterator[int]:
    """Run nginx before the app; yield the port at which it speaks TLS.

    Args:
        folder: for its files; it is made.
        app_port: where Starling listens, at 127.0.0.1.
    """
    assert NGINX is not None
    folder.mkdir()
    port = free_port()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    command += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "nginx.conf").write_text(_configuration(folder, port, app_port))
    server = subprocess.Popen(
        [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")],
        stdout=sys.stderr, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not _listens(port):
            assert server.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(20)


@dataclass(frozen=True)
class Served:
    """A Starling behind nginx: the port at which nginx speaks TLS, the token, and what Starling has printed."""

    port: int
    token: str
    log: Path

    @property
    def url(self) -> str:
        """Where a browser opens it."""
        return f"https://{NAME}:{self.port}{BASE}/?token={self.token}"


@contextmanager
def served(folder: Path, project: Path) -> Iterator[Served]:
    """Run Starling with a project, and nginx before it, until the block ends.

    Args:
        folder: for their files; it is there.
        project: its folder; the one above is the home.
    """
    port, token, log = free_port(), "a-token-of-the-lab-itself", folder / "app.log"
    command = [sys.executable, "-m", "app.cli", "ui", str(project), "--home", str(project.parent), "--port", str(port)]
    environment = {**os.environ, "COLUMNS": "300", "PYTHONUNBUFFERED": "1", "STARLING_TOKEN": token}
    with open(log, "wb") as out:
        app = subprocess.Popen([*command, *OPTIONS], stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        with nginx(folder / "nginx", port) as tls_port:
            deadline = time.monotonic() + 240
            while not _listens(port):
                assert app.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield Served(tls_port, token, log)
    finally:
        app.kill()
        app.wait(20)


def _configuration(folder: Path, port: int, app_port: int) -> str:
    (text,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    for shown, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("lab.example.org", NAME),
        ("/etc/ssl/lab.crt", str(folder / "cert.pem")),
        ("/etc/ssl/lab.key", str(folder / "key.pem")),
        ("http://127.0.0.1:8501", f"http://127.0.0.1:{app_port}"),
    ):
        assert text.count(shown) == 1, shown
        text = text.replace(shown, here)
    places = "".join(
        f"{kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nworker_processes 1;\npid {folder / 'pid'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{text}\n}}\n"
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
