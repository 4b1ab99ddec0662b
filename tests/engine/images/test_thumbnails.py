import io
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import ConfigError, ProjectCorrupt
from engine.images.files import thumb_path
from engine.images.shrink import encode_thumbnail
from engine.images.thumb_file import picture_in, sealed
from engine.images.thumbnails import (
    VERSION,
    display_bytes,
    drop_deep,
    thumbnail_bytes,
    thumbnail_flaw,
    verify_original,
)
from engine.importers.scan import ImportSource
from engine.project.imports import Imports
from engine.project.workspace import THUMBNAILS, Workspace
from engine.records.labels import ImageItem
from tests.engine.images.image_samples import encoded, keep, solid


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_thumbnail_of_a_photo_is_at_most_256_pixels() -> None:
    picture = opened(encode_thumbnail(solid((9, 9, 9), (1000, 500), "RGB")))
    assert (picture.format, picture.size) == ("WEBP", (256, 128))


def test_a_tiny_image_keeps_its_size_and_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    picture = opened(encode_thumbnail(Image.fromarray(pixels)))
    assert np.array_equal(np.asarray(picture.convert("L")), pixels)


def test_an_extremely_long_image_still_has_a_thumbnail() -> None:
    assert opened(encode_thumbnail(solid(1, (5000, 1)))).size == (256, 1)


def test_a_lost_thumbnail_is_made_again(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid(50, (300, 300))))
    first = thumbnail_bytes(tmp_path, sha256)
    stored = tmp_path / "thumbs" / sha256[:2] / f"{sha256}.webp"
    assert picture_in(stored.read_bytes(), sha256) == first
    stored.write_bytes(sealed(b"as stored", sha256))
    assert thumbnail_bytes(tmp_path, sha256) == b"as stored"


def test_a_thumbnail_that_is_not_whole_or_of_another_image_is_never_served(tmp_path: Path) -> None:
    one, other = (keep(tmp_path, encoded(solid(grey, (30, 30)))) for grey in (50, 90))
    right, wrong = thumbnail_bytes(tmp_path, one), thumbnail_bytes(tmp_path, other)
    path = thumb_path(tmp_path, one)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[20] ^= 1
    swapped = thumb_path(tmp_path, other).read_bytes()
    assert (right != wrong, thumbnail_flaw(tmp_path, one)) == (True, "")
    for stored in (b"", whole[:30], whole[:-1], bytes(flipped), swapped):
        path.write_bytes(stored)
        assert thumbnail_flaw(tmp_path, one) == "damaged"
        assert thumbnail_bytes(tmp_path, one) == right
        assert path.read_bytes() == whole, "made anew, for the next to look"
    path.write_bytes(wrong)  # as an earlier version kept it: nobody can say of which image it is
    assert thumbnail_flaw(tmp_path, one) == "undigested"
    assert thumbnail_bytes(tmp_path, one) == right
    path.unlink()
    path.mkdir()
    assert (thumbnail_bytes(tmp_path, one), thumbnail_flaw(tmp_path, one)) == (right, "damaged")


def test_small_images_are_shown_as_png_and_large_ones_as_webp(tmp_path: Path) -> None:
    small, large = (keep(tmp_path, encoded(solid(5, (side, side)))) for side in (256, 2000))
    assert (opened(display_bytes(tmp_path, small)).format, opened(display_bytes(tmp_path, small)).size) == (
        "PNG",
        (256, 256),
    )
    shown = opened(display_bytes(tmp_path, large))
    assert (shown.format, shown.size) == ("WEBP", (1024, 1024))


def test_what_is_shown_carries_nothing_but_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "private remark"
    sha256 = keep(tmp_path, encoded(solid(5, (40, 40)), "JPEG", exif=exif, comment=b"private remark") + b"<script>")
    for data in (display_bytes(tmp_path, sha256), thumbnail_bytes(tmp_path, sha256)):
        assert b"private" not in data
        assert b"script" not in data


def test_a_changed_original_is_reported_never_served(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid(5)))
    path = tmp_path / "images" / sha256[:2] / sha256
    assert verify_original(tmp_path, sha256) is None
    path.write_bytes(encoded(solid(6)))
    assert "changed" in (verify_original(tmp_path, sha256) or "")
    for show in (display_bytes, thumbnail_bytes):
        with pytest.raises(ProjectCorrupt, match="changed"):
            show(tmp_path, sha256)


def test_a_missing_original_is_reported(tmp_path: Path) -> None:
    assert "missing" in (verify_original(tmp_path, "0" * 64) or "")
    with pytest.raises(ProjectCorrupt):
        display_bytes(tmp_path, "0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63 + "/"])
def test_only_a_sha256_is_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        display_bytes(tmp_path, name)


def _image(root: Path, number: int, data: bytes, kind: str) -> ImageItem:
    """An image of a project, with a thumbnail that shows nothing of it."""
    sha256 = keep(root, data)
    path = thumb_path(root, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sealed(b"old", sha256))
    return ImageItem(number, sha256, f"{number}", kind, 8, 8, 1, len(data))


def test_only_thumbnails_of_deep_images_are_made_anew(tmp_path: Path) -> None:
    deep = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 60)
    images = [
        _image(tmp_path, 1, encoded(deep), "PNG"),
        _image(tmp_path, 2, encoded(deep, "TIFF"), "TIFF"),
        _image(tmp_path, 3, encoded(solid(9)), "PNG"),
        _image(tmp_path, 4, encoded(solid(9), "JPEG"), "JPEG"),
    ]
    assert drop_deep(tmp_path, images) == 2
    shown = [thumbnail_bytes(tmp_path, one.sha256) for one in images]
    assert shown[2:] == [b"old", b"old"]
    for picture in shown[:2]:
        assert np.asarray(opened(picture).convert("L")).max() > 200
    assert drop_deep(tmp_path, [ImageItem(5, "0" * 64, "gone", "PNG", 8, 8, 1, 1)]) == 0


def test_a_project_of_before_makes_them_anew_once(tmp_path: Path) -> None:
    path = tmp_path / "deep.zip"
    deep = encoded(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 60))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", deep)
    with closing(Workspace.create(tmp_path / "set")) as workspace:
        imports = Imports(workspace)
        imports.commit(imports.scan(ImportSource("zip", path)))
        stored = thumb_path(workspace.root, workspace.items()[0].sha256)
        made = picture_in(stored.read_bytes(), workspace.items()[0].sha256)
        workspace.store.set_meta(THUMBNAILS, "1")
    stored.write_bytes(sealed(b"wrong", stored.stem))
    for _ in range(2):
        with closing(Workspace.open(tmp_path / "set")) as workspace:
            assert thumbnail_bytes(workspace.root, workspace.items()[0].sha256) == made
            assert workspace.store.meta(THUMBNAILS) == VERSION
    stored.write_bytes(sealed(b"wrong", stored.stem))
    with closing(Workspace.open(tmp_path / "set")):
        assert picture_in(stored.read_bytes(), stored.stem) == b"wrong", (
            "looked at again though the version is the present one"
        )
