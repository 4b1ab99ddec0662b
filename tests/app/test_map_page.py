"""The map page offers, watches and shows the map; drawing and pointing are tested in the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.components.map_canvas.component import Goto
from app.server import workbench
from app.server.workbench import OpenProject
from engine.errors import MapError
from engine.project.maps import Maps
from engine.records.labels import ProjectCounts
from engine.records.rounds import MapState
from engine.rounds.folder import results
from engine.store import Store

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenProject]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    monkeypatch.setattr(Store, "counts", lambda self: ProjectCounts(4, 2, 2, 2, 0, 0, 0, 0, 0, {}))
    yield bench.create("Spots")
    bench.close()
    workbench._current = None


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say where the fixed map stands."""
    return lambda *args, **fields: monkeypatch.setattr(Maps, "state", lambda self, source: MapState(*args, **fields))


def _page() -> AppTest:
    page = AppTest.from_file(str(MAIN)).run()
    page.switch_page("pages/inspect_map.py").run()
    assert not page.exception
    return page


def _data(page: AppTest) -> dict[str, Any]:
    return json.loads(page.get("bidi_component")[0].proto.json)


def test_without_a_map_the_page_offers_to_compute_one(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, bool]] = []

    def start(self: Maps, source: str, *, fresh: bool = False) -> None:
        started.append((source, fresh))
        stands("ready", version="v1")

    monkeypatch.setattr(Maps, "start", start)
    stands("none")
    page = _page()
    assert not page.get("bidi_component")
    page.button(key="compute_map").click().run()
    assert started == [("pixels", False)]
    assert _data(page)["version"] == "v1:ready"


def test_failed_map_says_why_as_text_and_offers_another_try(opened: OpenProject, stands: Any) -> None:
    stands("failed", error="no *features*")
    page = _page()
    assert page.error[0].value == "no \\*features\\*"
    assert page.button(key="compute_map").label == "Try again"


def test_refused_start_shows_cause_and_way_out(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Maps, source: str, *, fresh: bool = False) -> MapState:
        raise MapError("There are no images to map", way_out="Import a set first.")

    monkeypatch.setattr(Maps, "start", refuse)
    stands("none")
    page = _page()
    page.button(key="compute_map").click().run()
    assert page.error[0].value == "There are no images to map."
    assert not page.exception


def test_running_map_is_shown_with_its_progress_above(opened: OpenProject, stands: Any) -> None:
    stands("running", "First picture", 0.25, version="v1")
    page = _page()
    assert page.get("progress")[0].proto.value == 25
    assert page.get("progress")[0].proto.text == "First picture"
    assert _data(page)["computing"] is True


def test_newest_round_with_epochs_colours_the_map_and_a_running_one_is_live(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.engine.stop()
    store = opened.project.store
    first = store.queue_round("supervised", {})
    for step in ("running", "finished", "promoted"):
        store.transition(first.number, step)
    second = store.queue_round("pseudo_label", {})
    store.transition(second.number, "running")
    monkeypatch.setattr(results, "epochs", lambda folder: [1, 2])
    stands("ready", version="v1")
    page = _page()
    assert (_data(page)["round"], _data(page)["live"]) == (2, True)
    page.selectbox(key="map_round").select(1).run()
    assert (_data(page)["round"], _data(page)["live"]) == (1, False)


def test_map_without_rounds_is_shown_with_labels_only(opened: OpenProject, stands: Any) -> None:
    stands("ready", version="v1")
    page = _page()
    found = _data(page)
    assert found.pop("base") == opened.base
    expected = {"round": None, "source": "pixels", "version": "v1:ready"}
    assert found == expected | dict.fromkeys(("live", "computing", "complete", "moving"), False)


def test_running_map_can_be_cancelled_and_gone_on_with(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def cancel(self: Maps, source: str) -> None:
        told.append(source)
        stands("cancelled", version="v1")

    monkeypatch.setattr(Maps, "cancel", cancel)
    stands("running", "Refining", 0.5, version="v1")
    page = _page()
    page.button(key="cancel_map").click().run()
    assert told == ["pixels"]
    assert page.button(key="compute_map").label == "Go on with the map"
    assert "as good as it was" in page.info[0].value


def test_images_placed_later_are_said_and_can_be_laid_out_anew(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(Maps, "start", lambda self, source, *, fresh=False: told.append(fresh))
    stands("ready", version="v1", placed=1200)
    page = _page()
    assert page.caption[-1].value.startswith("1,200 images came later")
    page.button(key="fresh_map").click().run()
    assert told == [True]


def test_other_source_shows_another_map(opened: OpenProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Maps, "state", lambda self, source: MapState("ready", version=source, source=source))
    page = _page()
    assert page.selectbox(key="map_source").options[0] == "pixels"
    page.selectbox(key="map_source").select("pretrained-efficientnet_lite0").run()
    assert (_data(page)["source"], _data(page)["version"]) == (
        "pretrained-efficientnet_lite0", "pretrained-efficientnet_lite0:ready",
    )  # fmt: skip


def test_selection_leads_to_the_page_asked_for_with_those_images(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands("ready", version="v1")
    opened.selection = (1, 3)
    monkeypatch.setattr("app.components.map_canvas.component.map_canvas", lambda *args, **options: Goto("export"))
    page = AppTest.from_file(str(MAIN)).run()
    page.switch_page("pages/inspect_map.py").run()
    assert not page.exception
    assert page.checkbox(key="export_selection").value
    assert page.checkbox(key="export_selection").label == "Only the 2 images selected on the map"
    opened.selection = ()
    page.run()
    assert not page.exception
    assert "export_selection" not in [box.key for box in page.checkbox]
