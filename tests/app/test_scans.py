"""A source that was handed over: the look into it goes on in the background, and every browser of the project finds it
again, also after a restart, until it is imported or thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.server import workbench
from app.server.deliveries import Delivery
from engine.errors import NothingToImport, SourceMissing
from engine.importers.formats import AUTO
from engine.importers.scan import ImportSource
from engine.project.imports import Imports
from engine.records.imports import ImportPreview
from tests.app.test_import_page import MAIN, box
from tests.engine.importers.import_samples import png, zipped


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[workbench.OpenProject]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield bench.create("Pets")
    workbench.current().close()
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


def ended(delivery: Delivery) -> ImportPreview:
    assert delivery.scan is not None
    assert delivery.scan.wait(60)
    preview = delivery.scan.preview()
    assert preview is not None
    return preview


def browser() -> AppTest:
    """The page Import in a browser, or a tab, that has seen nothing yet."""
    page = AppTest.from_file(str(MAIN), default_timeout=120).run()
    page.switch_page("pages/import_images.py").run()
    assert not page.exception
    return page


def press(page: AppTest, key: str) -> None:
    page.button(key=key).click().run()
    assert not page.exception


def keys(page: AppTest) -> set[str]:
    return {one.key for one in page.button}


def restarted(opened: workbench.OpenProject) -> workbench.OpenProject:
    """The same project, in a Starling that was started anew."""
    root, home = opened.project.root, workbench.current().home
    workbench.current().close()
    return workbench.use(workbench.Workbench(home)).open(root)


def test_a_scan_goes_on_by_itself_and_is_asked_for_when_it_has_ended(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event
) -> None:
    delivery = opened.deliveries.begin(source, uploaded=True)
    assert delivery.scan is not None
    assert not delivery.scan.wait(0.05)
    assert delivery.scan.told.label == "Listing files"
    gate.set()
    assert dict(ended(delivery).counts) == {"cat": 1, "dog": 1}


@pytest.mark.parametrize("when", ["running", "ended"])
@pytest.mark.parametrize("uploaded", [False, True])
def test_a_delivery_that_is_thrown_away_leaves_nothing_but_a_source_that_is_no_upload(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event, when: str, uploaded: bool
) -> None:
    delivery = opened.deliveries.begin(source, uploaded=uploaded)
    assert delivery.scan is not None
    if when == "ended":
        gate.set()
        assert delivery.scan.wait(60)
    opened.deliveries.drop(delivery)
    gate.set()
    assert delivery.scan.wait(60)
    assert staged(opened) == []
    assert source.path.exists() != uploaded
    assert opened.deliveries.all() == []


def test_why_a_source_cannot_be_read_is_told_to_who_asks(opened: workbench.OpenProject, tmp_path: Path) -> None:
    (tmp_path / "texts.zip").write_bytes(zipped({"a.md": b"x"}))
    delivery = opened.deliveries.begin(ImportSource("zip", tmp_path / "texts.zip"), uploaded=False)
    with pytest.raises(NothingToImport):
        ended(delivery)


def test_closing_the_workbench_ends_its_scans(tmp_path: Path, source: ImportSource, gate: threading.Event) -> None:
    bench = workbench.Workbench(tmp_path / "other")
    delivery = bench.create("Pets").deliveries.begin(source, uploaded=False)
    threading.Timer(0.1, gate.set).start()
    bench.close()
    assert delivery.scan is not None
    assert delivery.scan.wait(0)


def test_another_page_and_back_finds_the_scan_where_it_is(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event
) -> None:
    page = browser()
    delivery = opened.deliveries.begin(source, uploaded=False)
    page.session_state["starling_page_delivery"] = delivery.id
    page.switch_page("pages/read_ledger.py").run()
    assert not page.exception
    assert delivery.scan is not None
    assert not delivery.scan.wait(0)
    gate.set()
    page.switch_page("pages/import_images.py").run()
    assert not page.exception
    assert dict(page.session_state["starling_page_preview"].counts) == {"cat": 1, "dog": 1}
    assert "import" in keys(page)


def test_a_page_that_is_loaded_again_shows_the_scan_and_then_what_was_found(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event
) -> None:
    opened.deliveries.begin(source, uploaded=True)
    threading.Timer(1.0, gate.set).start()
    page = browser()
    assert dict(page.session_state["starling_page_preview"].counts) == {"cat": 1, "dog": 1}
    press(browser(), "import")
    assert opened.project.store.counts().labeled == 2
    assert staged(opened) == []
    press(page, "import")
    assert any("in another window" in one.value for one in (*page.error, *page.info))
    assert opened.project.store.counts().images == 2


def test_a_page_that_is_loaded_again_shows_how_the_source_was_read_last(
    opened: workbench.OpenProject, source: ImportSource
) -> None:
    opened.deliveries.begin(source, uploaded=False)
    box(browser(), "Read as").set_value("images_only").run()
    assert box(browser(), "Read as").value == "images_only"


def test_two_windows_hand_over_a_source_each_and_both_are_imported(
    opened: workbench.OpenProject, source: ImportSource, tmp_path: Path
) -> None:
    (tmp_path / "more.zip").write_bytes(zipped({"owl/3.png": png(3), "wolf/4.png": png(4)}))
    first = browser()
    opened.deliveries.begin(source, uploaded=False)
    second = opened.deliveries.begin(ImportSource("zip", tmp_path / "more.zip", name="more.zip"), uploaded=False)
    first.run()
    assert "import" not in keys(first), "a browser that hands over its own is shown another's"
    press(first, f"show_{second.id}")
    press(first, "import")
    assert list(opened.project.store.classes()) == ["owl", "wolf"]
    assert any("Imported 2 images" in one.value for one in first.success)
    press(browser(), "import")
    assert opened.project.store.counts().images == 4


def test_a_delivery_can_wait_while_another_source_is_added(opened: workbench.OpenProject, source: ImportSource) -> None:
    delivery = opened.deliveries.begin(source, uploaded=False)
    page = browser()
    press(page, "later")
    assert "import" not in keys(page)
    press(page, f"show_{delivery.id}")
    assert "import" in keys(page)


@pytest.mark.parametrize("uploaded", [False, True])
@pytest.mark.parametrize("when", ["running", "ended"])
def test_after_a_restart_the_source_is_offered_and_read_as_it_was(
    opened: workbench.OpenProject, source: ImportSource, gate: threading.Event, uploaded: bool, when: str
) -> None:
    delivery = opened.deliveries.begin(source, uploaded=uploaded)
    if when == "ended":
        gate.set()
        opened.deliveries.read_again(delivery, ended(delivery), "images_only", {}, lambda *_: None)
    else:
        threading.Timer(0.1, gate.set).start()
    again = restarted(opened)
    page = browser()
    assert {"look_again", "discard"} <= keys(page)
    assert any("pets\\.zip" in one.value or "pets.zip" in one.value for one in page.subheader)
    press(page, "look_again")
    assert box(page, "Read as").value == ("images_only" if when == "ended" else "class_tree")
    press(page, "import")
    assert again.project.store.counts().images == 2
    assert staged(again) == []
    assert source.path.exists() != uploaded


def test_after_a_restart_the_source_can_be_thrown_away(opened: workbench.OpenProject, source: ImportSource) -> None:
    opened.deliveries.begin(source, uploaded=True)
    again = restarted(opened)
    press(browser(), "discard")
    assert (again.deliveries.all(), staged(again)) == ([], [])


def test_a_restart_removes_what_no_note_tells_of(opened: workbench.OpenProject, source: ImportSource) -> None:
    delivery = opened.deliveries.begin(source, uploaded=True)
    (opened.project.root / "staging" / "delivery-alone.zip").write_bytes(b"PK")
    (opened.project.root / "staging" / "delivery-damaged.json").write_text("{")
    (opened.project.root / "staging" / "upload-cut.zip").write_bytes(b"PK")
    again = restarted(opened)
    assert {one.name for one in staged(again)} == {
        f"delivery-{delivery.id}.json", delivery.source.path.name,
    }  # fmt: skip


def test_nothing_is_read_in_another_way_once_it_is_imported(
    opened: workbench.OpenProject, source: ImportSource
) -> None:
    delivery = opened.deliveries.begin(source, uploaded=False)
    preview = ended(delivery)
    with opened.deliveries.taking(delivery):
        opened.project.imports.commit(preview)
    with pytest.raises(SourceMissing, match="another window"):
        opened.deliveries.read_again(delivery, preview, AUTO, {}, lambda *_: None)
    with pytest.raises(SourceMissing, match="another window"), opened.deliveries.taking(delivery):
        raise AssertionError("it is imported twice")


def test_an_import_that_fails_keeps_the_delivery(opened: workbench.OpenProject, source: ImportSource) -> None:
    delivery = opened.deliveries.begin(source, uploaded=False)
    with pytest.raises(OSError, match="full"), opened.deliveries.taking(delivery):
        raise OSError("full")
    assert opened.deliveries.all() == [delivery]


def test_the_delivery_of_a_project_waits_while_another_one_is_looked_at(
    opened: workbench.OpenProject, source: ImportSource
) -> None:
    opened.deliveries.begin(source, uploaded=False)
    other = workbench.current().create("Other")
    page = browser()
    page.session_state["starling_project"] = other.key
    page.run()
    for name in [name for name in ("starling_page_delivery", "starling_page_preview") if name in page.session_state]:
        del page.session_state[name]
    page.run()
    assert "import" not in keys(page)
    page.session_state["starling_project"] = opened.key
    del page.session_state["starling_page_delivery"]
    page.run()
    assert "import" in keys(page)
