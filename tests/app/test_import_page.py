"""The page Import: which images belong together is shown before anything is written, and can be changed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.server import workbench
from engine.importers.scan import ImportSource
from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import folder, png
from tests.engine.importers.test_frames import animation
from tests.ready_project import write_zip

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[workbench.OpenProject]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield bench.create("Scenes")
    bench.close()
    workbench._current = None


def page(opened: workbench.OpenProject, path: Path) -> AppTest:
    """The page with a scanned source on it."""
    preview = opened.project.imports.scan(ImportSource("zip", path))
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    page.switch_page("pages/import_images.py").run()
    page.session_state["starling_page_preview"] = preview
    page.run()
    assert not page.exception
    return page


def choice(page: AppTest):
    return next(one for one in page.selectbox if one.label == "Images that belong together")


def press_import(page: AppTest) -> None:
    next(one for one in page.button if one.label == "Import").click().run()
    assert not page.exception


def frames(path: Path, table: str = "") -> Path:
    """20 frames of 5 scenes, by their names."""
    shades = {f"scene{number // 4}_frame{number % 4}.png": 12 * number for number in range(20)}
    write_zip(path, {name: np.full((8, 8), shade, np.uint8) for name, shade in shades.items()})
    if table:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.csv", table)
    return path


def test_a_guess_is_proposed_not_taken_and_a_warning_says_what_that_means(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    shown = page(opened, frames(tmp_path / "frames.zip"))
    assert choice(shown).value == "none"
    assert any("proposed" in option and "20 images in 5 groups" in option for option in choice(shown).options)
    assert any("better than it is on new scenes" in one.value for one in shown.warning)
    press_import(shown)
    assert opened.project.store.group_names() == {}


def test_the_proposal_that_a_person_chooses_is_taken(opened: workbench.OpenProject, tmp_path: Path) -> None:
    shown = page(opened, frames(tmp_path / "frames.zip"))
    choice(shown).set_value("name").run()
    assert not any("new scenes" in one.value for one in shown.warning)
    press_import(shown)
    assert len(set(opened.project.store.group_names().values())) == 5
    [entry] = opened.project.store.groups_set()
    assert (entry.how, entry.images, entry.groups) == ("file names before their last number", 20, 5)


def test_a_column_that_says_so_is_taken_and_can_be_changed(opened: workbench.OpenProject, tmp_path: Path) -> None:
    table = "filename,label,video\n" + "".join(
        f"scene{n // 4}_frame{n % 4}.png,{'ab'[n % 2]},v{n // 5}\n" for n in range(20)
    )
    shown = page(opened, frames(tmp_path / "frames.zip", table))
    assert choice(shown).value == "column:video"
    press_import(shown)
    assert set(opened.project.store.group_names().values()) == {"v0", "v1", "v2", "v3"}


def test_images_that_are_all_by_themselves_ask_nothing(opened: workbench.OpenProject, tmp_path: Path) -> None:
    write_zip(tmp_path / "plain.zip", {f"{n}.png": np.full((8, 8), 20 * n, np.uint8) for n in range(6)})
    shown = page(opened, tmp_path / "plain.zip")
    assert not any(one.label == "Images that belong together" for one in shown.selectbox)


def test_the_path_of_a_single_file_that_holds_images_is_looked_into(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    (tmp_path / "pets.tar").write_bytes(tarred({"cat/1.png": png(1), "dog/2.png": png(2)}))
    shown = AppTest.from_file(str(MAIN), default_timeout=60).run()
    shown.switch_page("pages/import_images.py").run()
    next(one for one in shown.text_input if one.label.startswith("Folder or file")).set_value(
        str(tmp_path / "pets.tar")
    )
    next(one for one in shown.button if one.label == "Look inside").click().run()
    assert not shown.exception
    assert dict(shown.session_state["starling_page_preview"].counts) == {"cat": 1, "dog": 1}


def twins(path: Path) -> Path:
    """Images in folders Cat and cat, with a table of two other labels."""
    shades = {
        f"{label}/{number}.png": 20 * number + at for at, label in enumerate(("Cat", "cat")) for number in range(4)
    }
    write_zip(path, {name: np.full((8, 8), shade, np.uint8) for name, shade in shades.items()})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("checked.csv", "filename,label\nCat/0.png,ok\ncat/3.png,blurry\n")
    return path


def box(page: AppTest, label: str):
    return next(one for one in page.selectbox if one.label.endswith(label))


def test_what_the_images_are_read_as_is_shown_and_can_be_changed(opened: workbench.OpenProject, tmp_path: Path) -> None:
    shown = page(opened, twins(tmp_path / "twins.zip"))
    assert box(shown, "Read as").value == "class_tree"
    assert "images + CSV: 2 labels in 2 classes" in box(shown, "Read as").options
    assert list(shown.dataframe[0].value["class"]) == ["Cat", "cat"]
    assert all(one.startswith("data:image/webp;base64,") for one in shown.dataframe[0].value["example"])
    box(shown, "Read as").set_value("table").run()
    assert not shown.exception
    assert list(shown.dataframe[0].value["class"]) == ["blurry", "ok"]
    press_import(shown)
    assert opened.project.store.classes() == ("blurry", "ok")


def test_a_doubtful_question_is_asked_and_the_answer_is_taken(opened: workbench.OpenProject, tmp_path: Path) -> None:
    shown = page(opened, twins(tmp_path / "twins.zip"))
    question = box(shown, "Classes that differ only in case, accents or separators")
    assert question.value == "keep"
    question.set_value("merge").run()
    assert not shown.exception
    assert list(shown.dataframe[0].value["class"]) == ["cat"]
    press_import(shown)
    assert opened.project.store.classes() == ("cat",)


def test_a_reading_that_does_not_fit_says_why_and_keeps_the_preview(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    shown = page(opened, frames(tmp_path / "frames.zip"))
    box(shown, "Read as").set_value("table").run()
    assert any("no table of labels" in one.value for one in shown.error)
    press_import(shown)
    assert opened.project.store.counts().images == 20


def test_frames_are_taken_as_chosen_once_the_choice_is_complete(opened: workbench.OpenProject, tmp_path: Path) -> None:
    source = folder(tmp_path / "set", {"cat/a.gif": animation("GIF"), "dog/b.png": png(1)})
    preview = opened.project.imports.scan(ImportSource("folder", source))
    shown = AppTest.from_file(str(MAIN), default_timeout=60).run()
    shown.switch_page("pages/import_images.py").run()
    shown.session_state["starling_page_preview"] = preview
    shown.run()
    assert box(shown, "Frames to take").value == "first"
    assert not any(one.label == "Take these" for one in shown.button)
    box(shown, "Frames to take").set_value("every").run()
    assert len(shown.session_state["starling_page_preview"].found) == 2
    next(one for one in shown.number_input if one.label == "n").set_value(2).run()
    next(one for one in shown.button if one.label == "Take these").click().run()
    assert not shown.exception
    assert dict(shown.session_state["starling_page_preview"].counts) == {"cat": 3, "dog": 1}
    assert list(shown.dataframe[0].value["labeled images"]) == [3, 1]
    assert (box(shown, "Frames to take").value, choice(shown).value) == ("every", "file")
    box(shown, "Read as").set_value("images_only").run()
    assert len(shown.session_state["starling_page_preview"].found) == 4
    press_import(shown)
    assert set(opened.project.store.group_names().values()) == {"cat/a.gif"}
