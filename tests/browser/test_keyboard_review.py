"""Review by keyboard alone: how fast the next image is painted, and that no key is lost, doubled or put elsewhere.

What is held: from key press to next image painted at most 16 ms in the median and 50 ms for 95 of 100 presses, with a
training round running on all cores beside it. On a machine that others load, the bars grow with the time that the page
takes to paint a single changed letter before the round starts (see `tolerance`); on a quiet one they hold as they are.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.importers.scan import ImportSource
from engine.project.opened import Project
from tests.browser.digits import digits_zip
from tests.browser.test_whole_loop import settle, wait_until

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")

pytestmark = pytest.mark.browser
MEDIAN_MS, P95_MS = 16.0, 50.0
QUIET_LEAST_MS = (10.0, 20.0)
"""Median and 95 of 100 of LEAST on a quiet machine at 60 Hz, about half a frame and a whole one, with some room."""
SHORT = {"device": "cpu", "epochs": 2, "steps_per_epoch": 30, "run_baseline": False}
LONG = {"device": "cpu", "epochs": 5000, "steps_per_epoch": 50, "run_baseline": False}

WATCH = """frame => {
  const watch = (window.watch = { presses: [], painted: 0, times: [], waiting: null });
  const numberOf = (image) => Number(new URL(image.src).pathname.split("/").at(-1));
  watch.fronts = [numberOf(frame.querySelector("img"))];
  let framed = false, swapped = false;
  window.addEventListener("keydown", (event) => {
    const image = Number(frame.dataset.imageId);
    const { state } = frame.dataset;
    watch.presses.push({ key: event.key, image, state, stamp: event.timeStamp, at: performance.now() });
    framed = true;
    requestAnimationFrame(() => {
      framed = false;
      if (swapped) whenPainted();
      swapped = false;
    });
  }, true);
  const painted = () => {
    const now = performance.now(), press = watch.presses.at(-1);
    watch.painted += 1;
    watch.times.push({ ms: now - press.at, fromSystem: now - press.stamp });
    watch.waiting?.();
  };
  const whenPainted = () => {
    const channel = new MessageChannel();
    channel.port1.onmessage = painted;
    channel.port2.postMessage(0);
  };
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) watch.fronts.push(numberOf(node));
    const image = frame.querySelector("img");
    if (!image) return;
    if (image.complete && framed) swapped = true;
    else image.decode().then(() => requestAnimationFrame(whenPainted));
  }).observe(frame, { childList: true });
}"""
"""Painted: the first task after the frame in which the new image stood. The page's own work for the rest of the panel
comes after that, so the frame is asked for when the key comes, before the page does."""
PAINTED = """async (count) => {
  if (watch.painted < count) await new Promise((done) => (watch.waiting = () => watch.painted >= count && done()));
}"""
LEAST = """async (count) => {
  const node = document.body.appendChild(document.createElement("i")), times = [];
  for (let i = 0; i < count; i += 1) {
    await new Promise((done) => setTimeout(done, 20 + 40 * Math.random()));
    const begun = performance.now();
    node.textContent = String(i);
    await new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }));
    times.push(performance.now() - begun);
  }
  node.remove();
  return times;
}"""
"""The time to paint one changed letter: what the machine needs for the least there is."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """600 digits, 100 of them labeled; workers of its rounds do not outlive the test."""
    truth = digits_zip(tmp_path / "digits.zip")
    root = tmp_path / "home" / "digits"
    root.parent.mkdir()
    with Project.create(root, "Digits") as opened:
        opened.imports.commit(opened.imports.scan(ImportSource("zip", tmp_path / "digits.zip")))
        opened.truth = truth  # type: ignore[attr-defined]
        yield opened
        for record in opened.store.rounds():
            if record.pid:
                _kill(record.pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def open_review(page: Any, url: str, project: Project) -> None:
    """Go from the opened app to the first image of the review page with Tab and Enter only; start watching."""
    page.goto(url)
    page.get_by_role("link", name="Review", exact=True).first.wait_for()
    settle(page)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('a') && /Review$/.test(document.activeElement.innerText)"):
            break
    page.keyboard.press("Enter")
    frame = page.get_by_test_id("review-image")
    frame.locator("img").wait_for()
    settle(page)
    frame.evaluate(WATCH)


def answer(page: Any, truth: dict[str, int]) -> str:
    """The key that is right for the image in front: accept when the prediction is."""
    digit = str(truth[Path(page.get_by_test_id("review-name").inner_text()).name])
    return "a" if page.get_by_test_id("review-prediction").inner_text() == digit else digit


def label_by_key(page: Any, truth: dict[str, int], count: int) -> list[dict[str, float]]:
    """Give `count` right labels, four to seven a second, as nobody can; return the times of each press.

    Without a pause the browser would share the cores with the server that still writes the answer before.
    """
    pauses = random.Random(0)  # at no fixed place between two frames
    before = page.evaluate("watch.times.length")
    for _ in range(count):
        page.wait_for_timeout(pauses.uniform(130, 250))
        key = answer(page, truth)
        done = page.evaluate("watch.painted")
        page.keyboard.press(key)
        page.evaluate(PAINTED, done + 1)
    return page.evaluate("watch.times")[before:]


def press_at_pace(page: Any, keys: Sequence[str], milliseconds: float = 40) -> None:
    start = time.perf_counter()
    for number, key in enumerate(keys):
        page.wait_for_timeout(max(0.0, 1000 * (start - time.perf_counter()) + number * milliseconds))
        page.keyboard.press(key)


def wait_saved(page: Any) -> None:
    page.wait_for_function(
        "node => /^saved/.test(node.innerText)", arg=page.get_by_test_id("review-save-state").element_handle()
    )


def new_entries(project: Project, after: int) -> list[Any]:
    return [entry for entry in project.store.entries() if entry.seq > after]


def seen(page: Any) -> dict[str, Any]:
    return dict(page.evaluate("({ presses: watch.presses, fronts: watch.fronts })"))


def same_as_pressed(project: Project, after: int, watched: dict[str, Any], keys: Sequence[str]) -> None:
    """The ledger has each press once, on the image that it found in front.

    A press that comes before its picture has loaded waits for it: then the images that were in front one after another
    tell which one it is for.
    """
    presses, fronts = watched["presses"], watched["fronts"][: len(keys)]
    assert [press["key"] for press in presses] == list(keys)
    assert len(set(fronts)) == len(keys)
    if all(press["state"] == "ready" for press in presses):
        assert [press["image"] for press in presses] == fronts
    found = new_entries(project, after)
    assert len({entry.uid for entry in found}) == len(found) == len(keys)
    assert {entry.image_id: entry.label for entry in found} == dict(zip(fronts, keys, strict=True))


def p50_p95(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [50, 95])
    return float(low), float(high)


def tolerance(page: Any) -> float:
    """1 on a quiet machine; else how much longer than there one changed letter takes to be painted, measured now."""
    p50, p95 = p50_p95(page.evaluate(LEAST, 60))
    return max(1.0, p50 / QUIET_LEAST_MS[0], p95 / QUIET_LEAST_MS[1])


def run_round(page: Any, project: Project, train: dict[str, Any], states: set[str]) -> None:
    number = project.training.queue("pseudo_label", {}, train).number
    wait_until(page, lambda: project.store.round(number).state in states, 60)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080), (1280, 640)])
def test_the_whole_image_and_its_name_stand_in_the_window(
    page: Any, start_app: Callable[..., Any], project: Project, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    open_review(page, start_app(None, str(project.root)).url, project)
    image, name = page.get_by_test_id("review-image").bounding_box(), page.get_by_test_id("review-name").bounding_box()
    assert image["height"] >= 0.4 * height
    assert height < 700 or name["y"] + name["height"] < height, "a low window is scrolled"
    page.mouse.move(400, 500)
    page.mouse.wheel(0, 200)
    page.set_viewport_size({"width": width, "height": height + 50})
    wait_until(page, lambda: page.get_by_test_id("review-image").bounding_box()["height"] >= image["height"] + 20, 10)


@pytest.mark.speed
def test_a_hundred_labels_by_keyboard_while_a_round_trains(
    page: Any, start_app: Callable[..., Any], project: Project
) -> None:
    truth = project.truth  # type: ignore[attr-defined]
    app = start_app(None, str(project.root))
    run_round(page, project, SHORT, {"promoted", "held_back"})
    open_review(page, app.url, project)
    before = project.store.head_seq()
    slower = tolerance(page)
    quiet = label_by_key(page, truth, 30)
    run_round(page, project, LONG, {"running"})
    number = project.store.rounds()[-1].number
    wait_until(page, lambda: bool(project.results.curves(number).get("epoch")), 60)
    beside = label_by_key(page, truth, 70)
    assert project.store.round(number).state == "running"
    for name, times in (("quiet", quiet), ("a round running", beside)):
        p50, p95 = p50_p95([one["ms"] for one in times])
        system50, system95 = p50_p95([one["fromSystem"] for one in times])
        print(
            f"{name}: key to next image painted p50 {p50:.1f} ms, p95 {p95:.1f} ms (from the system's key event"
            f" {system50:.1f} and {system95:.1f}), bars times {slower:.2f}"
        )
        assert p50 <= MEDIAN_MS * slower
        assert p95 <= P95_MS * slower
    wait_saved(page)
    found = new_entries(project, before)
    names = {image.id: Path(image.name).name for image in project.workspace.items()}
    assert len(found) == len({entry.image_id for entry in found}) == 100
    assert all(entry.label == str(truth[names[entry.image_id]]) for entry in found)
    assert {entry.image_id for entry in found} == {press["image"] for press in page.evaluate("watch.presses")}


def digit_keys(count: int) -> list[str]:
    return [str(number * 7 % 10) for number in range(count)]


def test_fifty_keys_forty_milliseconds_apart_all_count(
    page: Any, start_app: Callable[..., Any], project: Project
) -> None:
    open_review(page, start_app(None, str(project.root)).url, project)
    before, keys = project.store.head_seq(), digit_keys(50)
    press_at_pace(page, keys)
    wait_saved(page)
    same_as_pressed(project, before, seen(page), keys)


def test_tab_closed_before_the_decisions_left_it(page: Any, start_app: Callable[..., Any], project: Project) -> None:
    """Some are saved, one request arrives but its answer does not, the rest is never sent: all come after reopening."""
    app, stuck = start_app(None, str(project.root)), []
    open_review(page, app.url, project)
    before, keys = project.store.head_seq(), digit_keys(30)
    press_at_pace(page, keys[:10])
    wait_saved(page)
    page.route(re.compile("/decisions$"), lambda route: stuck.append(route.fetch().status))
    press_at_pace(page, keys[10:])
    wait_until(page, lambda: len(stuck) == 1, 10)
    watched = seen(page)
    assert 10 < len(new_entries(project, before)) < 30
    page.close()
    again = page.context.new_page()
    open_review(again, app.url, project)
    wait_saved(again)
    same_as_pressed(project, before, watched, keys)


def test_app_killed_while_keys_are_pressed(page: Any, start_app: Callable[..., Any], project: Project) -> None:
    app = start_app(None, str(project.root))
    open_review(page, app.url, project)
    before, keys = project.store.head_seq(), digit_keys(30)
    press_at_pace(page, keys[:15])
    app.kill()
    press_at_pace(page, keys[15:])
    watched = seen(page)
    assert len(new_entries(project, before)) < 30
    again = start_app(None, str(project.root), port=int(re.search(r":(\d+)/", app.url)[1]))
    open_review(page, again.url, project)
    wait_saved(page)
    same_as_pressed(project, before, watched, keys)
