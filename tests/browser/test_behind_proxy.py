"""Starling in Chromium behind a real nginx with TLS, below a path: upload, review by key, download."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.project.opened import Project
from tests import nginx as front
from tests.browser.test_whole_loop import export, go, settle, wait_until
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey, noisy_pets, write_zip

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = [pytest.mark.browser, pytest.mark.skipif(front.NGINX is None, reason="needs nginx")]
PAGES = ("Train", "Map", "Quality", "History")


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab that takes the test's own certificate."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, ignore_https_errors=True)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    yield opened
    context.close()


def test_whole_way_behind_a_proxy_below_a_path(tab: Any, ready: ReadyProjects, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = ready.copy(noisy_pets(20, 40, ("cat", "dog")), tmp_path / "home" / "pets")
    with Project.open(root) as planned:
        p = np.tile([0.7, 0.3], (60, 1))
        make_round(planned, p, epochs=[p])
    more = write_zip(tmp_path / "more.zip", grey(8, {"cat/a.png": 10, "cat/b.png": 90, "dog/c.png": 170}))
    refused: list[str] = []
    tab.on("console", lambda told: refused.append(told.text) if "Content Security Policy" in told.text else None)
    tab.on("pageerror", lambda error: refused.append(str(error)))
    with front.served(tmp_path, root) as served, Project.open(root, read_only=True) as project:
        address = f"https://{front.NAME}:{served.port}{front.BASE}/"
        tab.goto(served.url)
        settle(tab)
        assert tab.url == address

        tab.locator("input[type=file]").set_input_files(more)
        tab.get_by_role("button", name="Import 3 images").click()
        tab.get_by_text("Imported 3 images").wait_for()
        assert project.store.counts().images == 63

        go(tab, "Review")
        tab.get_by_test_id("review-image").wait_for()
        before = project.store.head_seq()
        for key in ("1", "2", "1"):
            front_image = tab.get_by_test_id("review-image").get_attribute("data-image-id")
            tab.keyboard.press(key)
            wait_until(
                tab, lambda was=front_image: tab.get_by_test_id("review-image").get_attribute("data-image-id") != was
            )
        wait_until(tab, lambda: project.store.head_seq() == before + 3)  # what is said of it is painted a frame later
        expect(tab.get_by_test_id("review-save-state")).to_have_text(
            re.compile("^saved", re.IGNORECASE), timeout=60_000
        )
        assert [one.label for one in project.store.history(limit=3)] == ["cat", "dog", "cat"]
        tab.reload()  # a page below the path, opened by its own address
        tab.get_by_test_id("review-image").wait_for()

        for title in PAGES:
            go(tab, title)
            assert tab.url.startswith(address)
            tab.get_by_text("pets", exact=True).first.wait_for()

        go(tab, "Quality")
        tab.get_by_test_id("stMain").get_by_text("Accuracy", exact=True).first.click()
        tab.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
        go(tab, "Export")
        downloaded = export(tab, tmp_path, 63)
        (written,) = (one for one in (root / "exports").iterdir() if not one.name.startswith("."))
        assert downloaded.read_bytes() == written.read_bytes()

        cookies = {one["name"]: one for one in tab.context.cookies()}
        assert all(one["secure"] for one in cookies.values()), cookies
        (session,) = (one for name, one in cookies.items() if name.startswith("starling_session"))
        assert (session["httpOnly"], session["sameSite"], session["path"]) == (True, "Strict", front.BASE)
    assert refused == []
