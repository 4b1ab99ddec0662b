"""The preview of an import in Chromium: the next step in sight on a laptop, nothing cut off on a phone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engine.importers.import_samples import png
from tests.engine.importers.test_archives_in_archives import PACKERS

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
pytestmark = pytest.mark.browser
CLASSES, EACH = 120, 3


def _many_classes(folder: Path) -> Path:
    """Three images each of 120 classes with names as long as those of species, and a file that is refused."""
    for number in range(CLASSES):
        place = folder / f"Pseudoplatanus_ornamentalis_subspecies_{number:03d}_atropurpureum"
        place.mkdir(parents=True)
        for at in range(EACH):
            out = io.BytesIO()
            Image.fromarray(np.full((12, 12, 3), (number * 2, at * 80, 99), np.uint8)).save(out, "PNG")
            (place / f"IMG_{at}.png").write_bytes(out.getvalue())
    (folder / "a_photo_whose_name_is_long_and_has_no_space_in_it_at_all_not_even_one.jpg").write_bytes(b"cut")
    return folder


def _in_view(page: Any, button: Any) -> bool:
    box, size = button.bounding_box(), page.viewport_size
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]


def test_import_is_in_view_for_120_classes_and_nothing_is_wider_than_a_phone(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    source = _many_classes(tmp_path / "plants")
    app = start_app()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(app.url)
    page.get_by_label("New project").fill("Plants")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("tab", name="Folder on this machine").click()
    page.get_by_label("Folder or file").fill(str(source))
    page.get_by_role("button", name="Look inside").click()
    button = page.get_by_role("button", name=f"Import {CLASSES * EACH} images")
    button.wait_for()
    pictures = page.locator(".found-classes img")
    assert pictures.count() == CLASSES
    page.wait_for_function("document.querySelector('.found-classes img').naturalWidth > 0")
    for width, height in ((1280, 800), (1920, 1080), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        assert _in_view(page, button), f"Import is out of sight at {width} pixels"
        wide = page.evaluate(
            "[document.documentElement, document.querySelector('[data-testid=stMain]'), "
            "document.querySelector('.found-classes'), document.querySelector('.listing')]"
            ".map((node) => node.scrollWidth - node.clientWidth)"
        )
        assert max(wide) <= 1, f"something is wider than {width} pixels"
    page.get_by_label("Find a class").fill("_117_")
    page.get_by_label("Find a class").press("Enter")
    page.wait_for_function("document.querySelectorAll('.found-classes img').length === 1")
    button.click()
    page.get_by_text(f"Imported {CLASSES * EACH} images with {CLASSES * EACH} labels").wait_for()
    page.get_by_role("button", name="Train a round").wait_for()


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_a_tar_is_uploaded_as_a_zip_is(page: Any, start_app: Callable[..., Any], tmp_path: Path, ending: str) -> None:
    archive = tmp_path / f"pets{ending}"
    archive.write_bytes(PACKERS[ending]({"cat/1.png": png(1), "cat/2.png": png(2), "dog/3.png": png(3)}))
    (tmp_path / "notes.docx").write_bytes(b"PK")
    app = start_app()
    page.goto(app.url)
    page.get_by_label("New project").fill("Pets")
    page.get_by_role("button", name="Create").click()
    chooser = page.locator("input[type=file]")
    chooser.set_input_files(tmp_path / "notes.docx")
    page.get_by_text("“notes.docx” holds no images").wait_for()
    chooser.set_input_files(archive)
    page.get_by_text(f"pets{ending}: 3 images, 3 labeled in 2 classes").wait_for()
    page.get_by_role("button", name="Import 3 images").click()
    page.get_by_text("Imported 3 images with 3 labels").wait_for()


def _many_images(source: Path) -> Path:
    """5,000 images of two classes, which take a while to be read."""
    for label in ("cat", "dog"):
        (source / label).mkdir(parents=True)
        for at in range(2500):
            (source / label / f"{at}.png").write_bytes(png(at + 3000 * (label == "dog")))
    return source


def test_a_scan_goes_on_while_a_person_looks_at_another_page(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    source = _many_images(tmp_path / "many")
    app = start_app()
    page.goto(app.url)
    page.get_by_label("New project").fill("Pets")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("tab", name="Folder on this machine").click()
    page.get_by_label("Folder or file").fill(str(source))
    page.get_by_role("button", name="Look inside").click()
    page.get_by_text("You can use the other pages meanwhile").wait_for()
    page.get_by_role("link", name="History", exact=True).first.click()
    page.get_by_text("You can use the other pages meanwhile").wait_for(state="detached")
    page.get_by_role("link", name="Import", exact=True).first.click()
    page.get_by_role("button", name="Import 5,000 images").wait_for()


def test_an_upload_is_there_in_a_page_that_is_loaded_again_and_after_a_restart(
    page: Any, start_app: Callable[..., Any], tmp_path: Path
) -> None:
    archive = tmp_path / "many.zip"
    source = _many_images(tmp_path / "many")
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(source.rglob("*.png")):
            out.write(path, path.relative_to(source))
    app = start_app()
    page.goto(app.url)
    page.get_by_label("New project").fill("Pets")
    page.get_by_role("button", name="Create").click()
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_text("You can use the other pages meanwhile").wait_for()
    page.reload()
    page.get_by_text("Reading many.zip").or_(page.get_by_role("button", name="Import 5,000 images")).first.wait_for()
    page.get_by_role("button", name="Import 5,000 images").wait_for(timeout=120_000)
    page.reload()
    page.get_by_role("button", name="Import 5,000 images").wait_for()
    app.kill()
    again = start_app()
    page.goto(again.url)
    page.get_by_label("Open a project").click()
    page.get_by_role("option", name="pets").click()
    page.get_by_role("link", name="Import", exact=True).first.click()
    page.get_by_text("many.zip is not imported yet").wait_for()
    page.get_by_role("button", name="Look again").click()
    page.get_by_role("button", name="Import 5,000 images").click(timeout=120_000)
    page.get_by_text("Imported 5,000 images with 5,000 labels").wait_for(timeout=120_000)
