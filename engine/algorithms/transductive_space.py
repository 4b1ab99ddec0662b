"""What the transductive model knows of an image: pretrained features or gradients, reduced to principal coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import Tensor

from engine.nets.hog import hog_features

WIDE, NARROW = 256, 128
"""Coordinates for the regression; for the graph and the class Gaussians."""
SAMPLE = 20_000
"""Images, evenly spaced, that the coordinates are fitted to."""
_TINY = 1e-12


@dataclass(frozen=True)
class Space:
    """Features f to the model's coordinates, of which there are fewer where the images give less.

    f is brought to length 1, and the mean squared length of z and of the whitened coordinates is 1 over the images that
    the space was fitted to.

    Attributes:
        rooted: whether u is made of √f: where no feature is negative (outputs of a ReLU, histograms).
        mean, axes: (D,), (D, 256) of z = (f − mean) · axes.
        whitening: (128,) factors of the first coordinates of z; each divides by the fourth root of its variance.
        root_mean, root_axes: (D,), (D, 128) of u.
    """

    rooted: bool
    mean: Tensor
    axes: Tensor
    whitening: Tensor
    root_mean: Tensor
    root_axes: Tensor

    @classmethod
    def fit(cls, inputs: Tensor, seed: int) -> Space:
        """Find the coordinates.

        Args:
            inputs: (n, 1, H, W) uint8 images or (n, D) vectors, n ≥ 2; at most `SAMPLE` are enough.
            seed: of the randomised decomposition.
        """
        f = _features(inputs)
        mean, axes, variance = _principal(f, WIDE, seed)
        length = variance.sum().sqrt().clamp_min(_TINY)
        fourth = variance[:NARROW].clamp_min(_TINY) ** 0.25
        whitening = length / fourth / (variance[:NARROW] / fourth**2).sum().sqrt().clamp_min(_TINY)
        rooted = bool((f >= 0).all())
        root_mean, root_axes = _principal(f.sqrt(), NARROW, seed)[:2] if rooted else (mean, axes[:, :NARROW])
        return cls(rooted, mean, axes / length, whitening, root_mean, root_axes)

    def coordinates(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, 256) for the regression and u (B, 128) of length 1 for the graph; float32 on the CPU.

        Args:
            inputs: as they were fitted, images or vectors.
        """
        f = _features(inputs)
        u = (f.clamp_min(0).sqrt() if self.rooted else f) - self.root_mean
        return (f - self.mean) @ self.axes, F.normalize(u @ self.root_axes, eps=_TINY)

    def whitened(self, z: Tensor) -> Tensor:
        """Return the coordinates (B, 128) of z (B, 256) for the class Gaussians."""
        return z[:, :NARROW] * self.whitening


def evenly(rows: Tensor, most: int) -> Tensor:
    """Return rows (n,), or `most` of them evenly spaced where there are more."""
    return rows if len(rows) <= most else rows[torch.arange(most) * len(rows) // most]


def _features(inputs: Tensor) -> Tensor:
    """Return features (n, D) of length 1: gradients of images, vectors as they are."""
    return F.normalize(hog_features(inputs.cpu()) if inputs.ndim == 4 else inputs.cpu().float(), eps=_TINY)


def _principal(x: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (D,), axes (D, k) and variances (k,), largest first; k is at most count, n − 1 and D."""
    count = max(1, min(count, len(x) - 1, x.shape[1]))
    pca = PCA(count, svd_solver="randomized", iterated_power=2, random_state=seed).fit(x.numpy())
    mean, axes, variance = (
        torch.from_numpy(part).float() for part in (pca.mean_, pca.components_, pca.explained_variance_)
    )
    return mean, axes.T.contiguous(), variance
