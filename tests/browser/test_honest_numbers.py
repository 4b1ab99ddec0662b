"""Accepting by threshold with an audited bound, and the check of given labels, by hand in Chromium on digits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.benchmarks.fixed_audit import upper_bound
from engine.importers.scan import ImportSource
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.browser.digits import digits_zip
from tests.browser.test_whole_loop import Pictures, export, go, settle, wait_until

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")

pytestmark = pytest.mark.browser
AUDITED = 15
ROUND = ["--algorithm", "pseudo_label", "--set", "epochs=8", "--set", "run_baseline=false"]


def made(folder: Path) -> tuple[Project, dict[int, str]]:
    """A project of 600 digits, 100 of them labeled, and the true digit of each image."""
    truth = digits_zip(folder / "digits.zip")
    root = folder / "home" / "digits"
    root.parent.mkdir()
    project = Project.create(root, "Digits")
    project.imports.commit(project.imports.scan(ImportSource("zip", folder / "digits.zip")))
    return project, {item.id: str(truth[Path(item.name).name]) for item in project.workspace.items()}


def answer(page: Any, truth: dict[int, str], count: int) -> None:
    """Press the true digit of each image in front, `count` times."""
    frame = page.get_by_test_id("review-image")
    for _ in range(count):
        frame.locator("img").wait_for()
        image = int(frame.get_attribute("data-image-id"))
        page.keyboard.press(truth[image])
        page.wait_for_function(
            "([node, before]) => node.dataset.imageId !== before || node.hidden",
            arg=[frame.element_handle(), str(image)],
        )


def tab(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).or_(
        page.get_by_role("radio", name=name, exact=True)
    ).first.click()
    settle(page)


def test_audit_is_drawn_answered_accepted_exported_and_taken_back(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    project, truth = made(tmp_path)
    run = [sys.executable, "-m", "app.cli", "round", str(project.root), *ROUND]
    subprocess.run(run, check=True, capture_output=True, timeout=240)
    app = start_app(tmp_path / "home", str(project.root))
    pictures = Pictures(page, tmp_path)
    page.goto(app.url)
    go(page, "Quality")
    tab(page, "Accept by threshold")
    page.get_by_text("One threshold, given").click()
    settle(page)
    page.get_by_label("Images to check").fill(str(AUDITED))
    page.keyboard.press("Tab")
    settle(page)
    page.get_by_role("button", name=f"Draw an audit of {AUDITED}").click()
    page.get_by_text(f"0 of {AUDITED} answered").first.wait_for()
    found = project.audits.all()[0].record
    pictures.take("audit")

    page.get_by_role("button", name="Review the audit images").click()
    page.get_by_test_id("review-image").locator("img").wait_for()
    settle(page)
    answer(page, truth, AUDITED)
    wait_until(page, lambda: project.audits.get(1).answered == AUDITED)
    wrong = sum(project.queue.item(i).prediction != truth[i] for i in found.sample)
    bound = upper_bound(wrong, AUDITED)

    go(page, "Quality")
    statement = page.get_by_text(re.compile(rf"{AUDITED} audited, {wrong} wrong: at most"))
    statement.first.wait_for()
    pictures.take("audit_answered")
    page.get_by_role("button", name=re.compile(r"Accept [\d,]+ labels as one batch")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile(r"Accept [\d,]+ labels")).click()
    page.get_by_text(re.compile(r"Accepted [\d,]+ labels")).first.wait_for()
    batch = project.store.batches(1)[0]
    assert batch.decisions == len(found.population) - AUDITED
    assert batch.facts["bound"] == pytest.approx(bound)
    assert project.store.counts().accepted + project.store.counts().human == len(found.population)

    go(page, "Export")
    with zipfile.ZipFile(export(page, tmp_path)) as archive:
        manifest = json.loads(next(archive.read(name) for name in archive.namelist() if "manifest.json" in name))
    assert manifest["batches"][batch.batch]["statement"] == batch.facts["statement"]

    go(page, "History")
    page.get_by_role("button", name="Undo").first.click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Undo|Take back|take back")).first.click()
    wait_until(page, lambda: project.store.counts().accepted + project.store.counts().human == AUDITED)
    assert project.store.verify() == []
    project.close()
    pictures.keep()


def test_wrong_labels_are_suspected_and_settled_by_keys(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    project, truth = made(tmp_path)
    flipped = flip(project, truth, 6)
    app = start_app(tmp_path / "home", str(project.root))
    pictures = Pictures(page, tmp_path)
    page.goto(app.url)
    go(page, "Quality")
    tab(page, "Labels to check")
    page.get_by_role("button", name="Check the labels").click()
    wait_until(page, lambda: project.checks.state("labels").status == "ready", seconds=240)
    issues = project.checks.label_issues()
    assert issues
    page.get_by_role("button", name=re.compile("^Review these|^Review")).first.wait_for()
    pictures.take("suspected_labels")

    go(page, "Review")
    page.get_by_test_id("review-image").locator("img").wait_for()
    settle(page)
    page.get_by_role("combobox", name=re.compile("Show")).click()
    page.get_by_role("option", name="Suspected labels").click()
    frame = page.get_by_test_id("review-image")
    first = issues[0].image_id
    wait_until(page, lambda: frame.get_attribute("data-image-id") == str(first), 30)
    settle(page)
    pictures.take("review_suspected")
    right = first in flipped
    page.keyboard.press("a" if right else "k")
    wait_until(
        page, lambda: project.store.history(first, 1)[0].actor == "local" and project.store.history(first, 1)[0].seq > 0
    )
    wait_until(page, lambda: first not in [one.image_id for one in project.checks.label_issues()])
    label = project.queue.item(first).label
    assert label == (issues[0].suggested if right else issues[0].given)
    project.close()
    pictures.keep()


def flip(project: Project, truth: dict[int, str], count: int) -> set[int]:
    """Give `count` labeled images the next digit as their label; return them."""
    table = project.store.label_table()
    labeled = [int(i) for i, label in zip(table.image_ids, table.label, strict=True) if label is not None][::17][:count]
    for image in labeled:
        version = int(table.version[table.image_ids == image][0])
        wrong = str((int(truth[image]) + 1) % 10)
        assert (
            project.labels.decide([Decision(new_uid(), image, version, "label", wrong, actor="other")])[0].status
            == "saved"
        )
    return set(labeled)
