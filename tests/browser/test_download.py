"""An export in Chromium: downloaded by the page's button, and gone on with by the command that the page shows."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_whole_loop import export, go
from tests.ready_project import ReadyProjects, noisy_pets

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
pytestmark = pytest.mark.browser


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_export_comes_out_of_the_browser_and_of_curl_as_it_lies_on_the_disk(
    page: Any, start_app: Callable[..., Any], ready: ReadyProjects, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    root = ready.copy(noisy_pets(20, 100, ("*cat*", "dog")), home / "pets")
    app = start_app(home, str(root))
    page.goto(app.url)
    go(page, "Export")
    downloaded = export(page, tmp_path, 120)
    (written,) = (one for one in (root / "exports").iterdir() if not one.name.startswith("."))
    whole = written.read_bytes()
    assert downloaded.read_bytes() == whole
    page.get_by_text(hashlib.sha256(whole).hexdigest()).wait_for()

    page.get_by_text("By command, also on after a break").click()
    shown = page.get_by_test_id("stCode").inner_text()
    command = shlex.split(shown.replace("TOKEN", app.url.partition("token=")[2]))
    target = tmp_path / command[command.index("--output") + 1]
    target.write_bytes(whole[: len(whole) // 2])
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert target.read_bytes() == whole
