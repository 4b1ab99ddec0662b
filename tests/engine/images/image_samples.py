"""Images made by hand, as bytes."""

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def solid(colour: Any = 0, size: tuple[int, int] = (4, 4), mode: str = "L") -> Image.Image:
    return Image.new(mode, size, colour)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size without holding its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def png16(values: Any) -> bytes:
    """A PNG of 16 bits a channel from values (W,) or (H, W) grey, or (H, W, 2 to 4)."""
    array = np.atleast_2d(np.asarray(values)).astype(">u2")
    height, width = array.shape[:2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2] if array.ndim == 3 else 1]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: Any, **tags: Any) -> bytes:
    """A TIFF of these values as they are; `tags` as tifffile takes them, such as photometric="miniswhite"."""
    out = io.BytesIO()
    tifffile.imwrite(out, np.asarray(values), **{"photometric": "minisblack", **tags})
    return out.getvalue()


def keep(root: Path, data: bytes) -> str:
    """Put an original into a project folder, return its SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = root / "images" / sha256[:2] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return sha256
