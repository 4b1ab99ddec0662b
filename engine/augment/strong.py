"""Strong views besides RandAugment, batched: light (moved, light changed, a square cut out) and affine (moved)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 15.0
SHIFT = 0.125
JITTER = 0.4
CUTOUT = 0.4
AFFINE_SHIFT = 0.1
SCALE = 0.1
SHEAR = 0.15


def strong_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a distorted copy (B, C, H, W) float32 in 0..255 of a uint8 batch, on the same device.

    Each image independently: rotated by up to 15 degrees and shifted by up to 1/8 of its side (edges
    repeated); contrast about its own mean and brightness each changed by up to 40 %; a grey square of up to
    40 % of the side (value 127) put at a random place, clipped at the border. Draws 8 numbers an image from
    `generator` (CPU).

    Args:
        images: (B, C, H, W) uint8.
        generator: of the random draws, on the CPU.
    """
    draw = torch.rand(8, len(images), generator=generator).to(images.device, non_blocking=True)
    x = images.to(torch.float32)
    x = _move(x, draw[0], SHIFT * (2 * draw[1:3] - 1), torch.ones_like(draw[0]), torch.zeros_like(draw[0]))
    x = _light(x, draw[3], draw[4])
    return _cut_out(x, draw[5:8])


def affine_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a moved copy (B, C, H, W) float32 in 0..255 of a uint8 batch, on the same device; nothing is covered.

    Each image independently: rotated by up to 15 degrees, shifted by up to 1/10 of its side, scaled by up to 10 % and
    sheared by up to 0.15, edges repeated. Draws 5 numbers an image from `generator` (CPU).

    Args:
        images: (B, C, H, W) uint8.
        generator: of the random draws, on the CPU.
    """
    draw = torch.rand(5, len(images), generator=generator).to(images.device, non_blocking=True)
    scale, shear = 1 + SCALE * (2 * draw[3] - 1), SHEAR * (2 * draw[4] - 1)
    return _move(images.to(torch.float32), draw[0], AFFINE_SHIFT * (2 * draw[1:3] - 1), scale, shear)


def _move(x: Tensor, turn: Tensor, shift: Tensor, scale: Tensor, shear: Tensor) -> Tensor:
    """Rotate, shift, scale and shear each image.

    Args:
        x: (B, C, H, W) float32.
        turn: (B,) in 0..1, of the range of rotations.
        shift: (2, B) across and down, in sides.
        scale, shear: (B,).
    """
    angle = (2 * turn - 1) * math.radians(ROTATION)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # affine_grid counts in half sides, so a shift of s sides is 2s
    theta = torch.stack(
        [
            torch.stack([cos, shear - sin, 2 * shift[0]], 1),
            torch.stack([sin, cos, 2 * shift[1]], 1),
        ],
        1,
    )  # (B, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _light(x: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """Change contrast about the image's mean, then brightness; draws are (B,) in 0..1."""
    mean = x.mean((1, 2, 3), keepdim=True)
    gain = (1 + JITTER * (2 * contrast - 1)).view(-1, 1, 1, 1)
    light = (1 + JITTER * (2 * brightness - 1)).view(-1, 1, 1, 1)
    return (((x - mean) * gain + mean) * light).clamp_(0, 255)


def _cut_out(x: Tensor, draw: Tensor) -> Tensor:
    """Put a grey square on each image; draws are (3, B): size, centre row, centre column."""
    height, width = x.shape[2:]
    half = draw[0].view(-1, 1) * CUTOUT / 2
    rows = ((torch.arange(height, device=x.device) + 0.5) / height - draw[1].view(-1, 1)).abs() < half  # (B, H)
    columns = ((torch.arange(width, device=x.device) + 0.5) / width - draw[2].view(-1, 1)).abs() < half  # (B, W)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, torch.full_like(x[:, :1, :1, :1], 127.0), x)
