"""The images or vectors of one run, split once into labeled, held-out and unlabeled; the seeded stratified split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import ConfigError, RoundBlocked
from engine.groups import FEW_GROUPS, units
from engine.training.evaluate import chunks

STATISTICS_SAMPLE = 10_000
"""At most this many images, evenly spaced, give the mean and deviation used to normalise."""
TOO_FEW_TO_HOLD_OUT = 5
"""A class with at most this many labels trains on all of them: fewer would cost more than a measurement is worth."""
LEAST_CLASSES_TO_HOLD_OUT = 2
"""With labels held out of one class alone, always guessing that class would be right."""


@dataclass(frozen=True)
class Pools:
    """The images and who may see which: three disjoint sets of rows of `images`.

    images (N, C, H, W) uint8, or vectors (N, D) float32; train_idx (L,) and train_y (L,) int64, heldout_idx and
    heldout_y likewise, unlabeled_idx (U,) int64; labels in 0..num_classes-1. The labels of held-out rows are
    read by the evaluation alone; an algorithm that labels a set as a whole may see their images. random_idx (R,) int64
    are the labeled rows that were drawn at random, so that their labels show the classes' shares. groups (N,) int64:
    rows of one number are not independent, so that no cross-validation tears them apart; empty where all are.
    heldout_images: how many labeled images the groups of the held-out rows have; 0 without groups.

    Raises:
        ConfigError: shapes or types differ from this, an index or label is out of range, or a row is in two
        sets.
    """

    images: Tensor
    train_idx: Tensor
    train_y: Tensor
    heldout_idx: Tensor
    heldout_y: Tensor
    unlabeled_idx: Tensor
    num_classes: int
    random_idx: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    groups: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    heldout_images: int = 0

    def __post_init__(self) -> None:
        if (self.images.ndim, self.images.dtype) not in ((4, torch.uint8), (2, torch.float32)):
            raise ConfigError(
                "Images must be (N, C, H, W) uint8, vectors (N, D) float32",
                value=f"{tuple(self.images.shape)} {self.images.dtype}",
            )
        for name in ("train_idx", "train_y", "heldout_idx", "heldout_y", "unlabeled_idx", "random_idx"):
            tensor = getattr(self, name)
            if tensor.ndim != 1 or tensor.dtype != torch.int64:
                raise ConfigError(f"{name} must be one row of int64", value=f"{tuple(tensor.shape)} {tensor.dtype}")
        if len(self.groups) not in (0, len(self.images)):
            raise ConfigError("Images and groups differ in number", value=f"{len(self.images)} and {len(self.groups)}")
        self._check_rows()
        self._check_labels()

    def _check_rows(self) -> None:
        rows = torch.cat([self.train_idx, self.heldout_idx, self.unlabeled_idx])
        if rows.numel() and (int(rows.min()) < 0 or int(rows.max()) >= len(self.images)):
            raise ConfigError("A row lies outside the images", value=f"{int(rows.min())}..{int(rows.max())}")
        ordered = rows.sort().values
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twice):
            raise ConfigError(
                "The labeled, held-out and unlabeled images overlap",
                value=f"rows {twice[:5].tolist()}",
                way_out="Every image may be in one of the three sets only.",
            )

    def _check_labels(self) -> None:
        for idx, labels in ((self.train_idx, self.train_y), (self.heldout_idx, self.heldout_y)):
            if len(idx) != len(labels):
                raise ConfigError("Rows and labels differ in number", value=f"{len(idx)} and {len(labels)}")
            if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= self.num_classes):
                raise ConfigError("A label lies outside the classes", value=f"{int(labels.min())}..{int(labels.max())}")

    @property
    def vectors(self) -> bool:
        """Whether the rows are vectors (N, D) rather than images."""
        return self.images.ndim == 2

    @property
    def channels(self) -> int:
        """Number of channels C; of vectors their dimension D."""
        return int(self.images.shape[1])

    @property
    def size(self) -> int:
        """Shorter side of the images in pixels; 1 for vectors."""
        return int(min(self.images.shape[2:], default=1))

    @property
    def few_scenes(self) -> bool:
        """Whether what is held out are so few groups of images that no course of a figure on them is shown."""
        return len(self.heldout_idx) < min(FEW_GROUPS, self.heldout_images)

    @property
    def train_groups(self) -> NDArray[np.int64] | None:
        """Number of the group (L,) of each image to train on; None where each is by itself."""
        return self.groups[self.train_idx].numpy() if len(self.groups) else None

    def statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation per channel in 0..1 (vectors: per dimension, in their own units).

        From labeled and unlabeled images only; held-out ones do not enter. A constant channel gets deviation 1.
        """
        rows = torch.cat([self.train_idx, self.unlabeled_idx]).sort().values
        if len(rows) > STATISTICS_SAMPLE:
            rows = rows[torch.arange(STATISTICS_SAMPLE) * len(rows) // STATISTICS_SAMPLE]
        if not len(rows):
            return [0.5] * self.channels, [1.0] * self.channels
        if self.vectors:
            vectors = self.images[rows].double()
            spread = vectors.std(0, correction=0)
            return vectors.mean(0).tolist(), torch.where(spread > 1e-6, spread, torch.ones_like(spread)).tolist()
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(self.channels, 256, dtype=torch.float64)
        for part in chunks(rows, 1000):
            for channel, values in enumerate(self.images[part].unbind(1)):
                counts[channel] += torch.bincount(values.flatten().int(), minlength=256)
        weights = counts / counts.sum(1, keepdim=True)  # (C, 256)
        mean = weights @ levels
        deviation = ((weights * (levels - mean[:, None]) ** 2).sum(1)).sqrt()
        deviation = torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation))
        return mean.tolist(), deviation.tolist()


