"""The review page hands the right queue to the review surface; the keys themselves are tested in the browser."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import workbench
from app.workbench import OpenProject
from engine.importers.scan import ImportSource

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[workbench.Workbench]:
    found = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: workbench.Workbench, tmp_path: Path) -> OpenProject:
    """Three 12×12 images: one “left”, one “right”, one unlabeled."""
    path = tmp_path / "spots.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, folder in enumerate(["left", "right", "_unlabeled"]):
            out = BytesIO()
            Image.fromarray(np.full((12, 12), 80 * number, np.uint8)).save(out, "PNG")
            archive.writestr(f"{folder}/{number}.png", out.getvalue())
    found = bench.create("Spots")
    found.project.commit_import(found.project.scan(ImportSource("zip", path)))
    return found


def _page() -> AppTest:
    page = AppTest.from_file(str(MAIN)).run()
    page.switch_page("pages/review_labels.py").run()
    assert not page.exception
    return page


def _data(page: AppTest) -> dict[str, Any]:
    return json.loads(page.get("bidi_component")[0].proto.json)


def test_without_a_project_the_page_says_where_to_get_one(bench: workbench.Workbench) -> None:
    page = _page()
    assert "No project is open" in page.info[0].value
    assert not page.get("bidi_component")


def test_without_images_the_page_points_to_import_instead_of_an_empty_queue(bench: workbench.Workbench) -> None:
    bench.create("Empty")
    page = _page()
    assert "no images yet" in page.info[0].value
    assert not page.get("bidi_component")


def test_before_any_round_the_surface_gets_the_classes_and_no_round(opened: OpenProject) -> None:
    page = _page()
    assert _data(page) == {
        "base": opened.base,
        "strategy": "least_confidence",
        "round": None,
        "only": "unreviewed",
        "classes": ["left", "right"],
    }
    assert page.selectbox(key="review_strategy").disabled
    assert "No round has finished yet" in page.caption[0].value


def test_choosing_what_is_shown_reaches_the_surface(opened: OpenProject) -> None:
    page = _page()
    page.selectbox(key="review_only").select("marked").run()
    assert _data(page)["only"] == "marked"


def test_round_in_force_is_chosen_first_and_a_held_back_one_can_be(
    opened: OpenProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    _complete(opened, "promoted")
    _complete(opened, "held_back")
    page = _page()
    assert _data(page)["round"] == 1
    assert page.selectbox(key="review_round").options == ["round 2 · pseudo label", "round 1 · pseudo label · in force"]
    page.selectbox(key="review_round").select(2).run()
    page.selectbox(key="review_strategy").select("margin").run()
    assert (_data(page)["round"], _data(page)["strategy"]) == (2, "margin")


def test_held_back_round_alone_is_offered_but_not_chosen(opened: OpenProject) -> None:
    _complete(opened, "held_back")
    page = _page()
    assert _data(page)["round"] is None
    assert "No round is in force" in page.caption[0].value


def _complete(opened: OpenProject, state: Any) -> None:
    """Bring a new round to its end without training."""
    opened.engine.stop()
    store = opened.project.store
    record = store.queue_round("pseudo_label", {})
    for step in ("running", "finished", state):
        store.transition(record.number, step)
