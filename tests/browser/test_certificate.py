"""A goal in Chromium on digits: set, reached by keys, certified, exported, verified from the file; by two people."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.goal_words import step_words
from engine.project.opened import Project
from engine.records.goal import Goal, GoalReport
from tests.browser.test_honest_numbers import made
from tests.browser.test_keyboard_review import wait_saved
from tests.browser.test_whole_loop import export, go, settle, wait_until

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")

pytestmark = pytest.mark.browser
RATE = 0.1
MOST_STEPS = 12


def trained(folder: Path) -> tuple[Project, dict[int, str]]:
    """600 digits, 100 of them labeled, and a round that predicts the others."""
    project, truth = made(folder)
    run = [sys.executable, "-m", "app.cli", "round", str(project.root)]
    subprocess.run(run, check=True, capture_output=True, timeout=240)
    return project, truth


def report_of(project: Project) -> GoalReport:
    report, fresh = project.goals.report(patience=60)
    assert report is not None
    assert fresh
    return report


def press(page: Any, truth: dict[int, str], count: int) -> None:
    """Press the true digit of each image in front, up to `count` times, while there are some."""
    frame = page.get_by_test_id("review-image")
    for _ in range(count):
        if frame.get_attribute("hidden") is not None:
            return
        image = int(frame.get_attribute("data-image-id"))
        page.keyboard.press(truth[image])
        page.wait_for_function(
            "([node, before]) => node.dataset.imageId !== before || node.hidden",
            arg=[frame.element_handle(), str(image)],
        )


def take_step(page: Any, project: Project, truth: dict[int, str]) -> None:
    """Press the goal's button on the Quality page and do what it asks for."""
    step, before = report_of(project).step, project.store.head_seq()
    count = min(step.images, 60) if step.kind == "look" else 20
    go(page, "Quality")
    button = page.get_by_test_id("stMain").get_by_role("button", name=step_words(step), exact=True)
    button.wait_for()
    settle(page)
    button.click()
    page.get_by_test_id("review-image").locator("img").wait_for()
    settle(page)
    press(page, truth, count)
    wait_until(page, lambda: project.store.head_seq() > before)
    wait_saved(page)


def verified(path: Path) -> str:
    """What `starling verify` says of a file, which must hold."""
    run = [sys.executable, "-m", "app.cli", "verify", str(path)]
    done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def set_goal(page: Any, project: Project) -> None:
    """Set the goal on the Quality page."""
    go(page, "Quality")
    page.get_by_role("spinbutton", name="At most % wrong").fill(str(100 * RATE))
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Set goal").click()
    wait_until(page, lambda: project.goals.goal() == Goal(RATE))
    page.get_by_text("the model's own guess, unchecked").first.wait_for()


def answered(project: Project) -> int:
    """How many answers the audit of all labels has."""
    found = project.audits.opened()
    return 0 if found is None else found.total.looked


def test_goal_is_set_reached_certified_exported_and_verified_with_a_restart_before_and_after(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    project, truth = trained(tmp_path)
    app = start_app(tmp_path / "home", str(project.root))
    page.goto(app.url)
    set_goal(page, project)
    restarted = False
    for _ in range(MOST_STEPS):
        if report_of(project).reached:
            break
        take_step(page, project, truth)
        if not restarted and answered(project) and not report_of(project).reached:
            before = answered(project)
            app.kill()
            app = start_app(tmp_path / "home", str(project.root))
            page.goto(app.url)
            assert answered(project) == before
            restarted = True
    assert restarted, "in the middle of the audit"
    reached = report_of(project).reached
    assert reached.endswith("95 % sure")

    for place in ("Quality", "Review"):
        go(page, place)
        page.get_by_text(f"Reached: {reached}").first.wait_for()
    page.get_by_test_id("stMain").get_by_role("button", name="Export", exact=True).click()
    page.get_by_text("as audit 1 froze them").first.wait_for()
    settle(page)
    told = verified(export(page, tmp_path))
    assert "All of it holds." in told
    assert "of 600 labels are wrong" in told
    assert "is reached" in told

    app.kill()
    app = start_app(tmp_path / "home", str(project.root))
    page.goto(app.url)
    go(page, "Quality")
    page.get_by_text(f"Reached: {reached}").first.wait_for()
    go(page, "Export")
    (tmp_path / "again").mkdir()
    assert "is reached" in verified(export(page, tmp_path / "again"))
    assert project.store.verify() == []
    project.close()


def as_person(page: Any, url: str, name: str) -> None:
    """Open the app and say who answers."""
    page.goto(url)
    page.get_by_test_id("who-change").click()
    page.get_by_test_id("who-input").fill(name)
    page.keyboard.press("Enter")
    settle(page)


def test_two_people_set_a_goal_reach_it_and_export_its_certificate_over_a_restart(
    browser: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    project, truth = trained(tmp_path)
    app = start_app(tmp_path / "home", str(project.root))
    names = ("ann", "bob")
    seen = {"viewport": {"width": 1280, "height": 900}, "bypass_csp": True}
    pages = [browser.new_context(**seen).new_page() for _ in names]
    for page, name in zip(pages, names, strict=True):
        page.set_default_timeout(30_000)
        as_person(page, app.url, name)
    set_goal(pages[0], project)
    assert project.store.goals()[-1].actor == "ann"
    restarted = False
    for turn in range(2 * MOST_STEPS):
        if report_of(project).reached:
            break
        take_step(pages[turn % 2], project, truth)
        if not restarted and answered(project) and not report_of(project).reached:
            app.kill()
            app = start_app(tmp_path / "home", str(project.root))
            for page, name in zip(pages, names, strict=True):
                as_person(page, app.url, name)
            restarted = True
    assert restarted, "in the middle of the audit"
    reached = report_of(project).reached
    assert reached.endswith("95 % sure")
    found = project.audits.get(1)
    assert {said.actor for one in found.answers for said in one.said} == set(names)

    for page in pages:
        go(page, "Review")
        page.get_by_text(f"Reached: {reached}").first.wait_for()
    page = pages[1]
    go(page, "Export")
    page.get_by_text("as audit 1 froze them").first.wait_for()
    settle(page)
    told = verified(export(page, tmp_path))
    assert f"The {len(found.answers)} answers are those of the ledger" in told
    assert "is reached" in told
    assert project.store.verify() == []
    for page in pages:
        page.context.close()
    project.close()
