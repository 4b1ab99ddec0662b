"""How every run starts: seeded generators and the network for its images."""

from __future__ import annotations

import random

import numpy as np
import torch

from engine.nets.build import build_net
from engine.nets.classifier import Classifier
from engine.training.config import TrainConfig
from engine.training.pools import Pools


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch (all devices), NumPy and Python."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def new_net(train: TrainConfig, pools: Pools, device: torch.device) -> Classifier:
    """Return a fresh network for the pools' images or vectors on the device, in training mode."""
    net = build_net(
        train.net,
        tuple(pools.images.shape[1:]),
        pools.num_classes,
        pools.statistics(),
        dropout=train.dropout,
        weights=train.weights,
        tuned_blocks=train.tuned_blocks,
    )
    return net.to(device).train()
