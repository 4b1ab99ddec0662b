"""A classifier as every algorithm sees it: uint8 images in, penultimate features and logits out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Turns images with values 0..255 (uint8 or float) into normalised float32, channels last in memory."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: list[float], deviation: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(deviation).view(1, -1, 1, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Return (images / 255 - mean) / deviation, (B, C, H, W)."""
        x = images.to(torch.float32, memory_format=torch.channels_last)
        return (x - self.mean) * self.scale


class Classifier(nn.Module):
    """normalise → trunk → features (B, D) → dropout → head → logits (B, K)."""

    def __init__(self, normalize: Normalize, trunk: nn.Module, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = normalize
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features (B, D) of images (B, C, H, W) with values 0..255."""
        return cast(Tensor, self.trunk(self.normalize(images)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K), without any final activation."""
        return cast(Tensor, self.head(self.dropout(self.features(images))))
