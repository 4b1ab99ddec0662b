"""The real app in a process of its own, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class RunningApp:
    """A started `starling ui`: its address with the token, its process."""

    def __init__(self, home: Path, *arguments: str, port: int = 0) -> None:
        self.home = home
        self.log = home.parent / f"app-{time.monotonic_ns()}.log"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "500", "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, "-m", "app.cli", "ui", *arguments, "--home", str(home), "--port", str(port)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self.url = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(r"http://\S+token=\S+", self.log.read_text(errors="replace"))
            if found and _answers(found[0]):
                return found[0]
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            time.sleep(0.1)
        raise AssertionError(f"no address in time: {self.log.read_text(errors='replace')}")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """End it as Ctrl+C does and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def _answers(url: str) -> bool:
    """Whether the server behind the address listens; without the token's cookie it says so with a 401."""
    try:
        urllib.request.urlopen(url.split("?")[0], timeout=2)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., RunningApp]]:
    started: list[RunningApp] = []

    def start(home: Path | None = None, *arguments: str, port: int = 0) -> RunningApp:
        folder = home or tmp_path / "home"
        folder.mkdir(exist_ok=True)
        started.append(RunningApp(folder, *arguments, port=port))
        return started[-1]

    yield start
    for app in started:
        if app.process.poll() is None:
            app.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.Browser]:
    if CHROMIUM is None:
        pytest.skip("the browser tests need chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: playwright.Browser) -> Iterator[playwright.Page]:
    # Playwright waits for functions by evaluating text, which the policy forbids; test_behind_proxy goes by the policy.
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    yield opened
    context.close()
