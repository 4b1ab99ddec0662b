"""A tiny round of every algorithm on the bundled digits, started by hand from the train page, to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms import ALGORITHMS
from engine.importers.scan import ImportSource
from engine.project.opened import Project
from tests.browser.test_whole_loop import choose_algorithm, go, set_number, settle, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
SECONDS = 120
ENDS = [[state] for state in ("promoted", "held_back", "failed", "interrupted")]


def test_every_algorithm_runs_from_the_form_to_its_report(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "home" / "digits"
    with Project.create(root, "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=90)
        project.imports.commit(project.imports.scan(source))
    app = start_app(None, str(root))
    page.goto(app.url)
    go(page, "Train")
    with Project.open(root, read_only=True) as project:
        for number, (key, spec) in enumerate(ALGORITHMS.items(), start=1):
            begun = time.monotonic()
            choose_algorithm(page, spec.title)
            if number == 1:
                make_it_tiny(page)
            page.get_by_role("button", name="Start round").click()
            wait_until(
                page, lambda n=number: [one.state for one in project.store.rounds()][n - 1 :][:1] in ENDS, SECONDS
            )
            record = project.store.round(number)
            assert record.algorithm == key
            assert record.state in {"promoted", "held_back"}, f"{key}: {record.error}"
            assert record.config["train"]["steps_per_epoch"] == 4
            page.get_by_text(f"Round {number}", exact=True).first.wait_for()
            page.get_by_text("Measured accuracy").first.wait_for()
            page.get_by_role("button", name="Cancel round").wait_for(state="detached")
            settle(page)
            assert page.get_by_test_id("stException").count() == 0
            print(f"{key}: {time.monotonic() - begun:.1f} s")


def make_it_tiny(page: Any) -> None:
    """Two epochs of four steps, without a baseline; kept for the algorithms chosen later."""
    set_number(page, "Epochs", 2)
    page.get_by_role("tab", name="Training").click()
    set_number(page, "Steps per epoch", 4)
    page.get_by_text("Run the baseline", exact=True).click()
    settle(page)
