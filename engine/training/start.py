"""How every run starts: seeded generators, the network for its images, and the two streams of rows."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

from engine.errors import RoundBlocked
from engine.nets.build import build_net
from engine.training.config import TrainConfig
from engine.training.feed import RowStream
from engine.training.pools import Pools


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch (all devices), NumPy and Python."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def new_net(train: TrainConfig, pools: Pools, device: torch.device) -> nn.Module:
    """Return a fresh network for the pools' images on the device, in training mode."""
    _, channels, height, width = pools.images.shape
    net = build_net(
        train.net,
        (channels, height, width),
        pools.num_classes,
        pools.statistics(),
        dropout=train.dropout,
        weights=train.weights,
    )
    return net.to(device).train()


def labeled_stream(train: TrainConfig, pools: Pools) -> RowStream:
    """Return the stream over labeled images; the same for every algorithm with the same seed.

    Raises:
        RoundBlocked: there is no labeled image.
    """
    if not len(pools.train_idx):
        raise RoundBlocked("There is no labeled image to train on", way_out="Label some images of each class first.")
    return RowStream(pools.train_idx, train.seed + 1)


def unlabeled_stream(train: TrainConfig, pools: Pools) -> RowStream:
    """Return the stream over unlabeled images.

    Raises:
        RoundBlocked: there is no unlabeled image.
    """
    if not len(pools.unlabeled_idx):
        raise RoundBlocked(
            "There is no unlabeled image to learn from",
            way_out="Import more images, or choose the supervised algorithm.",
        )
    return RowStream(pools.unlabeled_idx, train.seed + 2)
