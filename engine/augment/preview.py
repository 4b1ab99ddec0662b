"""Examples of the views that training will see, for a person to look at before starting a round."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.augment.views import Strong, Views
from engine.augment.weak import Kind


def preview(images: Tensor, *, weak: Kind, strong: Strong, ops: int, magnitude: int, copies: int, seed: int) -> Tensor:
    """Return (n, 1 + 2 copies, C, H, W) uint8: each image, then its weak views, then its strong views.

    The views are those of training: a strong view is made from a weak one. All are drawn anew for each copy;
    the same seed gives the same picture.

    Args:
        images: (n, C, H, W) uint8, left as they are.
        weak: of the weak view; "none" repeats the image.
        strong: "rand_augment", "light" or "affine".
        ops: distortions RandAugment puts on an image.
        magnitude: 1..30, how far they may go.
        copies: views of each image and kind; 0 leaves only the images.
        seed: of the draws.

    Raises:
        ConfigError: RandAugment cannot take these settings or images.
    """
    generator = torch.Generator().manual_seed(seed)
    none = torch.empty(0)
    views = Views(weak, strong, ops, magnitude, noise=0.0, mean=none, deviation=none)
    weaks = [views.weak(images, generator) for _ in range(copies)]
    strongs = [views.strong(images, generator).round().clamp(0, 255).to(torch.uint8) for _ in range(copies)]
    return torch.stack([images, *weaks, *strongs], 1)