def check_two_classes(pools: Pools) -> None:
    """Raise unless labels of two classes and an unlabeled image are there, for algorithms without a feed that asks.

    Raises:
        RoundBlocked: labels of fewer than two classes, or no unlabeled image.
    """
    classes = len(set(pools.train_y.tolist()))
    if classes < 2:
        raise RoundBlocked(
            "Labels of at least two classes are needed",
            value=f"{classes} with labels",
            way_out="Label some images of another class first.",
        )
    if not len(pools.unlabeled_idx):
        raise RoundBlocked("There is no unlabeled image to learn from", way_out="Import more images.")


def split_labeled(
    image_ids: NDArray[np.int64],
    labels: NDArray[np.integer],
    fraction: float,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split labeled images into training and held-out, stratified by class; the caller stores the result.

    Only classes with more than `TOO_FEW_TO_HOLD_OUT` labels hold any out, and only if there are at least two of them.
    The total held out is exactly `round(fraction * n)`, n the labels of these classes; they share it by largest
    remainder, and each keeps at least one image to train on. The result depends on the set of (id, label) pairs and the
    seed, not on their order.

    Images of one group are never on both sides. With groups all of this is said of them: n counts groups, and a group
    is of the class that most of its images have. Where no training image of some class would be left, the first group
    with one goes back to training.

    Args:
        image_ids: (n,) unique ids.
        labels: (n,) class of each.
        fraction: share to hold out, 0..1.
        seed: of the shuffle within classes.
        groups: (n,) number of each image's group; each image by itself when None.

    Returns:
        (train_ids, heldout_ids), each ascending; of a group that is held out all images are.

    Raises:
        ConfigError: the fraction is outside 0..1, or ids and labels differ in number or repeat.
    """
    ids = np.asarray(image_ids, dtype=np.int64)
    classes = np.asarray(labels)
    if not 0 <= fraction < 1:
        raise ConfigError("The held-out share must be at least 0 and below 1", value=fraction)
    if len(ids) != len(classes) or len(np.unique(ids)) != len(ids):
        raise ConfigError(
            "Image ids must be unique, with one label each", value=f"{len(ids)} ids, {len(classes)} labels"
        )
    order = np.argsort(ids)
    ids, classes = ids[order], classes[order]
    grouped = units(None if groups is None else groups[order], classes)
    names, counts = np.unique(grouped.label, return_counts=True)
    quotas = _quotas(_that_hold_out(counts), fraction, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng(seed)
    rows = np.arange(len(grouped))
    held = [rng.permutation(rows[grouped.label == name])[:quota] for name, quota in zip(names, quotas, strict=True)]
    out = np.isin(grouped.of, np.concatenate(held) if held else rows[:0])
    for gone in np.setdiff1d(classes, classes[~out]):
        out[grouped.of == grouped.of[classes == gone][0]] = False
    return ids[~out], ids[out]


def heldout_total(counts: Sequence[int] | NDArray[np.integer], fraction: float) -> int:
    """Return how many labels `split_labeled` holds out.

    Args:
        counts: (K,) labels by class that may be held out, 0 for a class without any.
        fraction: share to hold out, at least 0 and below 1.
    """
    return int(_quotas(_that_hold_out(np.asarray(counts, np.int64)), fraction, np.random.default_rng(0)).sum())


def _that_hold_out(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels (K,) of the classes that hold some out, 0 for the others."""
    enough = counts > TOO_FEW_TO_HOLD_OUT
    return np.where(enough & (enough.sum() >= LEAST_CLASSES_TO_HOLD_OUT), counts, 0)


def _quotas(counts: NDArray[np.int64], fraction: float, ties: np.random.Generator) -> NDArray[np.int64]:
    """Share round(fraction * total) among classes by largest remainder, leaving each class one image.

    `ties` decides between equal remainders: many small classes are then a random sample, not the first by name.
    """
    exact = counts * fraction
    order = ties.permutation(len(counts))
    quotas: NDArray[np.int64] = np.minimum(np.floor(exact), np.maximum(counts - 1, 0)).astype(np.int64)
    missing = round(float(counts.sum()) * fraction) - int(quotas.sum())
    while missing > 0 and (quotas < counts - 1).any():
        remainder = np.where(quotas < counts - 1, exact - quotas, -np.inf)
        quotas[order[int(np.argmax(remainder[order]))]] += 1
        missing -= 1
    return quotas
