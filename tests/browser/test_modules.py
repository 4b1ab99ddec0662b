"""A page whose modules cannot be had, such as a tab left open over an update, says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.project.opened import Project

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser


def test_modules_of_another_version_are_told_of_and_a_reload_brings_them(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "home" / "one"
    root.parent.mkdir()
    Project.create(root).close()
    app = start_app(None, str(root))
    page.route("**/starling/js/**", lambda route: route.fulfill(status=404, body="another version"))
    page.goto(app.url)
    expect(page.get_by_test_id("component-not-loaded").first).to_contain_text("Reload the page")
    page.unroute("**/starling/js/**")
    page.reload()
    expect(page.get_by_test_id("upload-drop").first).to_be_visible()
    expect(page.get_by_test_id("component-not-loaded")).to_have_count(0)
