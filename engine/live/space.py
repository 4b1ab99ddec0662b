"""What the transductive model knows of an image: its features, reduced to principal coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

Floats = NDArray[np.float32]

WIDE, NARROW = 256, 128
"""Coordinates for the regression; for the graph and the class Gaussians."""
SAMPLE = 20_000
"""Images, evenly spaced, that the coordinates are fitted to."""
_TINY = 1e-12


@dataclass(frozen=True)
class Space:
    """Features f to the model's coordinates, of which there are fewer where the images give less.

    f is brought to length 1, and the mean squared length of z and of the whitened coordinates is 1 over the images that
    the space was fitted to. All arrays are float32.

    Attributes:
        rooted: whether u is made of √f: where no feature is negative (outputs of a ReLU, histograms).
        mean, axes: (D,), (D, 256) of z = (f − mean) · axes.
        whitening: (128,) factors of the first coordinates of z; each divides by the fourth root of its variance.
        root_mean, root_axes: (D,), (D, 128) of u.
    """

    rooted: bool
    mean: Floats
    axes: Floats
    whitening: Floats
    root_mean: Floats
    root_axes: Floats

    @classmethod
    def fit(cls, features: Floats, seed: int) -> Space:
        """Find the coordinates.

        Args:
            features: (n, D), n ≥ 2; at most `SAMPLE` images are enough.
            seed: of the randomised decomposition.
        """
        f = _unit(np.asarray(features, np.float32))
        mean, axes, variance = _principal(f, WIDE, seed)
        length = max(float(np.sqrt(variance.sum())), _TINY)
        fourth = np.maximum(variance[:NARROW], _TINY) ** 0.25
        whitening = length / fourth / max(float(np.sqrt((variance[:NARROW] / fourth**2).sum())), _TINY)
        rooted = bool((f >= 0).all())
        root_mean, root_axes = _principal(np.sqrt(f), NARROW, seed)[:2] if rooted else (mean, axes[:, :NARROW])
        return cls(rooted, mean, axes / np.float32(length), whitening, root_mean, np.ascontiguousarray(root_axes))

    def coordinates(self, features: Floats) -> tuple[Floats, Floats]:
        """Return z (B, 256) for the regression and u (B, 128) of length 1 for the graph, of features (B, D)."""
        f = _unit(np.asarray(features, np.float32))
        u = (np.sqrt(np.maximum(f, 0)) if self.rooted else f) - self.root_mean
        return (f - self.mean) @ self.axes, _unit(u @ self.root_axes)

    def whitened(self, z: Floats) -> Floats:
        """Return the coordinates (B, 128) of z (B, 256) for the class Gaussians."""
        return z[:, :NARROW] * self.whitening


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return the places 0..count-1, or `most` of them evenly spaced where there are more."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _unit(x: Floats) -> Floats:
    """Return rows (n, D) of length 1; rows of zeros stay."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), _TINY), np.float32)


def _principal(x: Floats, count: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return mean (D,), axes (D, k) and variances (k,), largest first; k is at most count, n − 1 and D."""
    count = max(1, min(count, len(x) - 1, x.shape[1]))
    pca = PCA(count, svd_solver="randomized", iterated_power=2, random_state=seed).fit(x)
    mean, axes, variance = (np.asarray(part, np.float32) for part in (pca.mean_, pca.components_.T, pca.explained_variance_))
    return mean, np.ascontiguousarray(axes), variance
