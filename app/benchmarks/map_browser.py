"""The part of `starling bench map` that looks at the map page in a headless Chromium."""

from __future__ import annotations

import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PLAY = """async () => {
  const roots = [document], find = (id) => {
    const seen = (root) => root.querySelector(`[data-testid=${id}]`) ||
      [...root.querySelectorAll('*')].map((n) => n.shadowRoot && seen(n.shadowRoot)).find(Boolean);
    return seen(document);
  };
  const canvas = find('map-canvas'), play = find('map-play');
  const before = Number(canvas.dataset.frames), began = performance.now();
  let ticks = 0, worst = 0, last = began;
  play.click();
  await new Promise((done) => {
    const tick = (now) => {
      ticks += 1;
      worst = Math.max(worst, now - last);
      last = now;
      if (play.dataset.playing === 'yes' || ticks < 5) requestAnimationFrame(tick);
      else done();
    };
    requestAnimationFrame(tick);
  });
  const seconds = (performance.now() - began) / 1000;
  return { seconds, ticks, drawn: Number(canvas.dataset.frames) - before, worst };
}"""


def measure_browser(root: Path) -> dict[str, Any]:
    """Open the map of a project whose maps are ready, and return bytes, seconds and frames a second.

    Raises:
        ImportError: playwright is not installed.
        RuntimeError: there is no Chromium, or the app did not start.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise RuntimeError("No Chromium was found. Install the package chromium.")
    with tempfile.TemporaryDirectory() as folder:
        app, url = start_app(root, Path(folder) / "app.log")
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.set_default_timeout(120_000)
                try:
                    return _measure(page, url)
                finally:
                    browser.close()
        finally:
            app.terminate()
            app.wait(30)


def start_app(root: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Serve a project by the command line; return the process and the address that it printed, with its token.

    Raises:
        RuntimeError: it did not start.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "500"}
    command = [sys.executable, "-m", "app.cli", "ui", str(root), "--home", str(root.parent), "--port", "0"]
    with open(log, "wb") as out:
        app = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
    for _ in range(1200):
        address = re.search(r"http://\S+token=\S+", log.read_text(errors="replace"))
        if address and _listens(address[0]):
            return app, address[0]
        time.sleep(0.1)
    app.kill()
    raise RuntimeError(f"The app did not start: {log.read_text(errors='replace')}")


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except OSError:
        return False
    return True


def _measure(page: Any, url: str) -> dict[str, Any]:
    sent = _count_bytes(page)
    page.goto(url)
    began = time.perf_counter()
    page.get_by_role("link", name="Map", exact=True).first.click()
    page.wait_for_function(_READY)
    figures: dict[str, Any] = {"page to first points s": round(time.perf_counter() - began, 2)}
    page.get_by_test_id("map-epoch").wait_for()
    page.wait_for_timeout(3000)
    page.get_by_test_id("map-speed").select_option("5")
    figures["fixed, playing"] = _speed(page.evaluate(PLAY))
    figures["fixed, pan and zoom"] = _pan(page)
    figures["lasso to grid ms"] = [_lasso(page) for _ in range(5)]
    page.get_by_test_id("map-layout-moving").click()
    page.wait_for_timeout(3000)
    page.get_by_test_id("map-speed").select_option("2")
    figures["moving, playing"] = _speed(page.evaluate(PLAY))
    figures["bytes"] = {name: size for name, size in sorted(sent.items()) if "map/" in name}
    return figures


_READY = """() => {
  const seen = (root) => root.querySelector('[data-testid=map-canvas]') ||
    [...root.querySelectorAll('*')].map((n) => n.shadowRoot && seen(n.shadowRoot)).find(Boolean);
  const area = (root) => root.querySelector('[data-testid=map-count]') ||
    [...root.querySelectorAll('*')].map((n) => n.shadowRoot && area(n.shadowRoot)).find(Boolean);
  return Number(seen(document)?.dataset.frames || 0) > 0 && /\\d/.test(area(document)?.textContent || '');
}"""


def _count_bytes(page: Any) -> dict[str, int]:
    """Count what each route sends over the wire, compressed as it is."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    names: dict[str, str] = {}
    sent: dict[str, int] = {}
    session.on("Network.responseReceived", lambda event: names.update({event["requestId"]: event["response"]["url"]}))

    def finished(event: dict[str, Any]) -> None:
        path = re.sub(r".*/starling/p/[^/]+/|\?.*", "", names.get(event["requestId"], ""))
        sent[path] = sent.get(path, 0) + int(event["encodedDataLength"])

    session.on("Network.loadingFinished", finished)
    return sent


def _speed(play: dict[str, float]) -> dict[str, float]:
    seconds = play["seconds"]
    return {
        "frames a second": round(play["ticks"] / seconds, 1), "drawings a second": round(play["drawn"] / seconds, 1),
        "longest frame ms": round(play["worst"], 1), "seconds": round(seconds, 1),
    }  # fmt: skip


_COUNT = """() => {
  const seen = (root) => root.querySelector('[data-testid=map-canvas]') ||
    [...root.querySelectorAll('*')].map((n) => n.shadowRoot && seen(n.shadowRoot)).find(Boolean);
  return Number(seen(document).dataset.frames);
}"""


def _pan(page: Any) -> dict[str, float]:
    """Drag and turn the wheel for some seconds; every drawing follows a movement of the mouse."""
    box = page.get_by_test_id("map-area").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before, began = page.evaluate(_COUNT), time.perf_counter()
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(x + 60 * math.sin(step / 9), y + 40 * math.cos(step / 7))
    page.mouse.up()
    for step in range(60):
        page.mouse.wheel(0, -40 if step < 30 else 40)
    seconds = time.perf_counter() - began
    drawn = page.evaluate(_COUNT) - before
    page.get_by_test_id("map-fit").click()
    return {"drawings a second": round(drawn / seconds, 1), "seconds": round(seconds, 1)}


def _lasso(page: Any) -> float:
    """Draw a lasso around a quarter of the map; return ms from letting go to the first picture of the grid in sight."""
    page.keyboard.press("Escape")
    page.get_by_test_id("map-mode-lasso").click()
    box = page.get_by_test_id("map-area").bounding_box()
    x, y, across = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 4
    page.mouse.move(x + across, y)
    page.mouse.down()
    for step in range(1, 33):
        angle = step * math.pi / 16
        page.mouse.move(x + across * math.cos(angle), y + across * math.sin(angle))
    began = time.perf_counter()
    page.mouse.up()
    picture = page.get_by_test_id("map-thumbs").locator("img").first
    picture.wait_for()
    picture.evaluate("node => node.complete || new Promise((done) => { node.onload = node.onerror = done; })")
    took = 1000 * (time.perf_counter() - began)
    page.get_by_test_id("map-selection-clear").click()
    return round(took, 1)
