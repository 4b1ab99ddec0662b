"""The two views of a batch, whatever it holds: images are shifted and distorted, vectors get noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.augment.rand_augment import Whole, rand_augment
from engine.augment.strong import affine_view, strong_view
from engine.augment.vectors import masked, noisy
from engine.augment.weak import Kind, weak_view

Strong = Literal["rand_augment", "light", "affine"]


@dataclass(frozen=True)
class Views:
    """How views are made: `kind` is the weak view of images, `strong` with `ops` and `magnitude` their strong one.

    `whole` makes RandAugment's distortions of the whole batch at once, see `rand_augment`; None takes them op by op.
    `noise` is the weak view of vectors, in deviations; `mean` and `deviation` (D,) belong to them.
    """

    kind: Kind
    strong_kind: Strong
    ops: int
    magnitude: int
    noise: float
    mean: Tensor
    deviation: Tensor
    whole: Whole | None = None

    def weak(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weak view of images (B, C, H, W) or vectors (B, D)."""
        if x.ndim == 2:
            return noisy(x, self.deviation, self.noise, generator)
        return weak_view(x, self.kind, generator)

    def strong(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the strong view, float32 (images: 0..255): the weak one distorted further, or moved for "affine"."""
        if self.strong_kind == "affine" and x.ndim == 4:
            return affine_view(x, generator)
        weak = self.weak(x, generator)
        if x.ndim == 2:
            return masked(noisy(weak, self.deviation, self.noise, generator), self.mean, generator)
        if self.strong_kind == "light":
            return strong_view(weak, generator)
        return rand_augment(weak, generator, ops=self.ops, magnitude=self.magnitude, whole=self.whole)
