"""The strong view: small rotation and shift, contrast, brightness, then a cut-out square; batched."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 15.0
SHIFT = 0.125
JITTER = 0.4
CUTOUT = 0.4


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
    x = _move(x, draw[0], draw[1], draw[2])
    x = _light(x, draw[3], draw[4])
    return _cut_out(x, draw[5:8])


def _move(x: Tensor, turn: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Rotate and shift each image; draws are (B,) in 0..1."""
    angle = (2 * turn - 1) * math.radians(ROTATION)
    cos, sin = angle.cos(), angle.sin()
    # affine_grid counts in half sides, so a shift of s sides is 2s
    theta = torch.stack(
        [
            torch.stack([cos, -sin, 2 * SHIFT * (2 * across - 1)], 1),
            torch.stack([sin, cos, 2 * SHIFT * (2 * down - 1)], 1),
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
