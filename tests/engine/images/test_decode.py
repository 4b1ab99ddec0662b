import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.errors import DecodeError
from engine.images.decode import inspect_bytes, open_reduced
from tests.engine.images.image_samples import encoded, solid


def pixel(data: bytes) -> object:
    return inspect_bytes(data).image.getpixel((0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_each_accepted_format_is_named_by_its_bytes(kind: str) -> None:
    decoded = inspect_bytes(encoded(solid((200, 10, 10), (7, 5), "RGB"), kind))
    assert (decoded.format, decoded.width, decoded.height, decoded.channels) == (kind, 7, 5, 3)


def test_grey_stays_one_channel() -> None:
    decoded = inspect_bytes(encoded(solid(77)))
    assert (decoded.channels, decoded.image.mode, decoded.image.getpixel((0, 0))) == (1, "L", 77)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"PK\x03\x04rest of a zip", "zip"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video"),
        (b"\x1a\x45\xdf\xa3 a WebM", "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw file"),
        (b"hello, this is text", "text"),
        (b"\x00\x01\xfe\xff\x80" * 40, "unknown data"),
    ],
)
def test_what_is_no_image_is_named_in_the_refusal(data: bytes, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        inspect_bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_half_an_image_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(DecodeError, match=r"cut off|damaged"):
        inspect_bytes(data[: len(data) // 2])


def test_cmyk_becomes_rgb() -> None:
    # no ink at all is white; full cyan leaves green and blue
    assert pixel(encoded(solid((0, 0, 0, 0), mode="CMYK"), "TIFF")) == (255, 255, 255)
    assert pixel(encoded(solid((255, 0, 0, 0), mode="CMYK"), "TIFF")) == (0, 255, 255)


def test_a_palette_is_looked_up() -> None:
    image = solid(1, mode="P")
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert pixel(encoded(image)) == (10, 20, 30)


def test_a_transparent_palette_colour_is_white() -> None:
    image = solid(1, mode="P")
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert pixel(encoded(image, transparency=1)) == (255, 255, 255)


def test_alpha_is_laid_over_white_with_a_notice() -> None:
    # black at alpha 51 = 1/5: 255 · 4/5 = 204
    decoded = inspect_bytes(encoded(solid((0, 0, 0, 51), mode="RGBA")))
    assert decoded.image.getpixel((0, 0)) == (204, 204, 204)
    assert any("white" in notice for notice in decoded.notices)


def test_grey_with_alpha_stays_grey() -> None:
    decoded = inspect_bytes(encoded(solid((0, 51), mode="LA")))
    assert (decoded.image.mode, decoded.image.getpixel((0, 0))) == ("L", 204)


def test_a_transparent_grey_value_is_white() -> None:
    assert pixel(encoded(solid(7), transparency=7)) == 255
    assert pixel(encoded(solid((1, 2, 3), mode="RGB"), transparency=(1, 2, 3))) == (255, 255, 255)


def test_opaque_alpha_changes_nothing() -> None:
    decoded = inspect_bytes(encoded(solid((1, 2, 3, 255), mode="RGBA")))
    assert (decoded.image.getpixel((0, 0)), decoded.notices) == ((1, 2, 3), ())


def test_bilevel_becomes_black_and_white() -> None:
    assert pixel(encoded(solid(1, mode="1"))) == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_all_exif_orientations_come_out_upright(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # the upper left quarter is white
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),  # shown after a quarter turn clockwise
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    decoded = inspect_bytes(data)
    assert (decoded.width, decoded.height) == (32, 16)
    shown = np.asarray(decoded.image.convert("L")) > 127
    assert np.array_equal(shown, upright > 127)
    assert np.array_equal(np.asarray(open_reduced(data, 16).convert("L")) > 127, upright > 127)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image() -> None:
    assert inspect_bytes(encoded(solid(9, (8, 8)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).width == 8


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken_with_a_notice(kind: str) -> None:
    frames = [solid(255), solid(0)]
    decoded = inspect_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert decoded.image.convert("L").getpixel((0, 0)) == 255
    assert any("first" in notice for notice in decoded.notices)


def test_a_polyglot_is_only_its_pixels_when_encoded_again() -> None:
    tail = b"PK\x05\x06<script>alert(1)</script>"
    decoded = inspect_bytes(encoded(solid(5), "JPEG", comment=tail) + tail)
    assert b"script" not in encoded(decoded.image, "JPEG")


def test_profiles_and_metadata_do_not_survive() -> None:
    image = inspect_bytes(encoded(solid((1, 2, 3), mode="RGB"), icc_profile=b"secret" * 40, dpi=(300, 300))).image
    assert image.info == {}
    assert not image.getexif()


@pytest.mark.parametrize("longest", [8, 64, 1000])
def test_a_reduced_jpeg_is_never_smaller_than_asked_where_it_can_be(longest: int) -> None:
    data = encoded(solid((1, 2, 3), (400, 300), "RGB"), "JPEG")
    assert min(open_reduced(data, longest).size) >= min(longest, 300)


@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
def test_any_damage_gives_pixels_or_a_decode_error(noise: bytes, kind: str) -> None:
    data = bytearray(encoded(solid((9, 8, 7), (9, 9), "RGB"), kind))
    at = len(data) // 3
    data[at : at + len(noise)] = noise
    mode = "refused"
    with contextlib.suppress(DecodeError):
        mode = inspect_bytes(bytes(data)).image.mode
    assert mode in ("L", "RGB", "refused")


def test_a_tiff_that_claims_a_huge_strip_is_refused() -> None:
    entries = [(256, 3, 1, 60_000), (257, 3, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    data = b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + b"\0" * 4
    with pytest.raises(DecodeError):
        inspect_bytes(io.BytesIO(data).getvalue())
