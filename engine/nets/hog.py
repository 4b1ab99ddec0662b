"""Features of small grey images without a network: histograms of oriented gradients of the upright character.

Sources: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection (CVPR 2005), section 6, with overlapping
cells in place of overlapping blocks; upright by its moments as in LeCun et al., Gradient-Based Learning Applied to
Document Recognition (1998), section III.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets.net_name import GRADIENTS
from engine.records.progress import Progress

SIDE = 28
"""Pixels that every image is brought to; the cells are measured in them."""
BINS = 8
"""Orientations in half a turn: a stroke has the same from both of its sides."""
CELL, STRIDE = 4, 2
WIDTH = BINS * ((SIDE - CELL) // STRIDE + 1) ** 2
"""Numbers an image."""
MOST_SLANT = 1.0
AT_ONCE = 1000
VERSION = "1"
"""Raised when the numbers change, so that kept ones are computed again."""
_TINY = 1e-6


def hog_features(images: Tensor) -> Tensor:
    """Return the features (n, 1352) float32, none negative, of grey images (n, 1, H, W) uint8.

    What differs from the border's median is taken for ink, so dark on light and light on dark are the same. It is moved
    to the middle and sheared upright, then its gradients are counted by orientation in cells of 4 pixels of 28, every 2
    pixels, each gradient shared between the two nearest of 8 orientations. An image of one colour has only zeros.
    """
    parts = [_gradients(_upright(_ink(part))) for part in torch.split(images, AT_ONCE)]
    return torch.cat(parts) if parts else torch.empty(0, WIDTH)


class Hog(nn.Module):
    """`hog_features` of images (B, 1, 28, 28) with values 0..255, always on the CPU and in full precision."""

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, 1352)."""
        with torch.autocast("cpu", enabled=False):
            return hog_features(images.cpu())


@dataclass(frozen=True)
class Gradients:
    """What `engine.nets.weights.Backbone` says of a network, of these features: they have no weights."""

    name: ClassVar[str] = GRADIENTS
    side: ClassVar[int] = SIDE
    channels: ClassVar[int] = 1
    resample: ClassVar[Literal["bicubic", "bilinear"]] = "bilinear"  # as `hog_features` brings images to its side
    here: ClassVar[bool] = True

    def stamp(self, progress: Progress) -> str:
        """Return what the features depend on besides images."""
        return f"{GRADIENTS} {VERSION}"


def _ink(images: Tensor) -> Tensor:
    """Return (n, 28, 28) in 0..1: how much each pixel differs from the border."""
    x = images.float() / 255
    if x.shape[2:] != (SIDE, SIDE):
        x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    x = x[:, 0]
    border = torch.cat([x[:, 0], x[:, -1], x[:, 1:-1, 0], x[:, 1:-1, -1]], 1)  # (n, 108)
    return (x - border.median(1).values[:, None, None]).abs()


def _upright(ink: Tensor) -> Tensor:
    """Return the ink (n, 28, 28) with its centre of mass in the middle, and sheared so that rows no longer drift."""
    count, middle = len(ink), (SIDE - 1) / 2
    at = torch.arange(SIDE, dtype=torch.float32)
    mass = ink.sum((1, 2)).clamp_min(_TINY)
    row, column = (ink.sum(2) @ at) / mass, (ink.sum(1) @ at) / mass  # (n,)
    down, across = at - row[:, None], at - column[:, None]  # (n, 28)
    drift = torch.einsum("nyx,ny,nx->n", ink, down, across) / torch.einsum("nyx,ny->n", ink, down**2).clamp_min(_TINY)
    from_middle = at - middle
    rows = (from_middle + row[:, None])[:, :, None].expand(count, SIDE, SIDE)
    slant = drift.clamp(-MOST_SLANT, MOST_SLANT)[:, None, None] * from_middle[:, None]
    columns = from_middle + column[:, None, None] + slant
    grid = torch.stack([columns, rows], -1) * (2 / (SIDE - 1)) - 1  # grid_sample counts in half sides from the middle
    return F.grid_sample(ink[:, None], grid, align_corners=True)[:, 0]


def _gradients(x: Tensor) -> Tensor:
    """Return the cells' histograms (n, 1352) of images (n, 28, 28)."""
    padded = F.pad(x[:, None], (1, 1, 1, 1))
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    length = torch.hypot(across, down)  # (n, 1, 28, 28)
    turn = torch.atan2(down, across).remainder(math.pi) * (BINS / math.pi)
    lower = turn.floor()
    share = turn - lower
    lower = lower.long() % BINS
    planes = torch.zeros(len(x), BINS, SIDE, SIDE)
    planes.scatter_add_(1, lower, length * (1 - share)).scatter_add_(1, (lower + 1) % BINS, length * share)
    return F.avg_pool2d(planes, CELL, STRIDE).flatten(1)
