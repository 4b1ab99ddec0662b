"""The one place that turns bytes into pixels: a format allow-list, a pixel cap, one conversion a colour mode.

Colour modes become grey (L, 1 channel) or RGB (3 channels):

    1, L                grey
    LA                  grey, over white
    I;16 and kin        grey, v → round(v · 255 / 65535), so that 256 → 1 and 65535 → 255
    I, F (32 bit)       as 16 bit where all are whole and in 0..65535, else stretched from min..max, with a notice
    RGB, YCbCr, HSV     RGB
    CMYK                RGB, Pillow's plain conversion (no colour profile)
    P, PA, RGBA, RGBa, La, RGBX    RGB (La: grey), transparent parts over white

Run it on foreign bytes only inside engine.images.child; other callers pass bytes that were accepted there.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from engine.errors import DecodeError

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_SAVE_AS = "Save it as JPEG or PNG and import it again."
_STRETCHED = "values stretched from their smallest and largest to 0..255"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACCEPTED = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_KNOWN_REFUSED = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF"),
    (b"SIMPLE  =", "a FITS file"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a zip archive inside the source; unpack it first"),
    (b"PK\x05\x06", "a zip archive inside the source; unpack it first"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "an icon file"),
    (b"SQLite format 3", "a database"),
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image, upright. `image` has mode L (channels 1) or RGB (channels 3); `format` is the true one.

    `taken`: the camera and when it took the image, ISO 8601, where its EXIF data say both.
    """

    image: Image.Image
    format: str
    width: int
    height: int
    channels: int
    notices: tuple[str, ...]
    taken: tuple[str, str] | None = None


def sniff(data: bytes) -> str:
    """Return the format the bytes say, one of FORMATS; the file's name does not count.

    Raises:
        DecodeError: no bytes, or not a format on the allow-list; the cause says what it is where known.
    """
    if not data:
        raise DecodeError("The file is empty (0 bytes)")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, name in _ACCEPTED:
        if data.startswith(magic):
            return name
    for magic, what in _KNOWN_REFUSED:
        if data.startswith(magic):
            raise DecodeError(f"Not an accepted image format: {what}", way_out=_SAVE_AS)
    if data[4:8] == b"ftyp":
        raise DecodeError("Not an accepted image format: AVIF, HEIF or a video", way_out=_SAVE_AS)
    raise DecodeError(f"Not an accepted image format: {_text_kind(data[:1024])}", way_out=_SAVE_AS)


def inspect_bytes(data: bytes) -> Decoded:
    """Decode every pixel of an image and return it upright, grey or RGB.

    Of an animation or several pages the first is taken, with a notice.

    Raises:
        DecodeError: not an accepted format, cut off, damaged, or over MAX_PIXELS.
    """
    expected = sniff(data)
    try:
        return _decode(data, expected)
    except DecodeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DecodeError(_too_large()) from error
    except MemoryError as error:
        raise DecodeError("Decoding it needs more memory than is allowed for one image") from error
    except Exception as error:  # Pillow's plug-ins raise almost anything on damaged files
        raise DecodeError(_cause(error)) from error


def open_reduced(data: bytes, longest: int) -> Image.Image:
    """Decode bytes that `inspect_bytes` accepted before, upright, grey or RGB; a JPEG may come out smaller.

    The shorter side stays at least `longest` pixels where the original has them. The same bytes always give
    the same pixels.

    Raises:
        DecodeError: they can no longer be read.
    """
    if sniff(data) != "JPEG":
        return inspect_bytes(data).image
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise DecodeError(_too_large())
            opened.draft(None, (longest, longest))
            opened.load()
            return _upright(_plain(opened, []), _exif(opened, "JPEG"), [])
    except DecodeError:
        raise
    except Exception as error:  # as above
        raise DecodeError(_cause(error)) from error


def _decode(data: bytes, expected: str) -> Decoded:
    notices: list[str] = []
    with Image.open(io.BytesIO(data), formats=(expected,)) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise DecodeError(_too_large(), value=f"{opened.width} × {opened.height}")
        opened.load()
        image = _plain(opened, notices)
        exif = _exif(opened, expected)
        image = _upright(image, exif, notices)
        taken = None if exif is None else _taken(exif)
        if _several(opened):
            notices.append("holds several pictures; the first is taken")
    channels = 1 if image.mode == "L" else 3
    return Decoded(image, expected, image.width, image.height, channels, tuple(notices), taken)


