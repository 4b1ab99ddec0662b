"""The one place that turns bytes into pixels: a format allow-list, a cap on pixels, one conversion a colour mode.

Colour modes become grey (L, 1 channel) or RGB (3 channels):

    1, L                grey
    LA                  grey, over white
    16 and 32 bit       grey or RGB, a range of values as black to white that goes by the file's least and greatest
                        value, see engine.images.grey_range, with a notice; a TIFF's “min is white” is turned round
    RGB, YCbCr, HSV     RGB
    CMYK                RGB, Pillow's plain conversion (no colour profile)
    P, PA, RGBA, RGBa, La, RGBX    RGB (La: grey), transparent parts over white

An image of more than REDUCE_ABOVE pixels is decoded to at most REDUCED_TO, by a whole factor, with a notice: a JPEG is
decoded smaller in the first place, of others squares of pixels are averaged. What takes more memory than a limited
child has is refused before it is decoded.

HEIC, JPEG XL, DICOM and TIFF files that Pillow cannot read go to engine.images.extra_formats, whose plug-ins are
imported when the first such file comes. So is NumPy when the first one of more than 8 bits a value does: it makes up
half of a limited child's start.

Run it on foreign bytes only inside engine.images.child; other callers pass bytes that were accepted there and are
`light`.
"""

from __future__ import annotations

import io
import logging
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from engine.errors import DecodeError
from engine.images.kinds import PLUGIN_KINDS, SAVE_AS, SEVERAL, sniff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.extra_formats import Values

MAX_PIXELS = 512_000_000
REDUCE_ABOVE = 50_000_000
REDUCED_TO = 32_000_000
MEMORY_BYTES = 1_750_000_000
"""What one image may take while it is decoded: what engine.images.pool.ChildLimits leaves beside the program itself."""
LIGHT_BYTES = 400_000_000
"""What it may take at most in the process that shows it."""
_STRIP_ROWS = 256
_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 16, "HEIF": 16}  # their libraries keep planes and canvases beside the result
_OF_MODE = {"1": 1, "L": 1, "P": 1, "I": 8, "F": 8}  # the deep ones are looked at as an array too; others take 4
_PROGRESSIVE = 6  # all coefficients are kept, whatever the size decoded to
_OTHER_BYTES = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_SHAPE, _PHOTOMETRIC, _BITS, _PLANES, _SAMPLES, _SUBFILE = 339, 262, 258, 284, 277, 254  # tags of TIFF
_UNSIGNED, _SIGNED = 1, 2  # values of the first
_SEPARATE = 2  # a value of the planes
_SMALLER_COPY = 1  # a value of the last
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAP_SIDES = (5, 6, 7, 8)

# Pillow's own cap is lower, by default, than what a camera takes; this module checks each image before its pixels.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# It also logs each file that it gives up on, which is told here in its place, or read by another reader.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image, upright. `image` has mode L (channels 1) or RGB (channels 3); `format` is the true one.

    `width`, `height`: of the original, which a large `image` is smaller than. `taken`: the camera and when it took the
    image, ISO 8601, where its EXIF data say both.
    """

    image: Image.Image
    format: str
    width: int
    height: int
    channels: int
    notices: tuple[str, ...]
    taken: tuple[str, str] | None = None


def inspect_bytes(data: bytes) -> Decoded:
    """Decode every pixel of an image and return it upright, grey or RGB.

    Of an animation or several pages the first is taken, with a notice.

    Raises:
        DecodeError: not an accepted format, cut off, damaged, too large, or its plug-in is not installed.
    """
    return _decode(data, 0)


def open_reduced(data: bytes, longest: int) -> Image.Image:
    """Decode bytes that `inspect_bytes` accepted before, upright, grey or RGB; a JPEG may come out smaller.

    The shorter side stays at least `longest` pixels where the original has them and is not larger than REDUCE_ABOVE.
    The same bytes always give the same pixels; those of other formats are those of `inspect_bytes`.

    Raises:
        DecodeError: they can no longer be read.
    """
    return _decode(data, longest).image


def light(data: bytes) -> bool:
    """Return whether an accepted image may be decoded outside a limited child: no plug-in, bounded memory."""
    try:
        kind = sniff(data)
        if kind in PLUGIN_KINDS:
            return False
        with Image.open(io.BytesIO(data), formats=(kind,)) as opened:
            return opened.width * opened.height * _bytes_a_pixel(opened, kind) <= LIGHT_BYTES and not misread(opened)
    except Exception:  # whatever it is, the child says what is wrong with it
        return False


def plain(opened: Image.Image, notices: list[str]) -> Image.Image:
    """Return the frame that an open file stands at as mode L or RGB and nothing else, see the module's text."""
    return _deep_grey(opened, notices) if is_deep(opened) else _plain(opened, notices)


