"""The map of a project in which one digit was never labeled: played, filtered, lassoed, labeled, taken back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.importers.scan import ImportSource
from engine.project.opened import Project
from engine.rounds.supervisor.follow import follow
from engine.rounds.supervisor.thread import EngineThread
from tests.browser.test_whole_loop import Pictures, go, settle, wait_until

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser
EPOCHS = 6
INKED = """(canvas) => {
    const pixels = new Uint32Array(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return pixels.reduce((count, pixel) => count + (pixel !== pixels[0]), 0);
}"""
"""Pixels of a canvas that differ from its corner."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,797 digits, 180 labels without a 7, a promoted round, and both maps ready."""
    folder = tmp_path_factory.mktemp("map") / "home" / "digits"
    with Project.create(folder, "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=180, without=("7",))
        project.imports.commit(project.imports.scan(source))
        assert project.store.classes() == tuple("012345689")
        engine = EngineThread(project.store, folder)
        engine.start()
        project.training.queue("pseudo_label", {}, {"epochs": EPOCHS, "run_baseline": False, "steps_per_epoch": 40})
        record = list(follow(project.store, 1))[-1]
        engine.stop()
        assert record.report is not None, record.error
        project.maps.start("pixels")
        project.maps.start_moving(1)
        for state in (lambda: project.maps.state("pixels"), lambda: project.maps.moving_state(1)):
            wait(lambda state=state: state().status != "running")
            assert state().status == "ready", state()
    return folder


def wait(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.fixture
def shown(page: Any, start_app: Callable[..., Any], root: Path) -> Any:
    app = start_app(root.parent, str(root))
    page.goto(app.url)
    go(page, "Map")
    expect(page.get_by_test_id("map-epoch-text")).to_contain_text(f"epoch {EPOCHS} of {EPOCHS}")
    return page


def drawn(page: Any) -> bytes:
    page.wait_for_timeout(400)
    return bytes(page.get_by_test_id("map-canvas").screenshot())


def scrub(page: Any, moment: float) -> None:
    script = "(node, at) => { node.value = at; node.dispatchEvent(new Event('input', {bubbles: true})); }"
    page.get_by_test_id("map-epoch").evaluate(script, moment)


def number(page: Any, testid: str) -> int:
    return int(re.sub(r"\D.*", "", page.get_by_test_id(testid).inner_text().replace(",", "")))


def lasso(page: Any, x: float, y: float, radius: float) -> None:
    """Draw around a place given as shares of the map's width and height."""
    page.get_by_test_id("map-mode-lasso").click()
    box = page.get_by_test_id("map-area").bounding_box()
    left, top = box["x"] + x * box["width"], box["y"] + y * box["height"]
    page.mouse.move(left + radius, top)
    page.mouse.down()
    for step in range(1, 25):
        angle = step * math.pi / 12
        page.mouse.move(left + radius * math.cos(angle), top + radius * math.sin(angle))
    page.mouse.up()


def test_epochs_play_and_scrub_on_the_fixed_and_on_the_moving_map(shown: Any, tmp_path: Path) -> None:
    pictures = Pictures(shown, tmp_path)
    fixed = drawn(shown)
    scrub(shown, 0)
    expect(shown.get_by_test_id("map-epoch-text")).to_contain_text("epoch 1 of")
    assert drawn(shown) != fixed
    shown.get_by_test_id("map-speed").select_option("5")
    shown.get_by_test_id("map-play").click()
    expect(shown.get_by_test_id("map-epoch-text")).to_contain_text(f"epoch {EPOCHS} of")
    expect(shown.get_by_test_id("map-curve-text")).to_contain_text("held-out")

    shown.get_by_test_id("map-layout-moving").click()
    expect(shown.get_by_test_id("map-moving-text")).to_contain_text("of the 10 nearest neighbours")
    last = drawn(shown)
    assert last != fixed
    scrub(shown, 2)
    third = drawn(shown)
    scrub(shown, 2.5)
    between = drawn(shown)
    scrub(shown, 3)
    assert len({last, third, between, drawn(shown)}) == 4, "points do not glide"
    shown.get_by_test_id("map-play").click()
    expect(shown.get_by_test_id("map-epoch-text")).to_contain_text(f"epoch {EPOCHS} of")
    expect(shown.get_by_test_id("map-play")).to_have_attribute("data-playing", "no")
    assert drawn(shown) == last, "the axes moved while it played"
    shown.get_by_test_id("map-split").check()
    shown.get_by_test_id("map-ring").check()
    expect(shown.get_by_test_id("map-then")).to_have_text("epoch 1")
    expect(shown.get_by_test_id("map-changed")).to_contain_text(
        re.compile(r"\d+ changed: \d+ now right, \d+ now wrong")
    )
    pictures.take("map_moving")


def test_filters_and_colours_show_what_was_asked_for(shown: Any, root: Path) -> None:
    with Project.open(root, read_only=True) as project:
        labeled = project.store.counts().labeled
    shown.get_by_test_id("map-filter").click()
    assert number(shown, "map-filter-count") == 1797
    shown.get_by_test_id("map-filter-pool").select_option("labeled")
    expect(shown.get_by_test_id("map-filter-count")).to_have_text(f"{labeled} of 1,797 shown")
    shown.get_by_test_id("map-filter-pool").select_option("all")
    shown.get_by_test_id("map-filter-flips").fill("1")
    once = number(shown, "map-filter-count")
    shown.get_by_test_id("map-filter-flips").fill("2")
    twice = number(shown, "map-filter-count")
    assert 1797 > once > twice > 0
    shown.get_by_test_id("map-area").focus()
    shown.keyboard.press("Control+a")
    expect(shown.get_by_test_id("map-selected-count")).to_have_text(f"{twice} selected")
    shown.get_by_test_id("map-filter-flips").fill("0")
    shown.get_by_test_id("map-area").focus()
    shown.keyboard.press("Control+a")
    shown.get_by_test_id("map-filter-flips").fill("1")
    expect(shown.get_by_test_id("map-selected-count")).to_have_text(f"{once} of 1,797 selected")
    expect(shown.get_by_test_id("map-left-out")).to_contain_text("not shown now, so left alone")
    shown.get_by_test_id("map-selection-clear").click()
    shown.get_by_test_id("map-filter-flips").fill("0")
    shown.get_by_test_id("map-filter-joined").select_option(label="9")
    joined = number(shown, "map-filter-count")
    scrub(shown, 0)
    expect(shown.get_by_test_id("map-filter-count")).to_contain_text("0 of")
    scrub(shown, EPOCHS - 1)
    expect(shown.get_by_test_id("map-filter-count")).to_contain_text(f"{joined} of")
    shown.get_by_test_id("map-filter-clear").click()
    below = shown.get_by_test_id("map-filter-below")
    below.evaluate("node => { node.value = 0.6; node.dispatchEvent(new Event('input', {bubbles: true})); }")
    assert 0 < number(shown, "map-filter-count") < 1797
    shown.get_by_test_id("map-filter-clear").click()
    expect(shown.get_by_test_id("map-filter-count")).to_contain_text("1,797 of")
    pictures = set()
    for colour in ("label", "confidence", "truth", "changed"):
        shown.get_by_test_id("map-colour").select_option(colour)
        pictures.add(drawn(shown))
    assert len(pictures) == 4


def test_lassoed_images_are_labeled_as_one_batch_and_taken_back(shown: Any, root: Path) -> None:
    with Project.open(root, read_only=True) as project:
        before = project.store.counts().human, project.store.counts().accepted
        lasso(shown, 0.5, 0.5, 90)
        count = number(shown, "map-selected-count")
        assert count > 3
        shown.get_by_test_id("map-thumbs").locator("img").first.wait_for()
        shown.get_by_test_id("map-label-as").filter(has_text="3").click()
        shown.get_by_test_id("map-confirm-yes").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text(f"Saved: {count}")
        decided = project.store.counts().human + project.store.counts().accepted
        assert decided > sum(before)
        assert len({entry.batch for entry in project.store.history(limit=count)}) == 1
        shown.get_by_test_id("map-batch-undo").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text("Took back")
        assert (project.store.counts().human, project.store.counts().accepted) == before
        shown.keyboard.press("Escape")
        lasso(shown, 0.5, 0.5, 90)
        shown.get_by_test_id("map-accept-all").click()
        shown.get_by_test_id("map-confirm-yes").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text("Saved")
        assert project.store.counts().accepted > before[1]
        entries = project.store.history(batch=project.store.history(limit=1)[0].batch, limit=1000)
        assert sum(entry.seen_seconds > 0 for entry in entries) > 0
        assert {entry.source for entry in entries if not entry.seen_seconds} <= {"accepted_by_threshold"}
        assert {entry.source for entry in entries if entry.seen_seconds} == {"accepted_in_batch"}
        shown.get_by_test_id("map-batch-undo").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text("Took back")
        assert (project.store.counts().human, project.store.counts().accepted) == before


def test_digit_nobody_labeled_is_flagged_and_becomes_a_class(shown: Any, root: Path, tmp_path: Path) -> None:
    pictures = Pictures(shown, tmp_path)
    region = shown.get_by_test_id("map-region").first
    region.wait_for()
    expect(region.get_by_test_id("map-region-reason")).to_contain_text("where")
    pictures.take("map_region")
    with Project.open(root) as project:
        truth = project.store.truth()
        ids = project.maps.regions("pixels", 1)[0][1]
        sevens = {i for i, name in truth.items() if name == "7"}
        assert sum(int(i) in sevens for i in ids) / len(ids) > 0.8
        assert sum(int(i) in sevens for i in ids) / len(sevens) > 0.8
        region.get_by_test_id("map-region-new").click()
        region.get_by_test_id("map-region-name").fill("7")
        region.get_by_test_id("map-region-add").click()
        expect(shown.get_by_test_id("map-confirm")).to_contain_text("“7”")
        assert "7" not in project.store.classes(), "made before the question was answered"
        shown.get_by_test_id("map-confirm-yes").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text("Saved")
        assert project.store.classes()[-1] == "7"
        assert project.store.counts().human == len(ids)
        shown.get_by_test_id("map-batch-undo").click()
        expect(shown.get_by_test_id("map-result")).to_contain_text("Took back")
        assert project.store.counts().human == 0


def test_point_shows_its_neighbours_and_its_probabilities(shown: Any) -> None:
    box = shown.get_by_test_id("map-area").bounding_box()
    area = shown.get_by_test_id("map-area")
    for step in range(200):
        shown.mouse.move(
            box["x"] + box["width"] * (0.2 + 0.003 * step), box["y"] + box["height"] * (0.5 + 0.1 * (step % 3))
        )
        if area.get_attribute("data-over") == "point":
            break
    expect(shown.get_by_test_id("map-hover-bars")).to_be_visible()
    expect(shown.get_by_test_id("map-hover-name")).to_contain_text("train/")
    shown.mouse.down()
    shown.mouse.up()
    expect(shown.get_by_test_id("map-selected-count")).to_contain_text("1 selected")
    expect(shown.get_by_test_id("map-neighbour")).to_have_count(12)
    shown.get_by_test_id("map-neighbours-select").click()
    expect(shown.get_by_test_id("map-selected-count")).to_contain_text("13 selected")


def test_selection_goes_to_review_and_pictures_are_downloaded(shown: Any, tmp_path: Path) -> None:
    for kind, begins in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("gif", b"GIF8"), ("html", b"<!")):
        shown.get_by_test_id("map-picture").click()
        with shown.expect_download() as download:
            shown.get_by_test_id(f"map-picture-{kind}").click()
        path = tmp_path / f"map.{kind}"
        download.value.save_as(path)
        assert path.read_bytes().lstrip()[:5].lower().startswith(begins.lower())
        shown.keyboard.press("Escape")
    lasso(shown, 0.5, 0.5, 90)
    count = number(shown, "map-selected-count")
    shown.get_by_test_id("map-to-review").click()
    shown.get_by_test_id("review-image").wait_for()
    expect(shown.get_by_role("combobox", name=re.compile("Show"))).to_have_value(f"Selected ({count})")
    settle(shown)
    wait_until(shown, lambda: shown.get_by_test_id("review-image").is_visible())


def test_shorter_round_comes_up_by_itself_and_what_was_set_is_kept(shown: Any, root: Path) -> None:
    with Project.open(root) as project:
        settings = {"epochs": 3, "run_baseline": False, "steps_per_epoch": 20}
        project.training.queue("pseudo_label", {}, settings)  # the class that was taken back does not stop it
        go(shown, "Train")
        go(shown, "Map")
        shown.get_by_test_id("map-colour").select_option("confidence")
        expect(shown.get_by_test_id("map-epoch-text")).to_contain_text("epoch 3 of 3", timeout=120_000)
        wait(lambda: project.store.round(2).report is not None)
    for title, text in (
        ("round 1", f"epoch {EPOCHS} of {EPOCHS}"),
        ("round 2", "epoch 3 of 3"),
        ("round 1", "epoch 6"),
    ):
        settle(shown)  # while the page runs anew, what it drew before is still there beside the new
        shown.get_by_role("combobox", name=re.compile("Pseudo-labels of")).click()
        shown.get_by_role("option", name=re.compile(title)).click()
        expect(shown.get_by_test_id("map-epoch-text")).to_contain_text(text)
    scrub(shown, 1)
    go(shown, "Quality")
    go(shown, "Map")
    expect(shown.get_by_test_id("map-epoch-text")).to_contain_text(f"epoch 2 of {EPOCHS}")
    expect(shown.get_by_test_id("map-colour")).to_have_value("confidence")
    assert shown.get_by_test_id("stException").count() == 0


def test_moving_map_that_becomes_ready_while_the_page_is_open_is_drawn(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    """One label a class, labeled as a set, and no fixed map: the page asks for the moving one and shows it."""
    folder = tmp_path / "home" / "digits"
    with Project.create(folder, "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=10)
        project.imports.commit(project.imports.scan(source))
        engine = EngineThread(project.store, folder)
        engine.start()
        project.training.queue("transductive", {}, {"run_baseline": False})
        assert list(follow(project.store, 1))[-1].report is not None
        engine.stop()
    page.goto(start_app(folder.parent, str(folder)).url)
    go(page, "Map")
    expect(page.get_by_test_id("map-moving-text")).to_contain_text("of the 10 nearest neighbours", timeout=120_000)
    page.wait_for_timeout(500)
    inked = page.get_by_test_id("map-canvas").evaluate(INKED)
    assert inked > 5 * 750, f"{inked} of the canvas' pixels are drawn on, for 750 points"
