"""Photos of large cameras are decoded smaller and say so; what takes too much memory is refused in words."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import DecodeError
from engine.images import decode
from engine.images.decode import inspect_bytes, light, open_reduced
from engine.images.pool import ChildLimits, DecodePool
from engine.images.thumbnails import display_bytes, thumbnail_bytes
from tests.engine.images.image_samples import chunk, encoded, keep, png_header, solid

CAMERA_61 = (9504, 6336)  # 60 megapixels
PHONE_108 = (12000, 9000)


def halves(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Left half black, right half white."""
    image = Image.new(mode, size, "black")
    image.paste(Image.new(mode, (size[0] // 2, size[1]), "white"), (size[0] // 2, 0))
    return image


def thin_png(width: int, height: int) -> bytes:
    """A PNG of 1-bit black pixels: kilobytes however large it is."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    packed = zlib.compress(bytes(-(-width // 8) + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def camera() -> bytes:
    return encoded(halves(CAMERA_61), "JPEG", quality=60)


def test_a_61_megapixel_jpeg_is_decoded_at_half_size_and_told(camera: bytes) -> None:
    decoded = inspect_bytes(camera)
    assert (decoded.width, decoded.height) == CAMERA_61
    assert decoded.image.size == (4752, 3168)
    assert decoded.notices == ("more than 50 megapixels: decoded at 1/2 of its width and height",)
    assert decoded.image.getpixel((10, 10)) == (0, 0, 0)
    assert decoded.image.getpixel((4700, 3100)) == (255, 255, 255)
    assert open_reduced(camera, 64).size == (1188, 792)  # 1/8, the least that JPEG decodes to


def test_exif_turns_a_large_photo_and_its_sides() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = inspect_bytes(encoded(halves(CAMERA_61), "JPEG", quality=60, exif=exif))
    assert (decoded.width, decoded.height) == CAMERA_61[::-1]
    assert decoded.image.size == (3168, 4752)
    assert decoded.image.getpixel((10, 10)) == (0, 0, 0)
    assert decoded.image.getpixel((10, 4700)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_other_formats_are_averaged_down_by_the_same_factor(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # 300 × 200 is 60,000 pixels: over 50,000, and down to 32,000 by 2
    monkeypatch.setattr(decode, "REDUCE_ABOVE", 50_000)
    monkeypatch.setattr(decode, "REDUCED_TO", 32_000)
    image = halves((300, 201), "L")
    image.paste(200, (0, 0, 1, 1))  # averaged with three black neighbours: 50
    decoded = inspect_bytes(encoded(image.convert(mode), "PNG"))
    assert (decoded.width, decoded.height) == (300, 201)
    assert decoded.image.size == (150, 101)
    grey = np.asarray(decoded.image.convert("L"))
    assert grey[0, 0] == (50 if mode != "1" else 64)
    assert (grey[1:, :75] == 0).all()
    assert (grey[:, 75:] == 255).all()
    assert "1/2" in decoded.notices[0]


def test_deep_values_and_transparency_are_averaged_after_they_are_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "REDUCE_ABOVE", 50_000)
    monkeypatch.setattr(decode, "REDUCED_TO", 32_000)
    deep = np.full((201, 300), 4095, np.uint16)
    deep[:2, :2] = 0
    levels = np.asarray(inspect_bytes(encoded(Image.fromarray(deep))).image)
    assert (levels.shape, levels[0, 0], levels[0, 1]) == ((101, 150), 0, 255)
    clear = Image.new("RGBA", (300, 201), (0, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 2, 2))
    shown = np.asarray(inspect_bytes(encoded(clear)).image)
    assert (shown[0, 0].tolist(), shown[0, 1].tolist()) == ([255] * 3, [0] * 3)


def test_masks_that_compress_to_nothing_are_no_bombs() -> None:
    data = thin_png(10_000, 10_000)
    assert len(data) < 20_000
    decoded = inspect_bytes(data)
    assert (decoded.width, decoded.image.size) == (10_000, (5_000, 5_000))


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (22_700, 22_700), (60_000, 60_000)])
def test_more_than_the_cap_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(DecodeError, match=r"megapixels.*smaller|megapixels") as refused:
        inspect_bytes(png_header(width, height))
    assert refused.value.way_out


def test_a_refusal_names_the_size_and_a_way_that_works() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 22_000, 22_000, 8, 2, 0, 0, 0))  # 484 million × 4 bytes
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(DecodeError, match=r"484 megapixels; a PNG of this kind is read up to 43\d") as refused:
        inspect_bytes(data)
    assert "JPEG, which is read up to 512 megapixels" in refused.value.way_out


def test_a_limited_child_takes_a_108_megapixel_photo_and_stays_in_its_memory(tmp_path: Path) -> None:
    photo, webp = tmp_path / "photo.jpg", tmp_path / "photo.webp"
    photo.write_bytes(encoded(halves(PHONE_108), "JPEG", quality=50))
    webp.write_bytes(encoded(halves(PHONE_108), "WEBP", quality=20, method=0))
    jobs = [
        {"op": "inspect", "path": str(path), "thumb": str(path) + ".thumb", "sha256": "0" * 64}
        for path in (photo, webp)
    ]
    with DecodePool(1, ChildLimits(seconds=60)) as pool:
        answers = [answer for _, answer in pool.run(jobs)]
    for answer, path in zip(answers, (photo, webp), strict=True):
        assert (answer["width"], answer["height"]) == PHONE_108, answer
        with Image.open(f"{path}.thumb") as thumb:
            assert thumb.size == (256, 192)
            dark, bright = (thumb.convert("L").getpixel((column, 99)) for column in (20, 230))
            assert (dark < 9, bright > 246) == (True, True)  # type: ignore[operator]


def test_a_heavy_image_is_shown_by_a_child_and_a_light_one_is_not(tmp_path: Path, camera: bytes) -> None:
    heavy = encoded(solid((0, 0, 0), (6000, 5000), "RGB"), "WEBP", method=0)  # 16 bytes a pixel while it is decoded
    assert light(camera)
    assert light(encoded(solid(1)))
    assert light(thin_png(10_000, 10_000))
    assert not light(heavy)
    sha256 = keep(tmp_path, heavy)
    before = os.times().children_user
    with Image.open(io.BytesIO(display_bytes(tmp_path, sha256))) as shown:
        assert (shown.size, shown.convert("L").getextrema()) == ((1024, 853), (0, 0))
    assert os.times().children_user > before
    with Image.open(io.BytesIO(thumbnail_bytes(tmp_path, keep(tmp_path, camera)))) as shown:
        assert shown.size == (256, 171)
