"""Formats that Pillow does not read by itself: HEIC, JPEG XL, DICOM, and TIFF files of bands.

Each needs a plug-in, named by an extra of the package:

    heic      pillow-heif            HEIC and HEIF, as phones write them
    jxl       imagecodecs            JPEG XL
    medical   pydicom                DICOM, the first frame, with its window where it names one
    geo       tifffile, imagecodecs  TIFF with any number of bands and any kind of number, the first page

A plug-in is imported when the first file comes that needs it, and only in engine.images.child. The kinds of
compression that pydicom needs further plug-ins for (JPEG lossless, JPEG-LS) are refused by name.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DecodeError
from engine.images.grey_range import GreyRange
from engine.images.kinds import SEVERAL, needs

MISSING_TAG = 42113
"""The TIFF tag in which GDAL writes the value of pixels without a measurement."""
_BAND_NAMES_TAG = 42112
_NATURAL_COLOUR = ("red", "green", "blue")
_SATELLITE_BANDS = 10
_COPIES = 4  # of the values, while a plug-in and this module turn them into a picture
_JPEG_XL_BYTES = 20  # a pixel: lossless files are decoded as 32-bit integers


@dataclass(frozen=True)
class Values:
    """What a file holds, not yet as levels.

    values: (H, W) or (H, W, 3) of any real kind; those of kind uint8 are levels already.
    range: what is shown as black to white; None: as engine.images.grey_range says.
    white_is_low: the least value is white.
    alpha: (H, W) uint8, 0 transparent.
    notices: what a person should know.
    taken: the camera and the time, see engine.images.decode.Decoded.
    """

    values: NDArray[Any]
    range: GreyRange | None = None
    white_is_low: bool = False
    alpha: NDArray[np.uint8] | None = None
    notices: tuple[str, ...] = ()
    taken: tuple[str, str] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height."""
        return self.values.shape[1], self.values.shape[0]


def register_heif() -> None:
    """Teach Pillow to open HEIF files.

    Raises:
        DecodeError: the plug-in is not installed.
    """
    _plugin("pillow_heif", "A HEIC photo", "heic").register_heif_opener(thumbnails=False)


def jpeg_xl(data: bytes, memory: int) -> Values:
    """Read a JPEG XL file, upright; of an animation its first frame.

    Args:
        data: the file's bytes.
        memory: bytes that decoding may take.

    Raises:
        DecodeError: it is too large or cannot be read.
    """
    codecs = _plugin("imagecodecs", "A JPEG XL image", "jxl")
    size = jpeg_xl_size(data)
    if size is not None:
        _check(*size, _JPEG_XL_BYTES, memory, copies=1)
    try:
        frames = codecs.jpegxl_decode(data, index=0, numthreads=1)
    except RuntimeError as error:
        text = str(error)
        cut = "NEED_MORE_INPUT" in text
        raise DecodeError("The image is cut off" if cut else f"The image is damaged ({text[:120]})") from error
    return _channels(frames)


def dicom(data: bytes, memory: int) -> Values:
    """Read a DICOM file's first frame: its own units, in the first window that it names, upright as stored.

    Args:
        data: the file's bytes.
        memory: bytes that decoding may take.

    Raises:
        DecodeError: it holds no picture, is too large, damaged, or compressed in a way that is not read.
    """
    pydicom = _plugin("pydicom", "A DICOM image", "medical")
    pixels = importlib.import_module("pydicom.pixels")
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
    except Exception as error:  # pydicom raises almost anything on damaged files
        raise DecodeError("The DICOM file is damaged") from error
    if "PixelData" not in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
        raise DecodeError("The DICOM file holds no picture", value=str(dataset.get("Modality", "")) or None)
    samples = int(dataset.get("SamplesPerPixel", 1))
    _check(int(dataset.Columns), int(dataset.Rows), samples * int(dataset.get("BitsAllocated", 16)) // 8, memory)
    try:
        values = pixels.pixel_array(dataset, index=0)
    except (ImportError, RuntimeError, NotImplementedError) as error:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise DecodeError(
            "The DICOM file is compressed in a way that is not read",
            value=syntax,
            way_out="Save it uncompressed, or install what reads it with: pip install 'pylibjpeg[all]'.",
        ) from error
    notices = []
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        notices.append(SEVERAL)
    if str(dataset.get("PatientName", "")) or str(dataset.get("PatientID", "")):
        notices.append("names its patient; the original is kept as it came, and exports hold it")
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, dataset)
    if values.ndim == 3:
        return Values(values[..., :3], notices=tuple(notices))
    return _measured(dataset, pixels, values, notices)