def picture_of(read: Values, notices: list[str]) -> Image.Image:
    """Return values as a picture of mode L or RGB, in levels as engine.images.grey_range says.

    Raises:
        DecodeError: there are no finite values.
    """
    for notice in read.notices:
        _note(notices, notice)
    levels = _leveller(read, notices)
    factor = _factor(read.values.shape[1], read.values.shape[0])
    if factor == 1:
        return levels(0, read.values.shape[0])
    _note_reduced(notices, factor)
    return _averaged(levels, read.values.shape[1], read.values.shape[0], factor)


def _decode(data: bytes, longest: int) -> Decoded:
    kind = sniff(data)
    size = (0, 0)
    notices: list[str] = []
    try:
        if kind in PLUGIN_KINDS:
            from engine.images import extra_formats

            if kind in extra_formats.READERS:
                read = extra_formats.READERS[kind](data, MEMORY_BYTES)
                return _finished(picture_of(read, notices), kind, read.size, notices, read.taken)
            extra_formats.register_heif()
        try:
            opened = Image.open(io.BytesIO(data), formats=(kind,))
        except UnidentifiedImageError:
            if kind != "TIFF":
                raise
            opened = None
        if opened is None or misread(opened):
            from engine.images import extra_formats

            read = extra_formats.tiff_bands(data, MEMORY_BYTES)
            return _finished(picture_of(read, notices), kind, read.size, notices, read.taken)
        with opened:
            size = opened.size
            return _pillow(opened, data, kind, longest, notices)
    except DecodeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DecodeError(f"The image has more than {MAX_PIXELS // 1_000_000} megapixels", way_out=_SMALLER) from error
    except MemoryError as error:
        raise _out_of_memory(size) from error
    except Exception as error:  # Pillow's plug-ins raise almost anything on damaged files
        if "memory" in str(error).lower():
            raise _out_of_memory(size) from error
        raise DecodeError(_cause(error)) from error


