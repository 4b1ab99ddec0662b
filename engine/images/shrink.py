"""Images made smaller, and the thumbnail of one."""

from __future__ import annotations

import io

from PIL import Image, WebPImagePlugin

THUMBNAIL_SIDE = 256
TINY_SIDE = 64
WEBP = WebPImagePlugin.WebPImageFile.format
"""Named by its plug-in: asked for a format that it has not loaded, Pillow loads all it knows."""


def encode_thumbnail(image: Image.Image) -> bytes:
    """Return a WebP whose longest side is at most 256 px; lossless up to 64 px, never enlarged."""
    out = io.BytesIO()
    if max(image.size) <= TINY_SIDE:
        image.save(out, WEBP, lossless=True, quality=0, method=0)
    else:
        small = fit(image, THUMBNAIL_SIDE)
        small.save(out, WEBP, quality=80, method=2)
    return out.getvalue()


def fit(image: Image.Image, longest: int) -> Image.Image:
    """Return the image with its longest side at most `longest`; the same object when it already is."""
    factor = longest / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
