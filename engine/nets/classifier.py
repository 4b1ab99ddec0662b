"""A classifier as every algorithm sees it: uint8 images in, penultimate features and logits out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Turns images with values 0..255 (uint8 or float), or vectors, into normalised float32; channels last in memory.

    mean and deviation are per channel in 0..1 for images, per dimension in the vectors' own units.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: list[float], deviation: list[float], *, vectors: bool = False) -> None:
        super().__init__()
        unit, shape = (1, (1, -1)) if vectors else (255, (1, -1, 1, 1))
        self.register_buffer("mean", unit * torch.tensor(mean).view(shape))
        self.register_buffer("scale", 1 / (unit * torch.tensor(deviation).view(shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (x / 255 - mean) / deviation of images (B, C, H, W), (x - mean) / deviation of vectors (B, D)."""
        if x.ndim == 4:
            x = x.to(torch.float32, memory_format=torch.channels_last)
        return (x.float() - self.mean) * self.scale


class Classifier(nn.Module):
    """normalise → trunk → features (B, D) → dropout → head → logits (B, K)."""

    head: nn.Module

    def __init__(self, normalize: Normalize, trunk: nn.Module, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = normalize
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features (B, D) of images (B, C, H, W) with values 0..255, or of vectors."""
        return cast(Tensor, self.trunk(self.normalize(images)))

    def normalized_logits(self, z: Tensor) -> Tensor:
        """Return the logits (B, K) of inputs that are normalised already."""
        return cast(Tensor, self.head(self.dropout(self.trunk(z))))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K), without any final activation."""
        return self.normalized_logits(self.normalize(images))
