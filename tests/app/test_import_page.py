"""The page Import: which images belong together is shown before anything is written, and can be changed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.components import class_list
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
    return looking_at(opened, ImportSource("zip", path))


def looking_at(opened: workbench.OpenProject, source: ImportSource) -> AppTest:
    """The page of a browser that comes when a source was handed over."""
    opened.deliveries.begin(source, uploaded=False)
    page = AppTest.from_file(str(MAIN), default_timeout=120).run()
    page.switch_page("pages/import_images.py").run()
    assert not page.exception
    return page


def choice(page: AppTest):
    return next(one for one in page.selectbox if one.label == "Images that belong together")


def press_import(page: AppTest) -> None:
    page.button(key="import").click().run()
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
    """The select box or the radio with this label."""
    return next(one for one in (*page.selectbox, *page.radio) if one.label == label)


def follows(question) -> list[str]:
    """What stands below each answer of a radio, without the escapes of Markdown."""
    return [one.replace("\\", "") for one in question.proto.captions]


def classes(page: AppTest) -> list[str]:
    """The names in the list of classes, from the top."""
    [shown] = [one.proto.body for one in page.get("html") if "found-classes" in one.proto.body]
    return re.findall(r'found-name">([^<]+)<', shown.replace("<wbr>", ""))


def test_what_the_images_are_read_as_is_shown_and_can_be_changed(opened: workbench.OpenProject, tmp_path: Path) -> None:
    shown = page(opened, twins(tmp_path / "twins.zip"))
    assert box(shown, "Read as").value == "class_tree"
    assert "A table beside the images: 2 labels in 2 classes" in box(shown, "Read as").options
    assert classes(shown) == ["Cat", "cat"]
    box(shown, "Read as").set_value("table").run()
    assert not shown.exception
    assert classes(shown) == ["blurry", "ok"]
    press_import(shown)
    assert opened.project.store.classes() == ("blurry", "ok")


def test_two_readings_that_both_give_labels_are_a_question_with_what_each_gives(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    shown = page(opened, twins(tmp_path / "twins.zip"))
    which = box(shown, "Several things here could say the labels. Which one counts?")
    assert which.options == ["Folders named after the classes", "A table beside the images"]
    assert follows(which)[0].startswith("→ 8 labels in 2 classes")
    assert follows(which)[1].startswith("→ 2 labels in 2 classes")
    which.set_value("table").run()
    assert not shown.exception
    assert classes(shown) == ["blurry", "ok"]


def test_a_doubtful_question_says_what_follows_and_the_answer_is_taken(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    shown = page(opened, twins(tmp_path / "twins.zip"))
    question = box(shown, "Classes that differ only in case, accents or separators")
    assert question.value == "keep"
    assert follows(question) == ["→ 8 labels in 2 classes: Cat, cat", "→ 8 labels in 1 class: cat"]
    question.set_value("merge").run()
    assert not shown.exception
    assert classes(shown) == ["cat"]
    press_import(shown)
    assert opened.project.store.classes() == ("cat",)


def test_a_question_about_columns_shows_the_first_five_rows(opened: workbench.OpenProject, tmp_path: Path) -> None:
    rows = "".join(f"scene{n // 4}_frame{n % 4}.png,{'xy'[n % 2]},{'ab'[n % 2]}\n" for n in range(20))
    shown = page(opened, frames(tmp_path / "frames.zip", f"picture,seen by,on it\n{rows}"))
    question = next(one for one in shown.radio if one.label.startswith("Column of labels.csv that holds the labels"))
    assert "→ 20 labels in 2 classes: a, b" in follows(question)
    table = shown.dataframe[0].value
    assert list(table.columns) == ["picture", "seen by", "on it"]
    assert list(table["on it"]) == ["a", "b", "a", "b", "a"]


def test_classes_stand_doubtful_first_then_by_number_and_can_be_searched(
    opened: workbench.OpenProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"2021-05-03": 3, "lone": 1, "many": 5, **{f"class {n}": 2 for n in range(20)}}
    shades = {f"{label}/{at}.png": 1 for label, count in names.items() for at in range(count)}
    write_zip(
        tmp_path / "many.zip",
        {name: np.full((8, 8 + at), at * 3 % 256, np.uint8) for at, name in enumerate(shades)},
    )
    shown = page(opened, tmp_path / "many.zip")
    assert classes(shown)[:4] == ["2021-05-03", "lone", "many", "class 0"]
    assert classes(shown)[-1] == "class 19"
    monkeypatch.setattr(class_list, "MOST", 12)
    shown.run()
    assert len(classes(shown)) == 12
    assert "The first 12 of 23 classes; the search finds the others." in [one.value for one in shown.caption]
    next(one for one in shown.text_input if one.label == "Find a class").set_value("SS 1").run()
    assert classes(shown) == [f"class {n}" for n in (1, *range(10, 20))]


def test_what_was_refused_and_what_came_in_is_said_without_counts_of_nothing(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    write_zip(
        tmp_path / "one.zip", {"cat/1.png": np.full((8, 8), 9, np.uint8), "dog/2.png": np.zeros((8, 8), np.uint8)}
    )
    with zipfile.ZipFile(tmp_path / "one.zip", "a") as archive:
        archive.writestr("cat/cut.png", png(1)[:40])
    shown = page(opened, tmp_path / "one.zip")
    summary = next(one.value for one in shown.markdown if one.value.startswith("**one"))
    assert "**2 images**, 2 labeled in 2 classes, :orange[1 file refused]" in summary
    assert shown.button(key="import").label == "Import 2 images"
    assert any("cat/cut.png" in one.proto.body for one in shown.get("html"))
    press_import(shown)
    assert shown.success[0].value.startswith("Imported 2 images with 2 labels in ")
    assert "already here" not in shown.success[0].value


def test_a_reading_that_does_not_fit_says_why_and_keeps_the_preview(
    opened: workbench.OpenProject, tmp_path: Path
) -> None:
    shown = page(opened, frames(tmp_path / "frames.zip"))
    box(shown, "Read as").set_value("table").run()
    assert any("no table of labels" in one.value for one in shown.error)
    assert box(shown, "Read as").value == "images_only"
    press_import(shown)
    assert opened.project.store.counts().images == 20


def test_frames_are_taken_as_chosen_once_the_choice_is_complete(opened: workbench.OpenProject, tmp_path: Path) -> None:
    source = folder(tmp_path / "set", {"cat/a.gif": animation("GIF"), "dog/b.png": png(1)})
    shown = looking_at(opened, ImportSource("folder", source))
    assert box(shown, "Frames to take").value == "first"
    assert not any(one.label == "Take these" for one in shown.button)
    box(shown, "Frames to take").set_value("every").run()
    assert len(shown.session_state["starling_page_preview"].found) == 2
    next(one for one in shown.number_input if one.label == "n").set_value(2).run()
    next(one for one in shown.button if one.label == "Take these").click().run()
    assert not shown.exception
    assert dict(shown.session_state["starling_page_preview"].counts) == {"cat": 3, "dog": 1}
    assert (box(shown, "Frames to take").value, choice(shown).value) == ("every", "file")
    box(shown, "Read as").set_value("images_only").run()
    assert len(shown.session_state["starling_page_preview"].found) == 4
    press_import(shown)
    assert set(opened.project.store.group_names().values()) == {"cat/a.gif"}
