"""One image as training sees it: a square of uint8, made the same way every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def array_row(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Return an upright L or RGB image as (C, size, size) uint8: its centre square, resized; no padding.

    An image of exactly size × size keeps its pixels untouched. `channels` is 1 (grey) or 3.
    """
    plain = image.convert("L" if channels == 1 else "RGB")
    if plain.size != (size, size):
        side = min(plain.size)
        left, top = (plain.width - side) // 2, (plain.height - side) // 2
        box = (left, top, left + side, top + side)
        plain = plain.crop(box).resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(plain, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
