"""The review page hands the right queue to the review surface; the keys themselves are tested in the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.server import workbench
from app.server.workbench import OpenProject
from tests.made_features import make_features
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[workbench.Workbench]:
    found = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: workbench.Workbench, ready: ReadyProjects) -> OpenProject:
    """Three 12×12 images: one “left”, one “right”, one unlabeled."""
    spots = grey(12, {"left/0.png": 0, "right/1.png": 80, "_unlabeled/2.png": 160})
    return bench.open(ready.copy(spots, bench.home / "spots"))


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
        "strategy": "least_sure",
        "round": None,
        "only": "unreviewed",
        "classes": ["left", "right"],
    }
    assert "Least confident" in page.selectbox(key="review_strategy").options
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
    assert page.selectbox(key="review_round").options == ["round 2 · Pseudo-Label", "round 1 · Pseudo-Label · in force"]
    page.selectbox(key="review_round").select(2).run()
    page.selectbox(key="review_strategy").select("margin").run()
    assert (_data(page)["round"], _data(page)["strategy"]) == (2, "margin")


def test_held_back_round_alone_is_offered_but_not_chosen(opened: OpenProject) -> None:
    _complete(opened, "held_back")
    page = _page()
    assert _data(page)["round"] is None
    assert "No round is in force" in page.caption[0].value


def test_grid_takes_the_place_of_the_surface_with_the_orders_the_round_allows(opened: OpenProject) -> None:
    _complete(opened, "promoted")
    page = _page()
    page.get("button_group")[0].set_value("Grid").run()
    found = _data(page)
    assert (found["base"], found["round"], found["only"]) == (opened.base, 1, "unreviewed")
    keys = [key for key, _ in found["sorts"]]
    assert keys[0] == "confidence"
    assert "likeness" not in keys, "there are no features"
    assert "disagreement" not in keys


def test_grid_needs_a_round_or_features(opened: OpenProject) -> None:
    page = _page()
    assert page.get("button_group")[0].disabled
    make_features(opened.project, np.eye(3))
    page.run()
    assert not page.get("button_group")[0].disabled
    page.get("button_group")[0].set_value("Grid").run()
    assert _data(page) == {
        "base": opened.base,
        "round": None,
        "only": "unreviewed",
        "classes": ["left", "right"],
        "sorts": [["likeness", "like ones together"]],
    }
    _complete(opened, "promoted")
    page.run()
    assert [key for key, _ in _data(page)["sorts"]][:2] == ["confidence", "likeness"]


def test_a_list_is_looked_at_one_by_one(opened: OpenProject) -> None:
    _complete(opened, "promoted")
    page = _page()
    page.selectbox(key="review_only").select("conflicts").run()
    assert (_data(page)["only"], _data(page)["strategy"]) == ("conflicts", "least_sure")
    assert page.get("button_group")[0].disabled


def test_an_open_audit_is_offered_with_what_is_left_of_it(opened: OpenProject) -> None:
    _complete(opened, "promoted")
    audits = opened.project.audits
    audits.start_rule(audits.rule_at(1, 0.5))
    page = _page()
    assert "Audit 1, asked blind" in page.selectbox(key="review_only").options
    page.selectbox(key="review_only").select("audit:1").run()
    assert _data(page)["only"] == "audit:1"
    audits.close(1)
    page.run()
    assert page.selectbox(key="review_only").value == "unreviewed"


def _complete(opened: OpenProject, state: str) -> None:
    """Make a complete round without training."""
    opened.engine.stop()
    make_round(opened.project, np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), state=state)