def _measured(dataset: Any, pixels: Any, values: NDArray[Any], notices: list[str]) -> Values:
    """Return a grey DICOM picture in its own units with its window."""
    padding = dataset.get("PixelPaddingValue")
    missing = None if padding is None else values == padding
    values = pixels.apply_modality_lut(values, dataset)
    white_is_low = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    curved = "VOILUTSequence" in dataset or str(dataset.get("VOILUTFunction", "LINEAR")).upper() == "SIGMOID"
    if curved:
        notices.append("shown by the curve that the file names")
        return Values(pixels.apply_voi_lut(values, dataset), None, white_is_low, notices=tuple(notices))
    if center is not None and width is not None and width >= 1:
        exact = str(dataset.get("VOILUTFunction", "LINEAR")).upper() == "LINEAR_EXACT"
        # the standard's linear window runs over width − 1 and has its middle half a value lower
        half, middle = (width / 2, center) if exact else ((width - 1) / 2, center - 0.5)
        notices.append(f"shown in the window that the file names: centre {center:g}, width {width:g}")
        window = GreyRange(middle - max(half, 0.5), middle + max(half, 0.5), whole=False)
        return Values(values, window, white_is_low, notices=tuple(notices))
    if missing is not None and missing.any() and not missing.all():
        values = np.where(missing, np.nan, values.astype(np.float64))
    return Values(values, None, white_is_low, notices=tuple(notices))


def tiff_bands(data: bytes, memory: int) -> Values:
    """Read a TIFF's first page, of any number of bands: one as grey, three as red, green and blue.

    Which three: those named red, green and blue in GDAL's description; else of 10 bands or more the fourth, third and
    second, which are these in the order of Sentinel-2 and Landsat; else the first three.

    Args:
        data: the file's bytes.
        memory: bytes that decoding may take.

    Raises:
        DecodeError: it cannot be read.
    """
    tifffile = _plugin("tifffile", "A TIFF of this kind of numbers or bands", "geo")
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            bands, planes = int(page.samplesperpixel), page.axes.startswith("S")
            itemsize = page.dtype.itemsize if page.dtype is not None else 1
            _check(int(page.imagewidth), int(page.imagelength), itemsize * bands, memory)
            tags = {
                int(tag.code): tag.value for tag in page.tags.values() if tag.code in (MISSING_TAG, _BAND_NAMES_TAG)
            }
            several = sum(1 for each in file.pages if not each.is_reduced and not each.is_mask) > 1
            white_is_low = int(page.photometric) == 0
            values = page.asarray()
    except DecodeError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # tifffile raises almost anything on damaged files
        if "imagecodecs" in str(error):
            raise needs("A TIFF with this compression", "geo") from error
        raise DecodeError(f"The image is damaged or of a kind that is not supported ({str(error)[:120]})") from error
    if values.dtype.kind not in "uif":
        raise DecodeError("The TIFF holds numbers that are not shown", value=str(values.dtype))
    notices = [SEVERAL] if several else []
    if bands > 1:
        values = np.moveaxis(values, 0, -1) if planes else values
        chosen = _choose_bands(bands, str(tags.get(_BAND_NAMES_TAG, "")))
        values = np.ascontiguousarray(values[..., chosen] if len(chosen) == 3 else values[..., chosen[0]])
        if bands != 3 or chosen != [0, 1, 2]:
            listed = ", ".join(str(one + 1) for one in chosen)
            as_what = (
                "bands {} of {} are shown as red, green and blue" if len(chosen) == 3 else "band {} of {} is shown"
            )
            notices.append(as_what.format(listed, bands))
    return Values(without_missing(values, tags.get(MISSING_TAG)), None, white_is_low, notices=tuple(notices))


