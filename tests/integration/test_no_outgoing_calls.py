"""The default install calls nobody: import, round, export and the app by their system calls, whatever library calls."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.browser.cut_photos import cut

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="needs strace")
HERE = re.compile(r'sa_family=AF_(?:UNIX|LOCAL|NETLINK|UNSPEC)|inet_addr\("127\.0\.0\.1"\)|inet_pton\(AF_INET6, "::1"')


def traced(log: Path, *arguments: str) -> list[str]:
    """The command of Python with these arguments, traced."""
    calls = "trace=connect,bind,sendto,sendmsg,sendmmsg"
    return [str(STRACE), "-f", "-o", str(log), "--seccomp-bpf", "-e", calls, sys.executable, *arguments]


def addresses(log: Path) -> list[str]:
    """The calls of a trace that name an address."""
    return [line for line in log.read_text().splitlines() if "sa_family=" in line]


def elsewhere(log: Path) -> list[str]:
    """Those that name one of another machine, or ask a name server, which may be one of this machine."""
    return [line for line in addresses(log) if HERE.search(line) is None or "htons(53)" in line]


def test_import_round_and_export_call_nobody(tmp_path: Path) -> None:
    project, photos = str(tmp_path / "project"), tmp_path / "photos"
    for name, label in cut(tmp_path / "cut").items():
        if int(Path(name).stem) < 80:
            where = photos / ("_unlabeled" if int(Path(name).stem) >= 24 else label)
            where.mkdir(parents=True, exist_ok=True)
            shutil.move(tmp_path / "cut" / name, where / name)
    commands = [
        ("import", project, str(photos)),
        ("round", project),
        ("export", project, str(tmp_path / "out.csv"), "--format", "csv"),
    ]
    for number, command in enumerate(commands):
        log = tmp_path / f"trace-{number}"
        done = subprocess.run(traced(log, "-m", "app.cli", *command), capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        assert elsewhere(log) == []
    assert (tmp_path / "out.csv").exists()


def test_the_app_calls_nobody_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    log, said = tmp_path / "trace", tmp_path / "said"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "500"}
    with open(said, "wb") as out:
        command = traced(log, "-m", "app.cli", "ui", "--home", str(tmp_path / "home"), "--port", "0")
        app = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 100
        while (address := re.search(r"http://\S+token=\S+", said.read_text())) is None:
            assert app.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.2)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(address[0], timeout=20) as answer:
            assert answer.status == 200
        time.sleep(2)  # what calls home does it once the app is up
    finally:
        os.killpg(app.pid, signal.SIGINT)
        app.wait(30)
    listening = [line for line in addresses(log) if " bind(" in line and "AF_INET" in line]
    assert listening, "it was traced"
    assert elsewhere(log) == []


def test_a_call_to_another_machine_would_be_seen(tmp_path: Path) -> None:
    call = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9))"
    log = tmp_path / "trace"
    subprocess.run(traced(log, "-c", call), check=False, timeout=60)
    assert len(elsewhere(log)) == 1
