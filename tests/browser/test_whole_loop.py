"""The whole loop on digits, in Chromium: upload, train, look, decide by keyboard, train again, export, compare."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.project.opened import Project
from tests.browser.digits import digits_zip

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect

pytestmark = pytest.mark.browser
MINUTES = 60_000


def test_upload_train_look_review_train_again_export(page: Any, start_app: Callable[..., Any], tmp_path: Path) -> None:
    archive = tmp_path / "digits.zip"
    digits_zip(archive)
    app = start_app()
    pictures = Pictures(page, tmp_path)

    page.goto(app.url)
    make_project(page, "Digits")
    upload(page, archive)
    pictures.take("import")
    root = app.home / "digits"
    project = Project.open(root)
    assert project.store.counts().images == 600
    assert project.store.counts().imported == 100
    assert project.store.classes() == tuple("0123456789")

    go(page, "Train")
    start_round(page, "Pseudo-Label", epochs=200)
    see_progress(page)
    pictures.take("train_running")
    cancel_round(page)
    assert project.store.round(1).state == "cancelled"
    start_round(page, "Pseudo-Label", epochs=15)
    wait_for_end(page)
    assert project.store.round(2).state == "promoted"
    pictures.take("train_done")

    go(page, "Map")
    look_at_the_map(page, project, epochs=project.results.epochs(2), pictures=pictures)

    go(page, "Review")
    decided = review_by_keyboard(page, project, pictures)

    go(page, "Train")
    start_round(page, "Meta Pseudo Labels", epochs=4)
    wait_for_end(page)
    assert project.store.round(3).state in {"promoted", "held_back"}
    go(page, "Quality")
    page.get_by_text("Goal: at most 1 % of the labels wrong").wait_for()
    page.get_by_test_id("stMain").get_by_text("Accuracy", exact=True).first.click()
    page.get_by_text("Confusion on the held-out set").wait_for()
    pictures.take("quality")

    go(page, "Export")
    exported = export(page, tmp_path)
    pictures.take("export")
    compare(exported, project, decided)
    project.close()
    pictures.keep()


class Pictures:
    """Screenshots in light and dark, at 1280 and 1920 pixels; one becomes the README's picture when asked for."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page = page
        self.folder = Path(os.environ.get("STARLING_PICTURES", folder / "pictures"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> None:
        for width, height in ((1280, 900), (1920, 1080)):
            for scheme in ("light", "dark"):
                self.page.set_viewport_size({"width": width, "height": height})
                self.page.emulate_media(color_scheme=scheme)
                self.page.wait_for_timeout(700)
                overflow = self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
                assert not overflow, f"{name} scrolls sideways at {width} pixels"
                self.page.screenshot(path=self.folder / f"{name}_{width}_{scheme}.png")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")

    def keep(self) -> None:
        """Keep the map's picture as the README's when STARLING_KEEP_PICTURE is set."""
        if os.environ.get("STARLING_KEEP_PICTURE"):
            target = Path(__file__).resolve().parents[2] / "data" / "screenshot.png"
            target.write_bytes((self.folder / "map_1280_light.png").read_bytes())


def go(page: Any, title: str) -> None:
    """Open a page. Streamlit may miss a click while a tab's first run begins, so one that led nowhere is made again."""
    link = page.get_by_role("link", name=title, exact=True).first
    link.click()
    settle(page)
    if urlsplit(page.url).path != urlsplit(link.evaluate("node => node.href")).path:
        link.click()
        settle(page)


def settle(page: Any) -> None:
    """Wait until the page has finished running."""
    page.wait_for_timeout(300)
    page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=30_000)


def wait_until(page: Any, holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something outside the page."""
    for _ in range(int(seconds * 5)):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError("it did not happen in time")


def make_project(page: Any, name: str) -> None:
    page.get_by_label("New project").fill(name)
    page.get_by_role("button", name="Create").click()
    page.get_by_text("Add images").wait_for()


def upload(page: Any, archive: Path) -> None:
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_text("600 images", exact=False).first.wait_for()
    page.get_by_text(re.compile("100 labeled in 10 classes")).wait_for()
    page.get_by_role("button", name="Import 600 images").click()
    page.get_by_text(re.compile("Imported 600 images with 100 labels")).wait_for()


def start_round(page: Any, algorithm: str, *, epochs: int) -> None:
    choose_algorithm(page, algorithm)
    set_number(page, "Epochs", epochs)
    page.get_by_role("button", name="Start round").click()
    page.get_by_role("button", name="Cancel round").wait_for()


def choose_algorithm(page: Any, algorithm: str) -> None:
    """Choose it in the form under “Choose yourself”, which is opened when it is not."""
    settle(page)  # a page that is still being drawn anew shows the old form beside the new one
    start = page.get_by_role("button", name="Start round")
    if not start.is_visible():
        page.get_by_text("Choose yourself", exact=True).click()
        start.wait_for()
    option = page.get_by_role("option", name=algorithm, exact=True)
    for _ in range(3):  # a form that is drawn anew at this moment closes its list
        page.get_by_role("combobox", name=re.compile("Algorithm")).click()
        page.wait_for_timeout(500)
        if option.is_visible():
            break
    option.click()
    settle(page)


def set_number(page: Any, label: str, value: float) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")
    settle(page)


def see_progress(page: Any) -> None:
    page.get_by_text(re.compile(r"epoch \d+ of 200, step \d+")).first.wait_for(timeout=MINUTES)
    page.get_by_text("Steps per second").wait_for()
    page.locator(".js-plotly-plot").first.wait_for(timeout=MINUTES)


def cancel_round(page: Any) -> None:
    page.get_by_role("button", name="Cancel round").click()
    page.get_by_role("button", name="Resume").wait_for(timeout=20_000)


def wait_for_end(page: Any) -> None:
    page.get_by_role("button", name="Cancel round").wait_for(state="detached", timeout=7 * MINUTES)
    page.get_by_text(re.compile(r"Within the round: .* held-out labels right")).first.wait_for()
    settle(page)


def look_at_the_map(page: Any, project: Project, *, epochs: list[int], pictures: Pictures) -> None:
    page.get_by_role("button", name="Compute the map").click()
    page.get_by_test_id("map-canvas").wait_for(timeout=2 * MINUTES)
    slider = page.get_by_test_id("map-epoch")
    expect(slider).to_have_attribute("max", str(len(epochs) - 1))
    expect(page.get_by_test_id("map-epoch-text")).to_contain_text(f"{epochs[-1]} of {epochs[-1]}")
    wait_until(page, lambda: project.maps.state("pixels").status == "ready")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    last = page.get_by_test_id("map-canvas").screenshot()
    slider.evaluate("node => { node.value = 0; node.dispatchEvent(new Event('input', {bubbles: true})); }")
    page.wait_for_timeout(500)
    first = page.get_by_test_id("map-canvas").screenshot()
    assert first != last, "the pseudo-labels of the first and last epoch look the same"
    page.get_by_test_id("map-play").click()
    expect(page.get_by_test_id("map-epoch-text")).to_contain_text(f"{epochs[-1]} of", timeout=MINUTES)
    page.get_by_test_id("map-ring").check()
    expect(page.get_by_test_id("map-changed")).to_contain_text(re.compile(r"\d"))
    select_by_lasso(page)
    pictures.take("map")


def select_by_lasso(page: Any) -> None:
    """Draw a box over the middle of the map; the panel shows the images inside."""
    page.get_by_test_id("map-mode-box").click()
    area = page.get_by_test_id("map-canvas").bounding_box()
    x, y, width, height = area["x"], area["y"], area["width"], area["height"]
    page.mouse.move(x + 0.3 * width, y + 0.3 * height)
    page.mouse.down()
    page.mouse.move(x + 0.7 * width, y + 0.7 * height, steps=8)
    page.mouse.up()
    expect(page.get_by_test_id("map-selected-count")).to_contain_text(re.compile(r"\d"))
    page.get_by_test_id("map-thumbs").locator("img").first.wait_for()


def review_by_keyboard(page: Any, project: Project, pictures: Pictures) -> list[dict[str, Any]]:
    """Accept 4, label the one that measures, correct 2, undo the last; every one is in the ledger before the page says
    saved."""
    page.get_by_test_id("review-image").wait_for()
    page.wait_for_timeout(500)
    pictures.take("review")
    before = project.store.head_seq()
    for _ in range(4):
        page.keyboard.press("a")
    expect(page.get_by_test_id("review-prediction-title")).to_have_text("Measures the model")
    pictures.take("review_blind")
    page.keyboard.press("a")
    expect(page.get_by_text("This image measures the model: choose its class.")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_test_id("review-prediction-title")).to_contain_text("round 2")
    name = page.get_by_test_id("review-name")
    for _ in range(2):
        in_front, shown = name.inner_text(), page.get_by_test_id("review-prediction").inner_text()
        wrong = next(digit for digit in "123456789" if digit not in shown)
        page.keyboard.press(wrong)
        expect(name).not_to_have_text(in_front)  # else the next prediction read is still that of this image
    saved = page.get_by_test_id("review-save-state")
    page.wait_for_function(
        "node => /saved/i.test(node.innerText) && !/saving|not saved/i.test(node.innerText)",
        arg=saved.element_handle(),
    )
    entries = [entry for entry in project.store.history(limit=20) if entry.seq > before]
    assert sorted(entry.action for entry in entries) == ["accept"] * 4 + ["correct"] * 2 + ["label"]
    page.keyboard.press("Backspace")
    wait_until(page, lambda: project.store.history(limit=1)[0].action == "undo", 10)
    newest = project.store.history(limit=1)[0]
    assert newest.label is None
    return [
        {"image_id": entry.image_id, "label": entry.label, "action": entry.action}
        for entry in entries
        if entry.seq != newest.undoes
    ]


def export(page: Any, folder: Path, images: int = 600) -> Path:
    page.get_by_role("button", name=f"Export {images} images").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").first.click()
    target = folder / "exported.zip"
    waiting.value.save_as(target)
    return target


def compare(exported: Path, project: Project, decided: list[dict[str, Any]]) -> None:
    """The zip holds exactly the labels the ledger has in force, and the ledger itself."""
    in_force = {state.image_id: state for state in project.store.states() if state.label is not None}
    with zipfile.ZipFile(exported) as archive:
        assert archive.testzip() is None
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("metadata.csv"), encoding="utf-8")))
        ledger = [json.loads(line) for line in archive.read("provenance.jsonl").splitlines()]
        names = set(archive.namelist())
    assert len(rows) == project.store.counts().images
    labeled = {int(row["image_id"]): row for row in rows if row["label"]}
    assert {i: row["label"] for i, row in labeled.items()} == {i: state.label for i, state in in_force.items()}
    assert {i: row["label_source"] for i, row in labeled.items()} == {i: s.source for i, s in in_force.items()}
    assert {i: row["reviewed"] == "true" for i, row in labeled.items()} == {i: s.reviewed for i, s in in_force.items()}
    assert all(row["file_name"] in names for row in rows)
    assert all(row["file_name"].startswith(f"train/{row['label']}/") for row in labeled.values())
    assert [entry["hash"] for entry in ledger] == [entry.hash for entry in project.store.entries()]
    assert len(decided) == 6
    for one in decided:
        assert labeled[one["image_id"]]["label"] == one["label"]
        assert labeled[one["image_id"]]["label_source"] == ("confirmed" if one["action"] == "accept" else "human")


def test_bookmarked_page_comes_with_header_and_navigation(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    Project.create(tmp_path / "home" / "empty").close()
    app = start_app(None, str(tmp_path / "home" / "empty"))
    page.goto(app.url)
    page.get_by_role("link", name="Review", exact=True).first.wait_for()
    address = page.url + "review_labels"
    app.stop()
    port = int(re.search(r":(\d+)/", app.url)[1])
    again = start_app(None, str(tmp_path / "home" / "empty"), port=port)
    page.goto(address + "?" + again.url.split("?")[1])
    page.get_by_text("0 images · 0 labeled").wait_for()
    page.get_by_role("link", name="Quality", exact=True).first.wait_for()
    page.get_by_text("This project has no images yet").wait_for()
