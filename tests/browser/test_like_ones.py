"""Photos from nothing in the grid: like ones together, a group labeled by one key as one batch, and taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.project.opened import Project
from tests.browser.cut_photos import PLACES, photo_project
from tests.browser.test_whole_loop import go, settle

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser


def add_class(page: Any, name: str) -> None:
    page.get_by_test_id("grid-new-class").click()
    page.get_by_test_id("grid-new-class-name").fill(name)
    page.get_by_test_id("grid-new-class-add").click()
    page.locator(f'[data-testid=grid-class][data-class="{name}"]').wait_for()


def marked(page: Any) -> set[int]:
    """Ids of the marked images, all of which are on the screen."""
    tiles = page.locator("[data-testid=grid-tile][data-state=marked]")
    return {int(tile.get_attribute("data-id")) for tile in tiles.all()}


def test_a_group_of_like_photos_is_labeled_by_one_key_and_taken_back_by_one(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    root, truth = photo_project(tmp_path)
    page.goto(start_app(root.parent, str(root)).url)
    go(page, "Review")
    page.get_by_text("Grid", exact=True).first.click()
    expect(page.get_by_text("It opens here as soon as their features are computed")).to_be_visible()
    expect(page.get_by_text("Features, once for each image")).to_be_visible()
    page.get_by_test_id("grid-tile").first.locator("img[data-state=ready]").wait_for(timeout=180_000)
    settle(page)
    assert page.locator(".tile-name:visible").count() == 0, "nothing is predicted yet"
    with Project.open(root, read_only=True) as project:
        names = {item.id: truth[Path(item.name).name] for item in project.workspace.items()}
        shown = project.grid.table(sort="likeness")
        assert shown.group is not None
        groups = [shown.image_ids[shown.group == group].tolist() for group in range(int(shown.group.max()) + 1)]
    pure = [len({names[image] for image in group}) == 1 for group in groups]
    assert sum(len(group) for group, one in zip(groups, pure, strict=True) if one) > 0.5 * len(names)

    page.keyboard.press("c")
    expect(page.get_by_test_id("grid-marked-words")).to_have_text(f"{len(groups[0])} marked. They are")
    page.keyboard.press("1")
    expect(page.get_by_test_id("grid-outcome")).to_contain_text("There is no class yet")
    add_class(page, names[groups[0][0]])
    assert marked(page) == set(groups[0])
    page.keyboard.press("1")
    expect(page.get_by_test_id("grid-outcome")).to_have_text(f"Saved: {len(groups[0])} labeled.")
    with Project.open(root, read_only=True) as project:
        entries = list(project.store.entries())
        assert {entry.image_id for entry in entries} == set(groups[0])
        assert len({entry.batch for entry in entries}) == 1
        assert {(entry.action, entry.label, entry.round) for entry in entries} == {("label", names[groups[0][0]], None)}
    expect(page.get_by_test_id("grid-left")).to_have_text(f"{len(names) - len(groups[0])} images")

    page.keyboard.press("Backspace")
    expect(page.get_by_test_id("grid-outcome")).to_have_text(f"Took back {len(groups[0])} answers.")
    with Project.open(root, read_only=True) as project:
        assert project.store.counts().human == 0
    page.keyboard.press("1")
    expect(page.get_by_test_id("grid-outcome")).to_have_text(f"Saved: {len(groups[0])} labeled.")

    add_class(page, next(name for name in PLACES if name != names[groups[0][0]]))
    page.keyboard.press("c")
    page.keyboard.press("2")
    expect(page.get_by_text(re.compile("predictions of round 1"))).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("grid-sort")).to_have_value("likeness")
    first = page.get_by_test_id("grid-tile").first
    assert int(first.get_attribute("data-id")) == groups[2][0], "the order has changed under the hand"
    expect(first.locator(".tile-name")).to_be_visible()
