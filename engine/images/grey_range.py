"""Which range of values of a deep image (more than 8 bits a channel) is shown as black to white.

The rule looks at the least and the greatest value of the file alone, so that the same bytes always give the same
pixels, and takes one of a few fixed ranges, so that the images of a series, which differ a little in what they reach,
get the same one and stay comparable. (A stretch from each file's least to its greatest value would make a blank scan
look like a full one.)

    whole numbers from 0 on     0 .. 2^b − 1 with the smallest b of 1, 2, 4, 6, 8, 10, 12, 14, 16, … that holds the
                                greatest: the depths that sensors have. The greatest comes out at 64 of 255 at least.
    fractions from 0 on         0 .. 4^k with the smallest k that holds the greatest; so 0..1 stays 0..1
    values below 0, and those   the smallest range of 2^k values that holds all, starts at a multiple of its half and
    that lie far from it and    has them in its middle; of at least 256 whole numbers, so that noise of one value is
    close together              never more than one level (of fractions: at least 1/4096 of their size)

“Far and close” is: within an eighth of the range from 0 on, of whole numbers only from 16 bits on, since fewer bits
leave enough levels. A value v of the range low..high becomes round((v − low) · 255 / (high − low)). NaN counts as the
least, infinities as the ends; none of them counts for the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STRIP = 1 << 20  # values converted at once: float copies stay small
_FAR = 1 << 16  # from this range on, whole numbers may lie too close together for 256 levels
_LEAST_BLOCK = 8  # bits
_FINEST = 12  # bits
_LARGEST, _TINIEST = 2.0**1000, -1000  # beyond these, float64 arithmetic on ranges overflows


@dataclass(frozen=True, slots=True)
class GreyRange:
    """The values shown as black (`low`) and as white (`high`, above `low`); `whole`: all are whole numbers."""

    low: float
    high: float
    whole: bool

    def levels(self, values: NDArray[np.generic], *, white_is_low: bool = False) -> NDArray[np.uint8]:
        """Return the values (any shape, any real kind) as levels 0..255 of the same shape, never decreasing in them.

        Args:
            values: what is shown; outside the range they become black or white.
            white_is_low: the least value is white, as some scanners write, so levels never increase.
        """
        flat = values.reshape(-1)
        out = np.empty(flat.shape, np.uint8)
        factor = 255.0 / (self.high - self.low)
        for start in range(0, len(flat), _STRIP):
            strip = flat[start : start + _STRIP].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                levels = np.clip((strip - self.low) * factor, 0.0, 255.0)
            out[start : start + _STRIP] = np.rint(np.nan_to_num(levels, nan=0.0))
        if white_is_low:
            np.subtract(255, out, out=out)
        return out.reshape(values.shape)

    def __str__(self) -> str:
        return f"{self.low:.0f} to {self.high:.0f}" if self.whole else f"{self.low:g} to {self.high:g}"


def range_of(values: NDArray[np.generic]) -> GreyRange | None:
    """Return the range for an array of any real kind; None where no value is finite or it is empty."""
    if not values.size:
        return None
    if values.dtype.kind != "f":
        return grey_range(float(values.min()), float(values.max()), whole=True)
    least, greatest, whole = math.inf, -math.inf, True
    flat = values.reshape(-1)
    for start in range(0, len(flat), _STRIP):
        strip = flat[start : start + _STRIP].astype(np.float64)
        strip = strip[np.abs(strip) <= _LARGEST]
        if len(strip):
            least, greatest = min(least, float(strip.min())), max(greatest, float(strip.max()))
            whole = whole and bool((strip == np.rint(strip)).all())
    if least > greatest:
        return None
    # 0 and 1 in a file of fractions are the ends of 0..1, the same as in its neighbours of the series
    return grey_range(least, greatest, whole=whole and greatest > 1)


def grey_range(least: float, greatest: float, *, whole: bool) -> GreyRange:
    """Return the range for a file whose finite values go from `least` to `greatest`, see the module's text.

    Args:
        least: the least value.
        greatest: the greatest, not below it; both at most 2^1000 in size.
        whole: all values are whole numbers.
    """
    step = 1.0 if whole else 0.0
    if least >= 0:
        size = _size_from_zero(greatest, whole)
        close = greatest - least <= size / 8 and (size >= _FAR or not whole)
        if not close or least == greatest:
            return GreyRange(0.0, size - step, whole)
    bits = _LEAST_BLOCK if whole else max(_TINIEST, math.frexp(max(-least, greatest))[1] - _FINEST)
    middle = (least + greatest) / 2
    while True:  # ends at the latest where half the block is as long as the values are apart
        size = math.ldexp(1.0, bits)
        low = math.floor((middle - size / 4) / (size / 2)) * (size / 2)
        if low <= least and greatest <= low + size - step:
            return GreyRange(low, low + size - step, whole)
        bits += 1


def _size_from_zero(greatest: float, whole: bool) -> float:
    """Return how many whole numbers, or how long a range of fractions, the smallest range from 0 on has."""
    if whole:
        bits = max(1, int(greatest).bit_length())
        return math.ldexp(1.0, bits if bits == 1 else bits + bits % 2)
    if greatest == 0:
        return 1.0
    fraction, bits = math.frexp(greatest)  # greatest = fraction · 2^bits with 0.5 ≤ fraction < 1
    bits = max(_TINIEST, bits - 1 if fraction == 0.5 else bits)
    return math.ldexp(1.0, bits + bits % 2)
