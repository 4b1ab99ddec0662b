"""What a person sees who uploads the wrong thing, asks too early, or opens a second project."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.project.opened import Project

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser


def _png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def _zip(path: Path, files: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _send(page: Any, path: Path, words: str | re.Pattern[str]) -> None:
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text(words).first.wait_for()


def test_wrong_uploads_are_explained_and_a_first_batch_can_be_labeled(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    app = start_app()
    Project.create(app.home / "other").close()
    page.goto(app.url)
    page.get_by_label("New project").fill("First")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("0 images").wait_for()
    expect(page.get_by_label("New project")).to_have_count(1)
    page.get_by_label("New project").fill("Second")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("paragraph").filter(has_text=re.compile("^Second")).wait_for()
    expect(page.locator("input[type=file]")).to_have_count(1)
    page.wait_for_timeout(1000)

    (tmp_path / "text.zip").write_text("no zip")
    _send(page, tmp_path / "text.zip", re.compile("not a zip"))
    _send(page, _zip(tmp_path / "hollow.zip", {}), re.compile("empty"))
    _send(page, _zip(tmp_path / "words.zip", {"a.txt": "words"}), re.compile("No readable image"))
    with Project.open(app.home / "second") as project:
        assert project.store.counts().images == 0
        assert list((project.root / "staging").iterdir()) == []

    table = "filename,label\n0.png,007\n1.png,cat\n9.png,cat\n2.png,cat\n2.png,dog\n"
    files: dict[str, bytes | str] = {f"{i}.png": _png(40 * i) for i in range(4)}
    _send(
        page,
        _zip(tmp_path / "table.zip", {**files, "labels.csv": table, "cut.jpg": _png(9)[:40]}),
        re.compile(r"2 labeled in"),
    )
    page.get_by_text(re.compile("Refused files")).wait_for()
    page.get_by_text(re.compile("Conflicting labels")).wait_for()
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("Drop a zip or tar here").wait_for()

    _send(page, _zip(tmp_path / "plain.zip", files), re.compile("Nothing here is labeled"))
    page.get_by_role("button", name="Import 4 images").click()
    page.get_by_text(re.compile("Imported 4 images")).wait_for()
    page.get_by_role("link", name="Train", exact=True).first.click()
    page.get_by_role("button", name="Start recommended round").click()
    page.get_by_role("link", name="Label a first batch").click()
    page.get_by_test_id("review-new-class").click()
    page.get_by_test_id("review-new-class-name").fill("cat")
    page.get_by_test_id("review-new-class-add").click()
    page.get_by_test_id("review-class").first.wait_for()
    page.get_by_test_id("review-new-class").wait_for()  # the field is gone, which would have taken the key
    page.keyboard.press("1")
    page.get_by_test_id("review-recent").first.wait_for()
    page.get_by_text(re.compile("saved · 1 today")).wait_for()
    with Project.open(app.home / "second") as project:
        assert project.store.counts().human == 1
        assert project.store.rounds() == []