def _exif(opened: Image.Image, expected: str) -> Image.Exif | None:
    # Pillow turns a TIFF upright while loading it, so its tag must not count a second time.
    if expected == "TIFF":
        return None
    try:
        return opened.getexif()
    except Exception:  # damaged EXIF data raise almost anything; the pixels are good
        return None


def _taken(exif: Image.Exif) -> tuple[str, str] | None:
    """Return the camera and when it took the image; None where the EXIF data do not say both."""
    try:
        more = exif.get_ifd(ExifTags.IFD.Exif)
        names = (exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model), more.get(ExifTags.Base.BodySerialNumber))
        camera = " ".join(str(name).strip("\0 ") for name in names if name)
        time = more.get(ExifTags.Base.DateTimeOriginal) or more.get(ExifTags.Base.DateTimeDigitized)
        part = str(more.get(ExifTags.Base.SubsecTimeOriginal) or "0").strip("\0 ")
        moment = datetime.strptime(str(time).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        moment = moment.replace(microsecond=int(f"{part[:6]:0<6}") if part.isdecimal() else 0)
    except Exception:  # damaged or odd EXIF data raise almost anything; the pixels are good
        return None
    return (camera[:100], moment.isoformat()) if camera else None


def _upright(image: Image.Image, exif: Image.Exif | None, notices: list[str]) -> Image.Image:
    orientation = exif.get(ExifTags.Base.Orientation, 1) if exif is not None else 1
    if orientation not in _TURNS:
        return image
    notices.append("turned upright as its EXIF data say")
    return image.transpose(_TURNS[orientation])


def _several(opened: Image.Image) -> bool:
    try:
        return bool(getattr(opened, "is_animated", False))
    except Exception:  # a damaged second frame: the first one was read in full
        return True


def _plain(image: Image.Image, notices: list[str]) -> Image.Image:
    """Return a copy with mode L or RGB and nothing else: no profile, no EXIF, no palette."""
    mode = image.mode
    if mode in ("1", "L"):
        grey = image.convert("L")
        if "transparency" not in image.info or mode == "1":
            return _bare(grey)
        return _bare(_over_white(image.convert("LA"), notices).convert("L"))
    if mode in ("LA", "La"):
        return _bare(_over_white(image if mode == "LA" else image.convert("LA"), notices).convert("L"))
    if mode.startswith("I;16") or mode in ("I", "F"):
        return _deep(image, notices)
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _bare(_over_white(image.convert("RGBA"), notices))
    if mode in ("RGB", "RGBX", "P", "CMYK", "YCbCr", "HSV"):
        return _bare(image.convert("RGB"))
    raise DecodeError("The colour mode is not supported", value=mode, way_out=_SAVE_AS)


def _bare(image: Image.Image) -> Image.Image:
    image.info = {}
    return image


def _over_white(image: Image.Image, notices: list[str]) -> Image.Image:
    """Return RGB (from RGBA) or L (from LA) with transparent parts over white."""
    alpha = image.getchannel("A")
    solid = image.convert("L" if image.mode == "LA" else "RGB")
    if cast("tuple[int, int]", alpha.getextrema())[0] == 255:
        return solid
    notices.append("transparent parts are shown over white")
    white = Image.new(solid.mode, image.size, "white")
    white.paste(solid, mask=alpha)
    return white


def _deep(image: Image.Image, notices: list[str]) -> Image.Image:
    """Return 16- and 32-bit grey as 8-bit grey."""
    values = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DecodeError("The image holds values that are not numbers (NaN or infinity)")
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    else:
        notices.append(_STRETCHED)
    out = np.empty(values.shape, np.uint8)
    for row in range(0, values.shape[0], 256):  # in strips, to keep the float copies small
        strip = values[row : row + 256].astype(np.float64)
        out[row : row + 256] = np.rint((strip - low) * (255.0 / max(high - low, 1e-30)))
    return Image.fromarray(out)


def _text_kind(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "SVG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML file"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "unknown data" if error.start < len(head) - 4 else "a text file"
    return "unknown data" if b"\0" in head else "a text file"


def _too_large() -> str:
    return f"The image has more than {MAX_PIXELS // 1_000_000} million pixels"


def _cause(error: Exception) -> str:
    text = str(error).lower()
    if "truncated" in text or isinstance(error, EOFError):
        return "The image is cut off"
    if isinstance(error, (UnidentifiedImageError, SyntaxError, zlib.error)):
        return "The image is damaged"
    detail = ascii(str(error) or type(error).__name__)[1:-1][:120].rstrip(".")
    return f"The image is damaged or of a kind that is not supported ({detail})"
