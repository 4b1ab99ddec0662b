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
