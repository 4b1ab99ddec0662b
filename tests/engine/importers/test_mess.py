"""The shared folder of real, odd and hostile files. Skipped where it is absent."""

import os
from pathlib import Path

import pytest

from engine.images.thumbnails import display_bytes, thumbnail_bytes
from engine.importers.scan import ImportSource, place, scan
from engine.records.imports import ImportPreview
from tests.engine.importers.import_samples import labels, quiet, reasons

DATASETS = Path(os.environ.get("STARLING_DATASETS") or Path(__file__).resolve().parents[4] / "shared" / "datasets")
pytestmark = pytest.mark.skipif(not (DATASETS / "mess").is_dir(), reason=f"no mess folder under {DATASETS}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def preview(project: Path) -> ImportPreview:
    found = scan(ImportSource("folder", DATASETS / "mess"), project / "staging", quiet)
    place(found, project, quiet)
    return found


def test_every_file_is_either_found_or_refused_with_a_reason(preview: ImportPreview) -> None:
    files = {
        path.relative_to(DATASETS / "mess").as_posix() for path in (DATASETS / "mess").rglob("*") if path.is_file()
    }
    named = set(labels(preview)) | {refusal.name for refusal in preview.refused}
    copies = len(files - named)
    assert any(f"{copies:,} files have the same content" in notice for notice in preview.notices)
    assert all(refusal.reason for refusal in preview.refused)
    assert len(preview.found) > 400


def test_hostile_files_are_refused_for_what_they_are(preview: ImportPreview) -> None:
    found = reasons(preview)
    assert "pixels" in found["pillow/decompression_bomb.gif"]
    assert "cut off" in found["pillow/truncated_jpeg.jpg"]
    assert "pillow/png_decompression_dos.png" in found
    assert "broke" not in " ".join(found.values())


def test_exif_photos_all_come_out_with_the_same_shape(preview: ImportPreview) -> None:
    shapes = {
        (image.width > image.height)
        for image in preview.found
        if image.name.startswith("exif_orientation/Landscape") and image.format == "JPEG"
    }
    assert shapes == {True}


def test_every_found_image_can_be_shown(preview: ImportPreview, project: Path) -> None:
    for image in preview.found:
        assert thumbnail_bytes(project, image.sha256)[8:12] == b"WEBP"
    for image in preview.found[::10]:
        assert display_bytes(project, image.sha256)
