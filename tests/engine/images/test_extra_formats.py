"""Formats that come with a plug-in: read where it is installed, named with the command that installs it where not."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless, generate_uid

from engine.errors import DecodeError
from engine.images.array_cache import ArraySpec, build_arrays
from engine.images.decode import inspect_bytes, light, open_reduced
from engine.images.extra_formats import jpeg_xl_size, tiff_bands
from engine.images.thumbnails import display_bytes
from tests.engine.images.image_samples import encoded, keep, tiff

CORNER = np.zeros((32, 64), np.uint8)
CORNER[:16, :32] = 255  # the upper left quarter is white


def heic(values: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(values).convert("RGB")).save(out, **options)
    return out.getvalue()


def dicom(values: np.ndarray, **tags: Any) -> bytes:
    """A grey or RGB DICOM file of these values; `tags` are added or replaced."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["test"])
    colour = values.ndim == 3 and values.shape[2] == 3
    frames = 1 if values.ndim == 2 or colour else len(values)
    dataset.Rows, dataset.Columns = values.shape[:2] if frames == 1 else values.shape[1:]
    dataset.NumberOfFrames = frames
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def grey(data: bytes) -> list[list[int]]:
    decoded = inspect_bytes(data)
    assert decoded.channels == 1
    return np.asarray(decoded.image).tolist()  # type: ignore[no-any-return]


# --- HEIC, AVIF, JPEG XL


def shows_corner(data: bytes, kind: str, *, upright: bool = True) -> None:
    decoded = inspect_bytes(data)
    assert decoded.format == kind
    expected = CORNER if upright else np.rot90(CORNER, -1)
    assert (decoded.width, decoded.height) == expected.shape[::-1]
    for image in (decoded.image, open_reduced(data, 16)):
        assert np.array_equal(np.asarray(image.convert("L")) > 127, expected > 127)


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_and_turned_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shows_corner(heic(CORNER, exif=exif.tobytes()), "HEIF", upright=orientation == 1)


def test_a_heic_of_10_bits_says_so() -> None:
    values = np.full((64, 64, 3), 512 << 6, np.uint16)
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 64), values.tobytes()).save(out, quality=-1)
    decoded = inspect_bytes(out.getvalue())
    assert abs(int(np.asarray(decoded.image)[9, 9, 1]) - 128) <= 1
    assert any("bits a value: the higher 8" in notice for notice in decoded.notices)
    assert inspect_bytes(heic(CORNER)).notices == ()


