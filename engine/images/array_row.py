"""One image as training sees it: a square of uint8, made the same way every time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resample = Literal["bicubic", "bilinear"]
_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def array_row(
    image: Image.Image, size: int, channels: int, *, whole: bool = False, resample: Resample = "bicubic"
) -> NDArray[np.uint8]:
    """Return an upright L or RGB image as (C, size, size) uint8: a part of it, resized; no padding.

    An image of exactly size × size keeps its pixels untouched.

    Args:
        image: of any size.
        size: side in pixels.
        channels: 1 (grey) or 3.
        whole: take the whole image and squeeze it to the square, instead of its centre square.
        resample: how it is resized.
    """
    plain = image.convert("L" if channels == 1 else "RGB")
    if plain.size != (size, size):
        side = min(plain.size)
        left, top = (plain.width - side) // 2, (plain.height - side) // 2
        box = None if whole else (left, top, left + side, top + side)
        plain = plain.crop(box).resize((size, size), _RESAMPLING[resample])
    pixels = np.asarray(plain, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
