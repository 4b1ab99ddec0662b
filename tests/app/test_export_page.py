"""The page of exports: every format with what it is for, and splits."""

from __future__ import annotations

import csv
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.server import workbench
from app.server.workbench import OpenProject
from engine.exporters import EXPORTERS
from engine.project.labels import new_uid
from engine.records.labels import Decision
from tests.ready_project import ReadyProjects, noisy_pets

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def opened(ready: ReadyProjects, tmp_path: Path) -> Iterator[OpenProject]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    found = bench.open(ready.copy(noisy_pets(20, 100, ("*cat*", "dog")), bench.home / "pets"))
    found.engine.stop()
    yield found
    bench.close()
    workbench._current = None


@pytest.fixture
def page(opened: OpenProject) -> AppTest:
    shown = AppTest.from_file(str(MAIN), default_timeout=60).run()
    return shown.switch_page("pages/export_dataset.py").run()


def test_every_format_is_offered_by_its_title_with_a_sentence(page: AppTest, opened: OpenProject) -> None:
    assert page.selectbox(key="export_format").options == [one.title for one in EXPORTERS.values()]
    page.selectbox(key="export_format").set_value("fiftyone").run()
    assert EXPORTERS["fiftyone"].summary in [one.value for one in page.caption]
    page.button(key="run_export").click().run()
    assert not page.exception
    (file,) = opened.project.exports.files()
    assert file.suffix == ".zip"


def test_a_split_is_asked_for_by_percents_and_a_seed(page: AppTest, opened: OpenProject) -> None:
    found = []
    for seed in (0, 0, 7):
        page.selectbox(key="export_format").set_value("csv").run()
        page.checkbox(key="export_split").check().run()
        page.text_input(key="export_shares").set_value("50, 25, 25").run()
        page.number_input(key="export_seed").set_value(seed).run()
        page.button(key="run_export").click().run()
        assert not page.exception
        (file,) = opened.project.exports.files()
        with open(file, newline="") as table:
            found.append([row["split"] for row in csv.DictReader(table)])
        file.unlink()
    assert Counter(found[0]) == {"train": 10, "val": 5, "test": 5, "": 100}
    assert found[0] == found[1] != found[2]


def test_shares_that_are_none_are_told_and_nothing_is_exported(page: AppTest) -> None:
    page.checkbox(key="export_split").check().run()
    page.text_input(key="export_shares").set_value("80, 10, 20").run()
    assert not page.exception
    assert "make a whole" in page.error[0].value
    assert "Not possible so" in words(page)
    assert page.button(key="run_export").disabled


def test_finished_exports_show_size_and_sum_and_are_downloaded_by_version(page: AppTest, opened: OpenProject) -> None:
    page.selectbox(key="export_format").set_value("csv").run()
    page.button(key="run_export").click().run()
    (made,) = opened.project.exports.files()
    kept = made.with_name("my [own] ü.csv")
    kept.write_bytes(bytes(2_500_000))
    page.run()
    assert not page.exception
    told = [one.value for one in (*page.markdown, *page.caption)]
    assert any(r"my \[own\] ü.csv" in text and "2.5 MB" in text for text in told)
    assert f"SHA-256 `{hashlib.sha256(made.read_bytes()).hexdigest()}`" in told
    page.button(key=f"sum_{kept.name}").click().run()
    assert f"SHA-256 `{hashlib.sha256(bytes(2_500_000)).hexdigest()}`" in [one.value for one in page.caption]
    versions = {one.name: one.version for one in opened.project.exports.finished.all()}
    links = [one.proto.url for one in page.get("link_button")]
    assert f"{opened.base}/exports/my%20%5Bown%5D%20%C3%BC.csv?version={versions[kept.name]}" in links
    assert f"{opened.base}/exports/{made.name}?version={versions[made.name]}" in links
    *command, address = shlex.split(page.code[0].value)
    assert command[:4] == ["curl", "--fail", "--continue-at", "-"]
    assert command[-2:] == ["--output", kept.name]
    assert address.endswith(f"{opened.base}/exports/my%20%5Bown%5D%20%C3%BC.csv?version={versions[kept.name]}")


def words(page: AppTest) -> str:
    """The captions and paragraphs, without the escapes of Markdown."""
    return "\n".join(one.value for one in (*page.caption, *page.markdown)).replace("\\", "")