@pytest.mark.parametrize("orientation", [1, 6])
def test_avif_is_read_and_turned_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(CORNER).convert("RGB"), "AVIF", exif=exif)
    shows_corner(data, "AVIF", upright=orientation == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_xl_is_read(channels: int) -> None:
    values = CORNER if channels == 1 else np.repeat(CORNER[..., None], 3, axis=2)
    data = imagecodecs.jpegxl_encode(values, lossless=True)
    shows_corner(data, "JPEG XL")
    assert inspect_bytes(data).channels == channels
    shows_corner(imagecodecs.jpegxl_encode(np.stack([values, 255 - values]), lossless=True), "JPEG XL")


def test_deep_and_transparent_jpeg_xl_go_by_the_same_rules() -> None:
    deep = np.array([[0, 819, 4095]], np.uint16)
    assert grey(imagecodecs.jpegxl_encode(deep, lossless=True)) == [[0, 51, 255]]
    clear = np.zeros((1, 2, 4), np.uint8)
    clear[0, 0, 3] = 255
    shown = inspect_bytes(imagecodecs.jpegxl_encode(clear, lossless=True))
    assert np.asarray(shown.image).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG XL", "DICOM", "bands"])
def test_half_a_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = {
        "HEIF": lambda: heic(noise),
        "AVIF": lambda: encoded(Image.fromarray(noise), "AVIF"),
        "JPEG XL": lambda: imagecodecs.jpegxl_encode(noise, lossless=True),
        "DICOM": lambda: dicom(noise),
        "bands": lambda: tiff(np.repeat(noise, 2, axis=2), planarconfig="contig"),
    }[kind]()
    inspect_bytes(data)
    with pytest.raises(DecodeError):
        inspect_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("size", [(8, 8), (64, 32), (33, 7), (1000, 300), (300, 300), (9000, 3), (160, 90)])
def test_the_size_in_a_jpeg_xl_header(size: tuple[int, int]) -> None:
    data = imagecodecs.jpegxl_encode(np.zeros(size[::-1], np.uint8))
    boxed = imagecodecs.jpegxl_encode(np.zeros(size[::-1], np.uint8), usecontainer=True)
    assert boxed != data
    assert jpeg_xl_size(data) == jpeg_xl_size(boxed) == size


def test_a_jpeg_xl_that_claims_too_much_is_refused_by_its_header() -> None:
    # not a multiple of 8; height − 1 in 30 bits; no ratio; width − 1 in 30 bits
    fields = ((0, 1), (3, 2), (49_999, 30), (0, 3), (3, 2), (39_999, 30))
    bits, at = 0, 0
    for value, count in fields:
        bits, at = bits | value << at, at + count
    data = b"\xff\x0a" + bits.to_bytes(12, "little") + bytes(20)
    assert jpeg_xl_size(data) == (40_000, 50_000)
    with pytest.raises(DecodeError, match="2,000 megapixels"):
        inspect_bytes(data)


# --- DICOM


def test_a_dicom_window_is_shown_as_the_standard_says() -> None:
    # centre 40, width 401: 40 − 0.5 − 200 = −160.5 is black, 239.5 white; stored values are 1024 higher
    units = np.array([[-1000, -160, 40, 239, 3000]])
    data = dicom((units + 1024).astype(np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    windowed = dicom(
        (units + 1024).astype(np.uint16),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, 600],
        WindowWidth=[401, 1500],
    )
    assert grey(windowed) == [[0, 0, 128, 255, 255]]  # (40 + 160.5) · 255 / 400 = 127.8
    assert "centre 40, width 401" in inspect_bytes(windowed).notices[0]
    assert grey(data)[0] == [96, 123, 129, 135, 221]  # (v + 4096) · 255 / 8191
    assert "-4096 to 4095" in inspect_bytes(data).notices[0]


def test_dicom_without_a_window_goes_by_the_rule_for_deep_images() -> None:
    values = np.array([[0, 819, 4095]], np.uint16)
    assert grey(dicom(values)) == [[0, 51, 255]]
    assert grey(dicom(values, PhotometricInterpretation="MONOCHROME1")) == [[255, 204, 0]]
    assert grey(dicom(np.array([[0, 819, 4095, 65535]], np.uint16), PixelPaddingValue=65535)) == [[0, 51, 255, 0]]


def test_colour_and_several_frames_of_a_dicom() -> None:
    colour = np.array([[[1, 2, 3], [250, 0, 9]]], np.uint8)
    assert np.asarray(inspect_bytes(dicom(colour)).image).tolist() == colour.tolist()
    frames = np.array([[[10, 20]], [[30, 40]]], np.uint8)
    decoded = inspect_bytes(dicom(frames))
    assert np.asarray(decoded.image).tolist() == [[10, 20]]
    assert any("several pictures" in notice for notice in decoded.notices)


def test_a_dicom_that_names_its_patient_says_so() -> None:
    decoded = inspect_bytes(dicom(np.zeros((2, 2), np.uint8), PatientName="Doe^Jane"))
    assert any("patient" in notice for notice in decoded.notices)
    assert inspect_bytes(dicom(np.zeros((2, 2), np.uint8))).notices == ()


def test_a_dicom_in_run_lengths_is_read() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.array([[0, 819, 4095]], np.uint16))))
    dataset.compress(RLELossless)
    out = io.BytesIO()
    dataset.save_as(out)
    assert grey(out.getvalue()) == [[0, 51, 255]]


def test_a_dicom_in_a_compression_that_is_not_read_names_it_and_what_to_do() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.zeros((4, 4), np.uint16))))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc3not really"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    out = io.BytesIO()
    dataset.save_as(out)
    with pytest.raises(DecodeError, match="JPEG Lossless") as refused:
        inspect_bytes(out.getvalue())
    assert "pip install" in refused.value.way_out


def test_a_dicom_without_a_picture_is_refused() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.zeros((4, 4), np.uint16), Modality="SR")))
    del dataset.PixelData
    out = io.BytesIO()
    dataset.save_as(out)
    with pytest.raises(DecodeError, match="no picture: SR"):
        inspect_bytes(out.getvalue())


# --- bands


def bands(count: int) -> np.ndarray:
    """2 × 2 pixels; band b holds 100 · (b + 1), and 4095 in one pixel."""
    values = np.empty((2, 2, count), np.uint16)
    values[:] = 100 * (np.arange(count) + 1)
    values[1, 1] = 4095
    return values


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_of_13_bands_three_are_chosen_and_told(planar: str, compression: str | None) -> None:
    values = bands(13) if planar == "contig" else np.moveaxis(bands(13), 2, 0)
    decoded = inspect_bytes(tiff(values, planarconfig=planar, compression=compression))
    # bands 4, 3, 2 hold 400, 300, 200: · 255 / 4095
    assert decoded.image.getpixel((0, 0)) == (25, 19, 12)
    assert decoded.image.getpixel((1, 1)) == (255, 255, 255)
    assert "bands 4, 3, 2 of 13 are shown as red, green and blue" in decoded.notices


