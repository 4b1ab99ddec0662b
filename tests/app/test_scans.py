"""A look into a source in the background: it outlives the page that began it, and is ended when it is not wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.server import workbench
from engine.errors import NothingToImport
from engine.importers.scan import ImportSource
from engine.project.imports import Imports
from tests.app.test_import_page import MAIN
from tests.engine.importers.import_samples import png, zipped


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[workbench.OpenProject]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield bench.create("Pets")
    bench.close()
    workbench._current = None


@pytest.fixture
def source(tmp_path: Path) -> ImportSource:
    path = tmp_path / "pets.zip"
    path.write_bytes(zipped({"cat/1.png": png(1), "dog/2.png": png(2)}))
    return ImportSource("zip", path, name=path.name)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Scans wait for it after they have begun to tell how far they are."""
    opens = threading.Event()
    real = Imports.scan

    def slow(self: Imports, source: ImportSource, progress: Callable[[str, int, int], None], **more: object) -> object:
        progress("Listing files", 0, 0)
        assert opens.wait(60)
        return real(self, source, progress, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Imports, "scan", slow)
    return opens


def staged(opened: workbench.OpenProject) -> list[Path]:
    return list((opened.project.root / "staging").iterdir())


def test_a_scan_goes_on_by_itself_and_is_asked_for_when_it_has_ended(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event
) -> None:
    scan = opened.look_into(source, uploaded=True)
    assert not scan.wait(0.05)
    assert scan.told.label == "Listing files"
    gate.set()
    assert scan.wait(60)
    assert dict(scan.preview().counts) == {"cat": 1, "dog": 1}
    assert not source.path.exists(), "the upload is still there"


@pytest.mark.parametrize("when", ["running", "ended"])
def test_a_scan_that_is_stopped_leaves_nothing(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event, when: str
) -> None:
    scan = opened.look_into(source, uploaded=False)
    if when == "ended":
        gate.set()
        assert scan.wait(60)
    scan.stop()
    gate.set()
    assert scan.wait(60)
    assert staged(opened) == []
    assert source.path.exists()


def test_why_a_source_cannot_be_read_is_told_to_who_asks(opened: workbench.OpenProject, tmp_path: Path) -> None:
    (tmp_path / "texts.zip").write_bytes(zipped({"a.md": b"x"}))
    scan = opened.look_into(ImportSource("zip", tmp_path / "texts.zip"), uploaded=False)
    with pytest.raises(NothingToImport):
        scan.preview()


def test_closing_the_workbench_ends_its_scans(tmp_path: Path, source: ImportSource, gate: threading.Event) -> None:
    bench = workbench.Workbench(tmp_path / "other")
    scan = bench.create("Pets").look_into(source, uploaded=False)
    threading.Timer(0.1, gate.set).start()
    bench.close()
    assert scan.wait(0)


def test_another_page_and_back_finds_the_scan_where_it_is(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event
) -> None:
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    scan = opened.look_into(source, uploaded=False)
    page.session_state["starling_page_scan"] = scan
    page.switch_page("pages/read_ledger.py").run()
    assert not page.exception
    assert not scan.wait(0)
    gate.set()
    page.switch_page("pages/import_images.py").run()
    assert not page.exception
    assert dict(page.session_state["starling_page_preview"].counts) == {"cat": 1, "dog": 1}
    assert any(one.key == "import" for one in page.button)


def test_looking_at_another_project_ends_the_scan_of_this_one(
    opened: workbench.OpenProject, source: ImportSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = workbench.current().create("Other")
    scan = opened.look_into(source, uploaded=False)
    assert scan.wait(60)
    monkeypatch.setattr(state.st, "session_state", {"starling_page_scan": scan})
    state.choose(other)
    assert staged(opened) == []
