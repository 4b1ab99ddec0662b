"""Views of vectors (measured values, or features of a frozen network): noise, and values left out."""

from __future__ import annotations

import torch
from torch import Tensor

LEFT_OUT = 0.25
"""Share of the values that a strong view replaces by their mean."""


def noisy(x: Tensor, deviation: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return vectors (B, D) with normal noise of `noise` times each dimension's deviation (D,) added.

    Draws from `generator` on the CPU; with noise 0 draws nothing and returns `x` itself.
    """
    if not noise:
        return x
    draw = torch.randn(x.shape, generator=generator).to(x.device, non_blocking=True)
    return x + noise * deviation * draw


def masked(x: Tensor, mean: Tensor, generator: torch.Generator, share: float = LEFT_OUT) -> Tensor:
    """Return vectors (B, D) of which a random `share` of the values is replaced by the dimension's mean (D,)."""
    draw = torch.rand(x.shape, generator=generator).to(x.device, non_blocking=True)
    return torch.where(draw < share, mean, x)