def told_bands(chosen: Sequence[int], bands: int) -> str:
    """Return in words which of a file's bands, counted from 0 on, are shown."""
    if len(chosen) == 1:
        return f"band {chosen[0] + 1} of {bands} is shown"
    return f"bands {', '.join(str(one + 1) for one in chosen)} of {bands} are shown as red, green and blue"


def without_missing(values: NDArray[Any], missing: object) -> NDArray[Any]:
    """Return the values with those that stand for “not measured” as NaN; the same array where there are none.

    Args:
        values: of any shape and kind.
        missing: what the file names as that value, as text or number; None: nothing.
    """
    try:
        number = float(str(missing).strip("\0 "))
    except ValueError:
        return values
    with np.errstate(over="ignore"):
        found = values == np.asarray(number).astype(values.dtype) if values.dtype.kind == "f" else values == number
    if values.dtype == np.uint8 or not np.any(found):
        return values
    exact = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    exact[found] = np.nan
    return exact


READERS: Mapping[str, Callable[[bytes, int], Values]] = {"JPEG XL": jpeg_xl, "DICOM": dicom}
"""What reads the formats that Pillow has no place for, by format."""


def _choose_bands(bands: int, described: str) -> list[int]:
    """Return the number, from 0 on, of three bands, or of the first one where there are not three."""
    if bands < 3:
        return [0]
    items = re.findall(r'<Item name="DESCRIPTION" sample="(\d+)"[^>]*>([^<]*)<', described)
    named = {text.strip().casefold(): int(number) for number, text in items}
    if all(named.get(name, bands) < bands for name in _NATURAL_COLOUR):
        return [named[name] for name in _NATURAL_COLOUR]
    return [3, 2, 1] if bands >= _SATELLITE_BANDS else [0, 1, 2]


def _channels(values: NDArray[Any]) -> Values:
    """Return an array of 1 to 4 channels, the last of 2 or 4 being alpha."""
    if values.ndim == 2:
        return Values(values)
    count = values.shape[2]
    colours = values[..., 0] if count < 3 else values[..., :3]
    if count not in (2, 4):
        return Values(colours)
    greatest = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    alpha = np.rint(np.clip(values[..., -1] / greatest, 0, 1) * 255).astype(np.uint8)
    return Values(colours, alpha=alpha)


def _check(width: int, height: int, bytes_a_pixel: int, memory: int, copies: int = _COPIES) -> None:
    """Raise DecodeError if a picture takes more memory than is left."""
    most = memory // (copies * max(1, bytes_a_pixel))
    if width * height > most:
        raise DecodeError(
            f"The image has {width * height / 1e6:,.0f} megapixels; one of this kind is read up to {most / 1e6:,.0f}",
            value=f"{width} × {height}",
            way_out="Save it smaller, or cut it into parts, and import it again.",
        )


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height that a JPEG XL file's header says; None where it is not found or cut off."""
    start = 0
    if not data.startswith(b"\xff\x0a"):
        start = _codestream(data)
    if data[start : start + 2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(data[start + 2 : start + 14].ljust(12, b"\0"), "little")

    def take(count: int) -> int:
        nonlocal bits
        taken, bits = bits & ((1 << count) - 1), bits >> count
        return taken

    def side() -> int:
        return 8 * (take(5) + 1) if small else 1 + take((9, 13, 18, 30)[take(2)])

    small = take(1)
    height = side()
    ratio = take(3)
    if not ratio:
        return side(), height
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * over // under, height


def _codestream(data: bytes) -> int:
    """Return where the codestream of a JPEG XL file in boxes begins; the file's end where it is not found."""
    at = 0
    while at + 16 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 16 if length == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            return at + head + (4 if kind == b"jxlp" else 0)  # a part begins with its number
        length = int.from_bytes(data[at + 8 : at + 16], "big") if length == 1 else length
        if length < head:
            break
        at += length
    return len(data)


def _first(value: Any) -> float | None:
    """Return a number, the first of several; None where there is none."""
    try:
        return float(value[0] if not isinstance(value, (str, int, float)) and hasattr(value, "__getitem__") else value)
    except (TypeError, ValueError, IndexError):
        return None


def _plugin(module: str, what: str, extra: str) -> Any:
    """Return a plug-in's module.

    Raises:
        DecodeError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise needs(what, extra) from error
