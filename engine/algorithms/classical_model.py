"""The parts of classical self-training: principal coordinates, products of them, and a scikit-learn classifier of both
that looks like a network to the evaluation."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor, nn

from engine.training.evaluate import chunks
from engine.training.pools import Pools

Floats = NDArray[np.float32]
SAMPLE = 10_000
SAMPLE_VALUES = 200_000_000
"""The coordinates are fitted to at most so many images, with at most so many values together (0.8 GB)."""
CHUNK = 1_000
"""Rows whose products are in memory at a time when predicting."""
FLOOR = 1e-7
UNSEEN = 1e-30
"""Least probability of a class, and that of a class no image of which was ever fitted."""
NARROW = 1_000
"""Up to so many values an image the coordinates are computed exactly, above by a seeded random projection."""


class Coordinates(nn.Module):
    """Normalised images or vectors to principal coordinates (B, P) float32, scaled to a mean squared length of 1.

    All scaled by one number, so that their proportions stay and their products are as large as themselves. Its
    tensors are buffers: a stored state gives back the very same coordinates.
    """

    mean: Tensor
    scale: Tensor
    directions: Tensor

    def __init__(self, pools: Pools, dimensions: int, seed: int) -> None:
        """Fit to labeled training and unlabeled images, evenly spaced where they are many; held-out ones do not enter.

        Args:
            pools: the images.
            dimensions: P, lowered to what the images give.
            seed: of the random projection for wide images.
        """
        super().__init__()
        vectors, values = pools.vectors, int(pools.images[0].numel())
        mean, deviation = (torch.tensor(part, dtype=torch.float32) for part in pools.statistics())
        unit, repeat = (1, 1) if vectors else (255, values // pools.channels)
        self.register_buffer("mean", unit * mean.repeat_interleave(repeat))
        self.register_buffer("scale", 1 / (unit * deviation.repeat_interleave(repeat)))
        rows = torch.cat([pools.train_idx, pools.unlabeled_idx]).sort().values
        most = max(2, min(SAMPLE, SAMPLE_VALUES // values))
        if len(rows) > most:
            rows = rows[torch.arange(most) * len(rows) // most]
        x = self._normalized(pools.images[rows]).numpy()
        pca = PCA(
            min(dimensions, *x.shape),
            svd_solver="covariance_eigh" if values <= NARROW else "randomized",
            random_state=seed,
        ).fit(x)
        length = float(np.sqrt(pca.explained_variance_.sum())) or 1.0
        self.mean += torch.from_numpy(np.asarray(pca.mean_, np.float32)) / self.scale
        self.register_buffer("directions", torch.from_numpy((pca.components_.T / length).astype(np.float32)))

    def _normalized(self, images: Tensor) -> Tensor:
        return (images.flatten(1).float() - self.mean) * self.scale

    def forward(self, images: Tensor) -> Tensor:
        """Return the coordinates (B, P) of images (B, C, H, W) uint8 or vectors (B, D), on the CPU."""
        with torch.autocast("cpu", enabled=False):  # the classifier was fitted to float32
            return self._normalized(images.cpu()) @ self.directions

    def of_rows(self, images: Tensor, rows: Tensor) -> Floats:
        """Return the coordinates (n, P) of rows of the images, computed in parts."""
        parts = [self(images[part]) for part in chunks(rows, CHUNK)] or [self(images[:0])]
        return cast(Floats, torch.cat(parts).numpy())


def with_products(coordinates: Floats, products: bool) -> Floats:
    """Return the coordinates (n, P), where `products` with all products of two of them: (n, P + P(P+1)/2)."""
    if not products:
        return coordinates
    return cast(Floats, PolynomialFeatures(2, include_bias=False).fit_transform(coordinates))


def probabilities(classifier: Any, coordinates: Floats, products: bool, num_classes: int) -> Floats:
    """Return (n, K) float32 by class number, computed in parts; a class that was never fitted gets `UNSEEN`.

    The classifier's columns are mapped back through its `classes_`.
    """
    all_classes = np.full((len(coordinates), num_classes), UNSEEN, np.float32)
    for start in range(0, len(coordinates), CHUNK):
        part = coordinates[start : start + CHUNK]
        fitted = classifier.predict_proba(with_products(part, products))  # (n, len(classes_))
        all_classes[start : start + len(part), classifier.classes_] = np.maximum(fitted, FLOOR)
    return all_classes


class ClassicalModel(nn.Module):
    """A fitted classifier as the evaluation sees it: coordinates are its features, log-probabilities its logits.

    Computes on the CPU whatever the device; one parameter of no use says so.
    """

    def __init__(self, coordinates: Coordinates, classifier: Any, products: bool, num_classes: int) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.head = _Head(classifier, products, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the coordinates (B, P) float32 of images (B, C, H, W) or vectors (B, D)."""
        return cast(Tensor, self.coordinates(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the log-probabilities (B, K) float32."""
        return cast(Tensor, self.head(self.features(images)))


class _Head(nn.Module):
    def __init__(self, classifier: Any, products: bool, num_classes: int) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._classifier, self._products, self._num_classes = classifier, products, num_classes

    def forward(self, coordinates: Tensor) -> Tensor:
        """Return the log-probabilities (B, K) float32 of coordinates (B, P)."""
        q = probabilities(self._classifier, coordinates.numpy(), self._products, self._num_classes)
        return torch.from_numpy(np.log(q))
