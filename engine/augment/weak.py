"""The weak view: a random shift of every image, and a mirror flip where the images allow it; batched."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["none", "shift", "shift_flip"]


def weak_view(images: Tensor, kind: Kind, generator: torch.Generator) -> Tensor:
    """Return the images, each shifted by up to 1/8 of its side (at least 1 pixel), maybe flipped.

    Pixels shifted in repeat the nearest edge. Draws from `generator`, which is on the CPU, so that the views
    are the same on every device.

    Args:
        images: (B, C, H, W) of any type, on any device; left as they are.
        kind: "none" draws nothing and returns the images themselves.
        generator: of the random draws.
    """
    if kind == "none":
        return images
    n, (height, width), device = len(images), images.shape[2:], images.device
    y = _shifted(n, height, generator, device)
    x = _shifted(n, width, generator, device)
    if kind == "shift_flip":
        flip = (torch.rand(n, 1, generator=generator) < 0.5).to(device, non_blocking=True)
        x = torch.where(flip, x.flip(1), x)
    rows = torch.arange(n, device=device)
    channels = torch.arange(images.shape[1], device=device)
    return images[rows[:, None, None, None], channels[None, :, None, None], y[:, None, :, None], x[:, None, None, :]]


def _shifted(n: int, side: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Return for n images the source coordinate (n, side) of every target coordinate, on the device."""
    reach = max(1, side // 8)
    shift = torch.randint(-reach, reach + 1, (n, 1), generator=generator).to(device, non_blocking=True)
    return (torch.arange(side, device=device) + shift).clamp_(0, side - 1)