def label_some(opened: OpenProject, count: int, label: str) -> list[int]:
    """Give the first unlabeled images a label; return their ids."""
    table = opened.project.store.label_table()
    ids = [int(one) for one, known in zip(table.image_ids, table.label, strict=True) if known is None][:count]
    saved = opened.project.labels.decide([Decision(new_uid(), one, 0, "label", label, actor="ann") for one in ids])
    assert {one.status for one in saved} == {"saved"}
    return ids


def test_only_sources_that_have_labels_are_offered_each_with_its_number(page: AppTest, opened: OpenProject) -> None:
    sources = {box.key: box.label for box in page.checkbox if box.key.startswith("source_")}
    assert sources == {"source_imported": "Labels that came with the import: 20"}
    assert page.button(key="run_export").label == "Export 120 images"
    label_some(opened, 1, "dog")
    page.run()
    assert page.checkbox(key="source_human").label == "Labels given or corrected by a person: 1"
    page.checkbox(key="source_imported").uncheck().run()
    assert not page.exception
    assert "1 label, 119 unlabeled." in words(page)


def test_cells_are_guarded_for_spreadsheets_only_where_that_is_chosen(page: AppTest, opened: OpenProject) -> None:
    opened.project.labels.add_class("=1+1")
    label_some(opened, 1, "=1+1")
    assert "export_guard" not in [box.key for box in page.checkbox]
    page.selectbox(key="export_format").set_value("csv").run()
    assert not page.checkbox(key="export_guard").value
    for guard, shown in ((False, "=1+1"), (True, "'=1+1")):
        page.checkbox(key="export_guard").set_value(guard).run()
        page.button(key="run_export").click().run()
        assert not page.exception
        (file,) = opened.project.exports.files()
        with open(file, newline="") as table:
            assert shown in {row["label"] for row in csv.DictReader(table)}
        file.unlink()


def test_the_labels_of_now_get_a_name_under_which_they_are_exported_later(page: AppTest, opened: OpenProject) -> None:
    page.text_input(key="revision_name").set_value("v1")
    page.button(key="name_them").click().run()
    assert not page.exception
    assert [one.name for one in opened.project.exports.revisions.all()] == ["v1"]
    label_some(opened, 5, "dog")
    page.run()
    assert "25 labels, 95 unlabeled." in words(page)
    page.selectbox(key="export_at").set_value("v1").run()
    assert "20 labels, 100 unlabeled." in words(page)
    page.selectbox(key="export_format").set_value("csv").run()
    page.button(key="run_export").click().run()
    assert not page.exception
    (file,) = opened.project.exports.files()
    with open(file, newline="") as table:
        assert Counter(bool(row["label"]) for row in csv.DictReader(table)) == {True: 20, False: 100}


def test_a_name_that_is_taken_is_told(page: AppTest, opened: OpenProject) -> None:
    opened.project.exports.revisions.add("v1")
    page.text_input(key="revision_name").set_value("v1")
    page.button(key="name_them").click().run()
    assert "There is a revision of this name" in page.error[0].value


def test_what_changed_between_revisions_is_shown_with_who_did_it_in_either_order(
    page: AppTest, opened: OpenProject
) -> None:
    opened.project.exports.revisions.add("v1")
    ids = label_some(opened, 3, "dog")
    page.run()
    page.selectbox(key="compare_from").set_value("now")
    page.selectbox(key="compare_to").set_value("v1")
    page.button(key="compare").click().run()
    assert not page.exception
    assert "3 images differ: 3 newly labeled." in words(page)
    table = page.dataframe[0].value
    names = {item.id: item.name for item in opened.project.store.images(ids)}
    assert list(table["Image"]) == [names[one] for one in sorted(ids)]
    assert set(table["Before"]) == {"–"}
    assert set(table["After"]) == {"dog"}
    assert set(table["By"]) == {"ann"}


def test_an_empty_project_leads_to_the_import(tmp_path: Path) -> None:
    bench = workbench.use(workbench.Workbench(tmp_path / "other"))
    bench.create("Empty").engine.stop()
    shown = AppTest.from_file(str(MAIN), default_timeout=60).run()
    shown.switch_page("pages/export_dataset.py").run()
    assert not shown.exception
    assert "no images yet" in shown.info[0].value
    assert not shown.selectbox
    bench.close()
    workbench._current = None
