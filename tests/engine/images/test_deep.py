"""Images of more than 8 bits a channel come out visible, by one rule, in inspection, arrays and pictures alike."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import DecodeError
from engine.images.array_cache import ArraySpec, build_arrays
from engine.images.decode import inspect_bytes, open_reduced
from engine.images.thumbnails import thumbnail_bytes
from tests.engine.images.image_samples import encoded, keep, png16, solid, tiff


def levels(data: bytes) -> list[int]:
    decoded = inspect_bytes(data)
    assert open_reduced(data, 8).tobytes() == decoded.image.tobytes()
    return list(decoded.image.tobytes())


def test_12_bit_values_in_a_16_bit_png() -> None:
    # v · 255 / 4095: 819 → 51, 2048 → 127.5 → 128
    assert levels(png16([0, 819, 2048, 4095])) == [0, 51, 128, 255]


def test_8_bit_values_in_a_16_bit_tiff_stay_as_they_are() -> None:
    assert levels(tiff(np.array([[0, 7, 200, 243]], np.uint16))) == [0, 7, 200, 243]


def test_16_bits_are_scaled_not_clipped() -> None:
    assert levels(png16([0, 256, 32896, 65535])) == [0, 1, 128, 255]
    assert levels(tiff(np.array([[0, 256, 65535]], np.uint16))) == [0, 1, 255]


def test_the_rule_is_told_for_the_image() -> None:
    (notice,) = inspect_bytes(png16([0, 4095])).notices
    assert "0 to 4095 is shown as black to white" in notice


@pytest.mark.parametrize("order", [">", "<"])
def test_both_orders_of_bytes(order: str) -> None:
    assert levels(tiff(np.array([[0, 819, 4095]], np.uint16), byteorder=order)) == [0, 51, 255]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_min_is_white(kind: type, compression: str | None) -> None:
    values = np.array([[0, 51, 255]], kind)
    assert levels(tiff(values, compression=compression)) == [0, 51, 255]
    assert levels(tiff(values, photometric="miniswhite", compression=compression)) == [255, 204, 0]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 0.2, 1.0]], np.float32), [0, 51, 255]),
        (np.array([[-1024, 0, 3071]], np.int16), [96, 128, 223]),  # (v + 4096) · 255 / 8191
        (np.array([[-100, 0, 100]], np.int32), [28, 128, 228]),  # (v + 128) · 255 / 255
        (np.array([[-100, 0, 100]], np.int8), [28, 128, 228]),
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), [0, 128, 255]),  # Pillow reads half of them as negative
        (np.array([[0, 70_000, 2**18 - 1]], np.int32), [0, 68, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float64), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float16), [0, 128, 255]),
        (np.full((1, 3), 2048, np.uint16), [128, 128, 128]),
        (np.zeros((1, 3), np.float32), [0, 0, 0]),
    ],
    ids=["-1..1", "0..1", "Hounsfield", "int32", "int8", "uint32", "18 bits", "float64", "float16", "flat", "black"],
)
def test_every_kind_of_number_in_a_tiff(values: np.ndarray, shown: list[int]) -> None:
    assert levels(tiff(values)) == shown


def test_values_that_are_no_numbers_are_shown_as_the_ends_and_told() -> None:
    data = tiff(np.array([[np.nan, -np.inf, 0.0, 1.0, np.inf]], np.float32))
    assert levels(data) == [0, 0, 0, 255, 255]
    assert any("no numbers" in notice for notice in inspect_bytes(data).notices)
    with pytest.raises(DecodeError, match="no value that is a number"):
        inspect_bytes(tiff(np.full((2, 2), np.nan, np.float32)))


def test_a_value_for_missing_does_not_count_for_the_range() -> None:
    missing = [(42113, "s", 0, "-9999", True)]
    for kind in (np.float32, np.int16):
        data = tiff(np.array([[-9999, 0, 819, 4095]], kind), extratags=missing)
        assert levels(data) == [0, 0, 51, 255]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_12_bit_colour_in_a_16_bit_png_is_not_black(channels: int) -> None:
    values = np.zeros((2, 3, channels), np.uint16)
    values[0, :, 0] = (0, 819, 4095)
    if channels in (2, 4):
        values[..., -1] = 65535
    decoded = inspect_bytes(png16(values))
    assert decoded.image.mode == ("L" if channels == 2 else "RGB")
    first = np.asarray(decoded.image).reshape(2, 3, -1)[..., 0]
    assert first.tolist() == [[0, 51, 255], [0, 0, 0]]


def test_transparent_parts_of_deep_colour_are_white() -> None:
    values = np.array([[[0, 0, 4095, 65535], [0, 0, 0, 0]]], np.uint16)
    assert np.asarray(inspect_bytes(png16(values)).image).tolist() == [[[0, 0, 255], [255, 255, 255]]]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_12_bit_colour_in_a_tiff(planar: str, order: str, compression: str | None) -> None:
    values = np.array([[[0, 819, 4095], [300, 2048, 100]]], np.uint16)
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    data = tiff(stored, photometric="rgb", planarconfig=planar, byteorder=order, compression=compression)
    assert np.asarray(inspect_bytes(data).image).tolist() == [[[0, 51, 255], [19, 128, 6]]]


def test_16_bit_colour_keeps_its_higher_bits() -> None:
    values = np.array([[[0, 32768, 65535], [256, 511, 512]]], np.uint16)
    decoded = inspect_bytes(png16(values))
    assert np.asarray(decoded.image).tolist() == [[[0, 128, 255], [1, 1, 2]]]
    assert any("0 to 65535" in notice for notice in decoded.notices)


def test_arrays_and_thumbnails_show_the_same_pixels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 3900, (32, 32)).astype(np.uint16)
    data = png16(values)
    sha256 = keep(tmp_path, data)
    expected = np.rint(values * (255 / 4095)).astype(np.uint8)
    arrays = build_arrays(tmp_path, [sha256], ArraySpec(32, 1), lambda *_: None)
    assert np.array_equal(arrays[0, 0], expected)
    with Image.open(io.BytesIO(thumbnail_bytes(tmp_path, sha256))) as shown:
        assert np.array_equal(np.asarray(shown.convert("L")), expected)


def test_8_bit_images_are_left_alone() -> None:
    assert inspect_bytes(encoded(solid(3))).notices == ()
    assert levels(encoded(solid(3, (2, 1)), "TIFF")) == [3, 3]