def _pillow(opened: Image.Image, data: bytes, kind: str, longest: int, notices: list[str]) -> Decoded:
    """Return what Pillow reads."""
    width, height = opened.size
    check_size(opened, kind, len(data))
    if kind == "JPEG":
        factor = _factor(width, height, (1, 2, 4, 8))
        if longest:
            factor = max(factor, max(one for one in (1, 2, 4, 8) if one == 1 or min(width, height) >= one * longest))
        if factor > 1:
            opened.draft(None, (width // factor, height // factor))
    deep_colour = is_deep_colour(opened)
    if deep_colour or is_deep(opened):
        import_module("engine.images.extra_formats")  # before the pixels take the memory that it needs
    opened.load()
    turned = kind == "TIFF" and opened.size != (width, height)  # Pillow turns it while loading
    width, height = (height, width) if turned else (width, height)
    if is_deep(opened):
        image = _deep_grey(opened, notices)
    elif deep_colour:
        image = _deep_colour(opened, data, kind, notices)
    else:
        image = _plain_reduced(opened, notices)
    if kind == "JPEG" and (used := round(width / opened.width)) > 1:
        _note_reduced(notices, used)
    exif = _exif(opened, kind)
    orientation = exif.get(ExifTags.Base.Orientation, 1) if exif is not None else 1
    if orientation in _TURNS:
        _note(notices, "turned upright as its EXIF data say")
        image = image.transpose(_TURNS[orientation])
        width, height = (height, width) if orientation in _SWAP_SIDES else (width, height)
    if kind == "HEIF" and int(opened.info.get("bit_depth") or 8) > 8:
        _note(
            notices, f"{opened.info['bit_depth']} bits a value: the higher 8 are shown; the original is kept as it came"
        )
    if opened.mode == "RGB" and (samples := tag(opened, _SAMPLES) or 3) > 3:
        from engine.images.extra_formats import told_bands

        _note(notices, told_bands([0, 1, 2], samples))
    if (tag(opened, _SUBFILE) or 0) & _SMALLER_COPY:
        _note(notices, "a small copy of a picture that is not read, as in a camera's raw file; save it as JPEG")
    if _several(opened):
        _note(notices, SEVERAL)
    return _finished(image, kind, (width, height), notices, _taken(exif) if exif else None)


def _finished(
    image: Image.Image, kind: str, size: tuple[int, int], notices: list[str], taken: tuple[str, str] | None
) -> Decoded:
    return Decoded(image, kind, *size, 1 if image.mode == "L" else 3, tuple(notices), taken)


# --- sizes


_SMALLER = "Save it smaller, or cut it into parts, and import it again."


def check_size(opened: Image.Image, kind: str, bytes_held: int) -> None:
    """Raise DecodeError if decoding an open file would take more memory than a limited child has.

    Args:
        opened: the file, its pixels not read yet.
        kind: one of FORMATS.
        bytes_held: how long the file is.
    """
    pixels, each = opened.width * opened.height, _bytes_a_pixel(opened, kind)
    most = min(MAX_PIXELS, (MEMORY_BYTES - bytes_held) // each if each else MAX_PIXELS)
    if pixels <= most:
        return
    as_jpeg = f"Save it as a baseline JPEG, which is read up to {MAX_PIXELS // 1_000_000} megapixels, or smaller, "
    name = "progressive JPEG" if kind == "JPEG" and each else kind
    raise DecodeError(
        f"The image has {_megapixels(*opened.size)}; a {name} of this kind is read up to {most / 1e6:,.0f}",
        value=f"{opened.width} × {opened.height}",
        way_out=f"{as_jpeg}and import it again." if pixels <= MAX_PIXELS else _SMALLER,
    )


def _bytes_a_pixel(opened: Image.Image, kind: str) -> int:
    """Return what decoding takes a pixel beside the result made smaller; 0 for a JPEG decoded row by row."""
    if kind == "JPEG":
        return _PROGRESSIVE if "progressive" in opened.info else 0
    of_mode = 4 if opened.mode.startswith("I;16") else _OF_MODE.get(opened.mode, 4)
    return _BYTES_A_PIXEL.get(kind, of_mode * (2 if kind == "TIFF" else 1))  # a TIFF's strip may be the whole image


def _megapixels(width: int, height: int) -> str:
    return f"{width * height / 1e6:,.0f} megapixels"


def _out_of_memory(size: tuple[int, int]) -> DecodeError:
    told = _megapixels(*size)
    what = "it" if told == _megapixels(0, 0) else f"its {told}"
    return DecodeError(f"Decoding {what} needs more memory than is allowed for one image", way_out=_SMALLER)


def _factor(width: int, height: int, choices: tuple[int, ...] = tuple(range(1, 64))) -> int:
    """Return by what factor an image is made smaller: 1 up to REDUCE_ABOVE pixels, else what gives REDUCED_TO."""
    if width * height <= REDUCE_ABOVE:
        return 1
    return next((one for one in choices if width * height <= REDUCED_TO * one * one), choices[-1])


def _note_reduced(notices: list[str], factor: int) -> None:
    _note(notices, f"more than {REDUCE_ABOVE // 1_000_000} megapixels: decoded at 1/{factor} of its width and height")


def _averaged(part: Callable[[int, int], Image.Image], width: int, height: int, factor: int) -> Image.Image:
    """Return a large image made smaller, a few rows at a time, so that it never lies in memory twice.

    Args:
        part: gives rows first..last (without the last) as L or RGB.
        width: of the whole.
        height: of the whole.
        factor: how many pixels become one, along each side.
    """
    whole: Image.Image | None = None
    step = factor * max(1, _STRIP_ROWS // factor)
    for first in range(0, height, step):
        rows = part(first, min(height, first + step)).reduce(factor)
        if whole is None:
            whole = Image.new(rows.mode, (rows.width, -(-height // factor)))
        whole.paste(rows, (0, first // factor))
    assert whole is not None
    return whole


# --- deep values


def is_deep(opened: Image.Image) -> bool:
    """Return whether an open file holds grey of more than 8 bits, or of numbers below 0."""
    return opened.mode.startswith("I;16") or opened.mode in ("I", "F") or _is_signed_byte(opened)


def is_deep_colour(opened: Image.Image) -> bool:
    """Return whether an open file, its pixels not read yet, holds colour or grey with alpha of 16 bits a channel."""
    return _raw_mode(opened).partition(";")[2] in _OTHER_BYTES and opened.mode in ("RGB", "RGBA")


def _is_signed_byte(opened: Image.Image) -> bool:
    return opened.mode == "L" and tag(opened, _SHAPE) == _SIGNED


def values_of(opened: Image.Image) -> NDArray[Any]:
    """Return the values (H, W) of a deep grey image, of the kind that its file holds."""
    import numpy as np

    from engine.images import extra_formats

    values = np.asarray(opened)
    if opened.mode == "I" and tag(opened, _SHAPE, _UNSIGNED) == _UNSIGNED and tag(opened, _BITS) == 32:
        return values.view(np.uint32)  # Pillow has no mode for them
    if _is_signed_byte(opened):
        return values.view(np.int8)
    return extra_formats.without_missing(values, tag(opened, extra_formats.MISSING_TAG))


def white_is_low(opened: Image.Image) -> bool:
    """Return whether the least value is white; Pillow turns round the shallow ones itself."""
    return bool(tag(opened, _PHOTOMETRIC, 1) == 0)


def tag(opened: Image.Image, number: int, otherwise: Any = None) -> Any:
    """Return a TIFF tag's value, the first of several; `otherwise` where there is none, None where it is no TIFF."""
    if not isinstance(opened, TiffImagePlugin.TiffImageFile):
        return None
    value = opened.tag_v2.get(number, otherwise)
    return value[0] if isinstance(value, tuple) and value else value


def _raw_mode(opened: Image.Image) -> str:
    """Return in which order the decoder takes the bytes of a pixel, such as "RGB;16B"."""
    tiles = getattr(opened, "tile", None)
    if not tiles:
        return ""
    args = tiles[0][3]
    return str(args[0] if isinstance(args, tuple) else args)


def misread(opened: Image.Image) -> bool:
    """Return whether Pillow takes a TIFF for another: planes of more than 8 bits for bytes, one of several bands."""
    wide_planes = _raw_mode(opened) in ("R", "G", "B") and (tag(opened, _BITS) or 8) > 8
    return wide_planes or (len(opened.getbands()) == 1 and (tag(opened, _SAMPLES) or 1) > 1)


def _deep_grey(opened: Image.Image, notices: list[str]) -> Image.Image:
    from engine.images.extra_formats import Values

    return picture_of(Values(values_of(opened), white_is_low=white_is_low(opened)), notices)


def _leveller(read: Values, notices: list[str]) -> Callable[[int, int], Image.Image]:
    """Return what gives rows first..last (without the last) of the values as L or RGB."""
    import numpy as np

    from engine.images.grey_range import range_of

    values, alpha = read.values, read.alpha
    if values.dtype == np.uint8:

        def levels(first: int, last: int) -> NDArray[np.uint8]:
            rows = values[first:last]
            return 255 - rows if read.white_is_low else rows

    else:
        shown = read.range or range_of(values)
        if shown is None:
            raise DecodeError("The image holds no value that is a number (NaN or infinity alone)")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            _note(notices, "values that are missing or no numbers are shown as the least; infinite ones as the ends")
        if read.range is None:
            _note(notices, _told(str(shown)))

        def levels(first: int, last: int) -> NDArray[np.uint8]:
            return shown.levels(values[first:last], white_is_low=read.white_is_low)

    def rows(first: int, last: int) -> Image.Image:
        image = Image.fromarray(np.ascontiguousarray(levels(first, last)))
        if alpha is None:
            return image
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha[first:last])))
        return _plain(image, notices)

    return rows


def _told(shown: str) -> str:
    return (
        f"more than 8 bits a value: {shown} is shown as black to white, the smallest of a few fixed ranges that holds "
        "the file's own values; the original is kept as it came"
    )


def _deep_colour(opened: Image.Image, data: bytes, kind: str, notices: list[str]) -> Image.Image:
    """Return colour of 16 bits a channel. Pillow reads the higher 8 of them, which is nothing of 10- or 12-bit values.

    So the lower ones are read too where the higher are small: as if the bytes stood in the other order.
    """
    import numpy as np

    from engine.images.extra_formats import Values, tiff_bands

    raw = _raw_mode_of(data, kind)
    grey = raw.startswith("LA")  # Pillow gives it as RGBA
    high = np.asarray(opened)[..., : 1 if grey else 3]
    if int(high.max()) >= 1 << 6:  # 15 or 16 bits: 0..65535, which the higher ones are
        _note(notices, _told("0 to 65535"))
        return _plain_reduced(opened, notices)
    if tag(opened, _PLANES) == _SEPARATE:  # whose bytes Pillow takes one plane at a time
        return picture_of(tiff_bands(data, MEMORY_BYTES), notices)
    with Image.open(io.BytesIO(data), formats=(kind,)) as again:
        order, _, bytes_order = raw.partition(";")
        other = "RGBA" if grey else f"{order};{_OTHER_BYTES[bytes_order]}"
        again.tile = [_with_raw_mode(tile, other) for tile in again.tile]
        again.load()
        low = np.asarray(again)[..., 1:2] if grey else np.asarray(again)[..., :3]
    values = high.astype(np.uint16) << 8 | low
    alpha = np.asarray(opened.getchannel("A")) if opened.mode == "RGBA" else None
    return picture_of(Values(values[..., 0] if grey else values, alpha=alpha), notices)


def _raw_mode_of(data: bytes, kind: str) -> str:
    with Image.open(io.BytesIO(data), formats=(kind,)) as unread:
        return _raw_mode(unread)


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    args = (raw_mode, *tile[3][1:]) if isinstance(tile[3], tuple) else raw_mode
    return tile._replace(args=args)


# --- shallow modes


def _plain_reduced(opened: Image.Image, notices: list[str]) -> Image.Image:
    width, height = opened.size
    factor = _factor(width, height)
    if factor == 1:
        return _plain(opened, notices)
    _note_reduced(notices, factor)
    return _averaged(lambda first, last: _plain(opened.crop((0, first, width, last)), notices), width, height, factor)


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
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _bare(_over_white(image.convert("RGBA"), notices))
    if mode in ("RGB", "RGBX", "P", "CMYK", "YCbCr", "HSV"):
        return _bare(image.convert("RGB"))
    raise DecodeError("The colour mode is not supported", value=mode, way_out=SAVE_AS)


def _bare(image: Image.Image) -> Image.Image:
    image.info = {}
    return image


def _over_white(image: Image.Image, notices: list[str]) -> Image.Image:
    """Return RGB (from RGBA) or L (from LA) with transparent parts over white."""
    alpha = image.getchannel("A")
    solid = image.convert("L" if image.mode == "LA" else "RGB")
    if cast("tuple[int, int]", alpha.getextrema())[0] == 255:
        return solid
    _note(notices, "transparent parts are shown over white")
    white = Image.new(solid.mode, image.size, "white")
    white.paste(solid, mask=alpha)
    return white


# --- what goes with the pixels


def _note(notices: list[str], notice: str) -> None:
    if notice not in notices:
        notices.append(notice)


def _exif(opened: Image.Image, kind: str) -> Image.Exif | None:
    # Pillow turns a TIFF upright while loading it, so its tag must not count a second time.
    if kind == "TIFF":
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


def _several(opened: Image.Image) -> bool:
    try:
        return bool(getattr(opened, "is_animated", False))
    except Exception:  # a damaged second frame: the first one was read in full
        return True


def _cause(error: Exception) -> str:
    text = str(error).lower()
    if "truncated" in text or isinstance(error, EOFError):
        return "The image is cut off"
    if isinstance(error, (UnidentifiedImageError, SyntaxError, zlib.error)):
        return "The image is damaged"
    detail = ascii(str(error) or type(error).__name__)[1:-1][:120].rstrip(".")
    return f"The image is damaged or of a kind that is not supported ({detail})"
