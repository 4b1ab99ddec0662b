"""RandAugment's ops one image, one pixel at a time, in plain NumPy: slow, to compare the batched ones with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def reference(name: str, image: Image, level: int, sign: int) -> Image:
    """Return image (C, H, W) in 0..255 after one op of RandAugment at a level of 1..10."""
    s = level / 10
    factor = 0.95 - 0.9 * s
    grey = image[0] if len(image) == 1 else 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    other = {
        "brightness": lambda: np.zeros_like(image),
        "color": lambda: np.stack([grey] * len(image)),
        "contrast": lambda: np.full_like(image, grey.mean()),
        "sharpness": lambda: blurred(image),
    }
    if name in other:
        return factor * image + (1 - factor) * other[name]()
    if name == "autocontrast":
        return np.stack([stretched(channel) for channel in image])
    if name == "equalize":
        return np.stack([equalized(channel) for channel in image])
    if name == "posterize":
        dropped = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 3, 9: 4, 10: 4}[level]
        return ((image.astype(np.int64) >> dropped) << dropped).astype(np.float64)
    if name == "solarize":
        return np.where(image < 256 * (1 - s), image, 255 - image)
    if name == "identity":
        return image
    return moved(name, image, s * sign)


def stretched(channel: Image) -> Image:
    low, high = channel.min(), channel.max()
    return channel if low == high else (channel - low) / (high - low) * 255


def equalized(channel: Image) -> Image:
    values = sorted(channel.astype(int).flatten().tolist())
    step = sum(value != values[-1] for value in values) // 255
    if not step:
        return channel
    table = {v: min(255, (sum(value < v for value in values) + step // 2) // step) for v in set(values)}
    return np.vectorize(lambda v: float(table[int(v)]))(channel)


def blurred(image: Image) -> Image:
    out = image.copy()
    for c, y, x in np.ndindex(image.shape):
        if 0 < y < image.shape[1] - 1 and 0 < x < image.shape[2] - 1:
            out[c, y, x] = (image[c, y - 1 : y + 2, x - 1 : x + 2].sum() + 4 * image[c, y, x]) / 13
    return out


def moved(name: str, image: Image, amount: float) -> Image:
    """Take every pixel from where it comes from; pixel (row, column) has its middle at (row + .5, column + .5)."""
    height, width = image.shape[1:]
    out = np.zeros_like(image)
    for row, column in np.ndindex(height, width):
        y, x = row + 0.5, column + 0.5
        if name == "rotate":
            angle = math.radians(30 * amount)
            across, down = x - width / 2, y - height / 2
            x = width / 2 + math.cos(angle) * across - math.sin(angle) * down
            y = height / 2 + math.sin(angle) * across + math.cos(angle) * down
        elif name == "shear_x":
            x += 0.3 * amount * y
        elif name == "shear_y":
            y += 0.3 * amount * x
        elif name == "translate_x":
            x += 0.3 * amount * width
        else:
            y += 0.3 * amount * height
        out[:, row, column] = between(image, y - 0.5, x - 0.5)
    return out


def between(image: Image, y: float, x: float) -> Image:
    """Return the value (C,) at a place between pixels; outside everything is 0."""
    top, left = math.floor(y), math.floor(x)
    total = np.zeros(len(image))
    for row, share_y in ((top, top + 1 - y), (top + 1, y - top)):
        for column, share_x in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total += share_y * share_x * image[:, row, column]
    return total
