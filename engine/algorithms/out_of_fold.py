"""Predictions for labeled images by networks that have not seen their labels: cross-validation of a short training.

They are what label checks compare labels with, since a network asked about its own training images mostly repeats what
it was told. Source: Northcutt, Jiang and Chuang, Confident Learning, arXiv 1911.00068, section 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.algorithms.supervised import Supervised, SupervisedConfig
from engine.errors import RoundBlocked
from engine.groups import units
from engine.training import evaluate
from engine.training.config import TrainConfig
from engine.training.pools import Pools

FOLDS = 5
PASSES = 3
LEAST_STEPS, MOST_STEPS = 300, 4000
"""Steps in each fold, whatever the number of labels."""


@dataclass(frozen=True)
class OutOfFold:
    """probabilities (n, K) float32 and fold (n,) of each image; steps in one fold."""

    probabilities: NDArray[np.float32]
    fold: NDArray[np.int64]
    steps: int


def make_folds(labels: NDArray[np.int64], seed: int, groups: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the fold (n,) of each image, counted from 0; each class is spread as evenly as can be.

    There are 5, or as many as images. A class with fewer images than folds has at most one in each, so that all but
    that one are learned from: a rare class does not take folds from the others.

    All images of a group are in one fold; a group is spread as one image of the class that most of its images have.

    Args:
        labels: (n,) class indices.
        seed: of the shuffle.
        groups: (n,) number of each image's group; each image by itself when None.
    """
    grouped = units(groups, labels)
    shuffled = np.random.default_rng(seed).permutation(len(grouped))
    order = shuffled[np.argsort(grouped.label[shuffled], kind="stable")]
    fold = np.empty(len(grouped), np.int64)
    fold[order] = np.arange(len(grouped)) % FOLDS
    return fold[grouped.of]


def steps_for(labeled: int, batch: int) -> int:
    """Return the steps in one fold that trains on this many images."""
    return min(MOST_STEPS, max(LEAST_STEPS, math.ceil(PASSES * labeled / batch)))


def predict(
    images: Tensor,
    labels: NDArray[np.int64],
    train: TrainConfig,
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
    groups: NDArray[np.int64] | None = None,
) -> OutOfFold:
    """Train once a fold from scratch on the others, and predict the images of that fold.

    Deterministic for the settings' seed on the CPU. No network sees a label of a group that it is asked about.

    Args:
        images: (n, ...) labeled images or vectors.
        labels: (n,) class indices 0..K-1, each present at least twice.
        train: network and optimizer; its epochs and steps are set here.
        device: where to train.
        report: called with steps done and in all; may raise to stop.
        groups: (n,) number of each image's group; each image by itself when None.

    Raises:
        RoundBlocked: all labeled images are of one group.
    """
    classes = int(labels.max()) + 1
    fold = make_folds(labels, train.seed, groups)
    count = int(fold.max()) + 1
    if count < 2:
        raise RoundBlocked(
            "All labeled images are of one group, so none can be asked about without having been learned from",
            way_out="Label images of other scenes first.",
        )
    steps = steps_for(len(labels) - math.ceil(len(labels) / count), train.batch_size)
    train = dataclasses.replace(train, epochs=1, steps_per_epoch=steps)
    probabilities = np.empty((len(labels), classes), np.float32)
    for number in range(count):
        outside, inside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        pools = _pools(images, labels, outside, classes)
        run = Supervised(SupervisedConfig(), dataclasses.replace(train, seed=train.seed + number), pools, device)
        for done, _ in enumerate(run.steps(0), start=1):
            report(number * steps + done, count * steps)
        logits = evaluate.predict_logits(run.eval_model(), images, torch.from_numpy(inside), device)
        probabilities[inside] = torch.softmax(logits, 1).numpy()
    return OutOfFold(probabilities, fold, steps)


def _pools(images: Tensor, labels: NDArray[np.int64], rows: NDArray[np.int64], classes: int) -> Pools:
    none = torch.empty(0, dtype=torch.int64)
    known = torch.from_numpy(labels[rows])
    return Pools(
        images=images,
        train_idx=torch.from_numpy(rows),
        train_y=known,
        heldout_idx=none,
        heldout_y=none,
        unlabeled_idx=none,
        num_classes=classes,
    )