def test_fewer_bands_and_named_ones() -> None:
    five = inspect_bytes(tiff(bands(5), planarconfig="contig"))
    assert five.image.getpixel((0, 0)) == (6, 12, 19)
    assert "bands 1, 2, 3 of 5 are shown as red, green and blue" in five.notices
    two = inspect_bytes(tiff(bands(2), planarconfig="contig"))
    assert (two.image.mode, two.image.getpixel((0, 0))) == ("L", 6)
    assert "band 1 of 2 is shown" in two.notices
    near = tiff(np.full((2, 2, 4), 9, np.uint8), photometric="rgb", planarconfig="contig", extrasamples=["unspecified"])
    infrared = inspect_bytes(near)
    assert infrared.image.getpixel((0, 0)) == (9, 9, 9)
    assert infrared.notices == ("bands 1, 2, 3 of 4 are shown as red, green and blue",)
    names = "".join(
        f'<Item name="DESCRIPTION" sample="{number}" role="description">{name}</Item>'
        for number, name in enumerate(["Blue", "Green", "Red", "NIR", "Edge"])
    )
    described = [(42112, "s", 0, f"<GDALMetadata>{names}</GDALMetadata>", True)]
    named = inspect_bytes(tiff(bands(5), planarconfig="contig", extratags=described))
    assert named.image.getpixel((0, 0)) == (19, 12, 6)
    assert "bands 3, 2, 1 of 5 are shown as red, green and blue" in named.notices


def test_bytes_in_bands_are_not_stretched() -> None:
    assert (
        inspect_bytes(tiff(np.full((2, 2, 6), 9, np.uint8), planarconfig="contig")).image.getpixel((0, 0)) == (9,) * 3
    )


def test_smaller_copies_of_a_page_are_no_pictures_of_their_own() -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(bands(6), photometric="minisblack", planarconfig="contig")
        writer.write(bands(6)[:1, :1], photometric="minisblack", planarconfig="contig", subfiletype=1)
    assert not any("several" in notice for notice in inspect_bytes(out.getvalue()).notices)


def test_too_many_values_for_the_memory_are_refused_before_they_are_read() -> None:
    with pytest.raises(DecodeError, match="megapixels") as refused:
        tiff_bands(tiff(np.zeros((100, 100, 6), np.uint16), planarconfig="contig"), 400_000)
    assert refused.value.value == "100 × 100"


def test_the_preview_of_a_raw_photo_says_what_it_is() -> None:
    preview = tiff(np.full((4, 4, 3), 90, np.uint8), photometric="rgb", subfiletype=1)
    assert any("raw file" in notice for notice in inspect_bytes(preview).notices)


# --- what is not installed


@pytest.mark.parametrize(
    ("module", "extra", "kind"),
    [
        ("pillow_heif", "heic", "HEIC"),
        ("imagecodecs", "jxl", "JPEG XL"),
        ("pydicom", "medical", "DICOM"),
        ("tifffile", "geo", "TIFF"),
    ],
)
def test_a_missing_plug_in_is_named_with_its_command(
    module: str, extra: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {
        "HEIC": lambda: heic(CORNER),
        "JPEG XL": lambda: imagecodecs.jpegxl_encode(CORNER, lossless=True),
        "DICOM": lambda: dicom(CORNER),
        "TIFF": lambda: tiff(bands(6), planarconfig="contig"),
    }[kind]()
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself does for a module that must not be found
    with pytest.raises(DecodeError, match=kind) as refused:
        inspect_bytes(data)
    assert f"pip install 'starling-workbench[{extra}]'" in refused.value.way_out


def test_plug_ins_stay_in_the_child(tmp_path: Path) -> None:
    shas = [
        keep(tmp_path, data)
        for data in (
            heic(CORNER),
            imagecodecs.jpegxl_encode(CORNER, lossless=True),
            dicom(CORNER),
            tiff(np.repeat(CORNER[..., None], 6, axis=2), planarconfig="contig"),
        )
    ]
    assert not any(light((tmp_path / "images" / sha[:2] / sha).read_bytes()) for sha in shas)
    script = f"""
import io, pathlib, sys
from PIL import Image
from engine.images.thumbnails import display_bytes
for sha in {shas!r}:
    with Image.open(io.BytesIO(display_bytes(pathlib.Path({str(tmp_path)!r}), sha))) as shown:
        assert shown.convert("L").getpixel((8, 8)) > 250 and shown.convert("L").getpixel((60, 30)) < 5
print([name for name in ("pillow_heif", "imagecodecs", "pydicom", "tifffile") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_arrays_and_pictures_of_a_plug_in_format_are_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype(np.uint16)
    sha256 = keep(tmp_path, dicom(values))
    array = build_arrays(tmp_path, [sha256], ArraySpec(32, 1), lambda *_: None)[0, 0]
    with Image.open(io.BytesIO(display_bytes(tmp_path, sha256))) as shown:
        assert np.array_equal(np.asarray(shown.convert("L")), array)
