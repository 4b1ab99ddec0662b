"""Live labels on photos from nothing: classes typed, features computed, answers by key, the map moving with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.project.opened import Project
from engine.rounds.folder import results
from tests.browser.cut_photos import IMAGES, MORE_PHOTOS, photo_project
from tests.browser.test_whole_loop import go, settle, wait_until

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser
ANSWERS = 60


def answer(page: Any, truth: dict[str, str]) -> None:
    """Press the key of the right class of the image in front, once its picture is there, and wait for the next one."""
    shown = page.get_by_test_id("review-name").inner_text()
    key = page.locator(f'[data-testid=review-class][data-class="{truth[Path(shown).name]}"]').get_attribute("data-key")
    picture = page.get_by_test_id("review-image").locator("img")
    wait_until(page, lambda: picture.count() == 1 and picture.evaluate("node => node.complete"), 20)
    page.keyboard.press(key)
    wait_until(page, lambda: page.get_by_test_id("review-name").inner_text() != shown, 10)


@pytest.mark.parametrize("photos", [None, *MORE_PHOTOS], ids=lambda one: one.name if one else "cut photos")
def test_photos_are_labeled_from_nothing_by_sixty_answers(
    photos: Path | None, page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    root, truth = photo_project(tmp_path, photos)
    page.goto(start_app(root.parent, str(root)).url)
    go(page, "Review")
    page.get_by_test_id("review-image").locator("img").wait_for()
    expect(page.get_by_text("Features, once for each image")).to_be_visible()
    for name in sorted(set(truth.values())):
        page.get_by_test_id("review-new-class").click()
        page.get_by_test_id("review-new-class-name").fill(name)
        page.get_by_test_id("review-new-class-add").click()
        page.locator(f'[data-testid=review-class][data-class="{name}"]').wait_for()
    expect(page.get_by_text("Label an image in each of two classes to begin")).to_be_visible(timeout=180_000)
    settle(page)
    page.mouse.click(2, 400)
    for _ in range(ANSWERS):
        answer(page, truth)
    with Project.open(root, read_only=True) as project:
        wait_until(page, lambda: len(list(project.store.entries())) == ANSWERS, 20)  # the last one is on its way
        measuring = len(project.store.measured().image_ids)
        table = project.store.label_table()
        taught = int((table.labeled & ~table.among(project.store.apart())).sum())  # its like ones leave with an image
    assert ANSWERS // 6 <= measuring <= ANSWERS // 5  # cards that are fetched anew come some places later
    assert ANSWERS - 2 * measuring < taught <= ANSWERS - measuring
    expect(page.get_by_text(re.compile(rf"last on {taught} labels"))).to_be_visible(timeout=20_000)
    expect(page.get_by_text(re.compile(rf"\d+ of {measuring} predicted right so far"))).to_be_visible()
    expect(page.get_by_test_id("review-prediction-title")).to_contain_text("round 1")

    go(page, "Map")
    expect(page.get_by_test_id("map-moving-text")).to_contain_text("of the 10 nearest neighbours", timeout=120_000)
    last = page.get_by_test_id("map-canvas").screenshot()
    page.get_by_test_id("map-epoch").evaluate(
        "node => { node.value = 0; node.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    page.wait_for_timeout(400)
    assert page.get_by_test_id("map-canvas").screenshot() != last, "the pseudo-labels did not move"

    with Project.open(root, read_only=True) as project:
        names = {item.id: truth[Path(item.name).name] for item in project.workspace.items()}
        assert all(names[entry.image_id] == entry.label for entry in project.store.entries())
        assert len(results.epochs(project.workspace.round_folder(1))) >= taught // 10 - 1
        predictions, table = project.results.needed(1), project.store.label_table()
        best = [predictions.classes[k] for k in predictions.probabilities.argmax(1)]
        free = set(table.image_ids[table.undecided].tolist())
        right = [name == names[i] for i, name in zip(predictions.image_ids.tolist(), best, strict=True) if i in free]
        assert len(right) == IMAGES - ANSWERS
        print(f"{photos or 'cut photos'}: {ANSWERS} answers, {taught} taught: {np.mean(right):.1%} of the others right")
        assert photos or np.mean(right) > 0.9, np.mean(right)
