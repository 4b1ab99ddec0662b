"""Whether every algorithm runs on a device at all: a few steps on random images and vectors, predictions, a checkpoint.

What comes out is not looked at. On CUDA the second step of an epoch must not make the host wait for the device.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.algorithms import ALGORITHMS, Algorithm
from engine.training import checkpoint, uncertainty
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_all
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    *((key, {}) for key in ALGORITHMS),
    ("pseudo_label", {"t1": 0.0, "t2": 0.0, "refresh": "epoch", "hard": False}),
    ("pseudo_label", {"schedule": "interleaved", "labeled_epoch_every": 2, "unlabeled_batches": 4}),
    ("fixmatch", {"align": "prior", "hard": False}),
    ("fixmatch", {"rule": "flexmatch"}),
    ("fixmatch", {"rule": "freematch", "align": "uniform"}),
    ("fixmatch", {"rule": "softmatch", "align": "uniform"}),
    ("fixmatch", {"rule": "adamatch"}),
    ("meta_pseudo_labels", {"mode": "exact", "student_wait": 0.0}),
    ("meta_pseudo_labels", {"target": "argmax", "ablate": True}),
    ("threshold_self_training", {"threshold": 0.0, "filter": True}),
    ("transductive", {"rounds": 1, "network": "on"}),
)
"""Every algorithm with its own settings, and some with others that take another way through the code."""
NETS = ("simple_cnn", "frozen:mobilenet_v2")
"""A network of images, and one of vectors: features of a frozen network."""
SHORT = {"finetune_share": 0.5}
"""Where an algorithm has such a setting: two steps."""
CLASSES = 4


def pools(net: str, channels: int = 3) -> Pools:
    """Return 44 random images of so many channels, or vectors: 12 labeled, 8 held out, 24 unlabeled."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(44)
    images = torch.randint(0, 255, (44, channels, 8, 8), generator=generator, dtype=torch.uint8)
    values = torch.randn(44, 16, generator=generator) if net.startswith("frozen:") else images
    return Pools(values, rows[:12], rows[:12] % CLASSES, rows[12:20], rows[12:20] % CLASSES, rows[20:], CLASSES)


def train_config(net: str) -> TrainConfig:
    """Return settings of two epochs of two steps."""
    return TrainConfig(epochs=2, steps_per_epoch=2, batch_size=4, unlabeled_ratio=2, net=net, dropout=0.3)


def smoke(key: str, config: dict[str, Any], net: str, device: torch.device, folder: Path) -> Algorithm:
    """Train, predict, save, load and go on; return the run.

    Args:
        key: of the algorithm.
        config: its settings.
        net: the network.
        device: where.
        folder: for the checkpoint.

    Raises:
        Exception: whatever went wrong.
    """
    spec = ALGORITHMS[key]
    data = pools(net, 1 if spec.labels_a_set else 3)  # such a one takes colour as features alone
    known = {field.name for field in dataclasses.fields(spec.config)}
    short = {name: value for name, value in SHORT.items() if name in known}

    def build() -> Algorithm:
        return spec.build(spec.config(**short | config), train_config(net), data, device)

    run = build()
    second = min(1, run.epochs - 1)  # a regression has one epoch
    for epoch in range(second + 1):
        _epoch(run, epoch, device)
    events = train(run, data, start_epoch=second, tracked=np.arange(30), precision="auto")
    last = [event for event in events if isinstance(event, EpochEvent)][-1]
    assert last.probabilities.shape == (24, CLASSES)
    assert last.features is not None
    path = folder / "epoch-001.pt"
    digest = checkpoint.save(path, run, second, {})
    resumed = build()
    checkpoint.load(path, digest, resumed)
    assert next(iter(resumed.steps(second)))["loss"] is not None
    model = resumed.eval_model()
    assert predict_all(model, data.images, most_bytes=10**6)[0].shape == (44, CLASSES)
    uncertainty.mc_dropout(model, data.images, torch.arange(5), passes=2)
    return resumed


def _epoch(run: Algorithm, epoch: int, device: torch.device) -> None:
    """Train one epoch, whose first step alone may read from the device: an epoch may begin with new labels."""
    steps = run.steps(epoch)
    next(steps)
    with no_waits(device):
        for metrics in steps:
            assert metrics.get("loss", 0.0) is not None


@contextlib.contextmanager
def no_waits(device: torch.device) -> Iterator[None]:
    """Raise where the host would wait for a CUDA device; elsewhere nothing is different."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
