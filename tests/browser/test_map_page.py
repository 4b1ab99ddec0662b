"""The exported map page works from a file: it fetches nothing, plays, hides classes, and shows names as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.exporters.pictures.page import html
from engine.exporters.pictures.scene import Scene

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")

pytestmark = pytest.mark.browser
NAMES = ('<b>B</b><img src="x" onerror="document.title=1">', "%{x}", "Größe")
STARS = "document.getElementById('plot').data[0]"
PLACE = """i => {
  const plot = document.getElementById("plot"), box = plot.getBoundingClientRect(), { xaxis, yaxis } = plot._fullLayout;
  return [box.left + xaxis.l2p(place(i, 0)), box.top + yaxis.l2p(place(i, 1))];
}"""


def a_scene(n: int = 60) -> Scene:
    epochs = 3
    pseudo = np.tile(np.arange(n) % 3, (epochs, 1)).astype(np.int16)
    xy = np.random.default_rng(0).normal(size=(epochs, n, 2)).astype(np.float32)
    xy[:, 0] = [[-9, 0]] * epochs  # alone, so that the pointer finds it
    label = np.where(np.arange(n) >= n - 6, 2, -1).astype(np.int16)
    return Scene(
        "</script>", NAMES, xy, label, pseudo, np.full((epochs, n), 0.87, np.float32), (2, 4, 6), (0.5, 0.6, 0.7)
    )


@pytest.fixture
def shown(page: playwright.Page, tmp_path: Path) -> playwright.Page:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: problems.append(request.url) if request.url[:5] not in ("file:", "data:") else None
    )
    file = tmp_path / "map.html"
    file.write_bytes(html(a_scene()))
    page.goto(file.as_uri())
    page.wait_for_selector("#plot .main-svg")
    yield page
    assert [problem for problem in problems if not problem.startswith(("file:", "data:", "blob:"))] == []


def test_it_opens_at_the_last_epoch_and_plays_from_the_first(shown: playwright.Page) -> None:
    assert shown.inner_text("#epoch") == "Epoch 6"
    assert shown.inner_text("#share") == "70.0 %"
    shown.click("#play")
    shown.wait_for_function("document.getElementById('epoch').textContent === 'Epoch 2'")
    shown.wait_for_function("document.getElementById('epoch').textContent === 'Epoch 6'")
    shown.wait_for_function("document.getElementById('play').textContent === 'Play'")


def test_the_slider_shows_the_positions_of_its_epoch(shown: playwright.Page) -> None:
    before = shown.evaluate(f"{STARS}.x")
    shown.fill("#slider", "1")
    assert shown.inner_text("#epoch") == "Epoch 4"
    after = shown.evaluate(f"{STARS}.x")
    assert len(before) == len(after) == 54
    assert before != after


def test_a_click_in_the_legend_hides_a_class(shown: playwright.Page) -> None:
    shown.click("#legend button >> nth=1")
    assert len(shown.evaluate(f"{STARS}.x")) == 36
    shown.click("#legend button >> nth=1")
    assert len(shown.evaluate(f"{STARS}.x")) == 54


def test_hovering_says_class_and_epoch_with_the_name_as_it_is(shown: playwright.Page) -> None:
    shown.mouse.move(*shown.evaluate(PLACE, 0))
    shown.wait_for_function("document.querySelector('.hoverlayer').textContent.includes('pseudo-label')")
    words = shown.evaluate("document.querySelector('.hoverlayer').textContent")
    assert NAMES[0] in words
    assert "epoch 6" in words
    assert shown.title() == "</script>"


def test_no_button_sends_the_data_away(shown: playwright.Page) -> None:
    titles = shown.evaluate("[...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)")
    assert len(titles) == 6
    assert not [title for title in titles if "Share" in title or "Edit" in title or "Cloud" in title]
