"""Two moons, 6 labels: where the shape of the data decides, VAT follows it and plain pseudo-labels do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.benchmarks.two_moons import two_moons
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits

pytestmark = pytest.mark.slow
SEEDS = range(5)
CPU = torch.device("cpu")
SHARED: dict[str, Any] = {
    "net": "mlp",
    "epochs": 10,
    "steps_per_epoch": 150,
    "batch_size": 6,
    "unlabeled_ratio": 32,
    "learning_rate": 0.1,
    "dropout": 0.0,
    "ema_decay": 0.99,
    "precision": "float32",
}


def mean_accuracy(key: str, config: dict[str, Any]) -> float:
    """Return the mean over the seeds of the accuracy on 2,000 points of another draw."""
    torch.set_num_threads(1)
    found, spec = [], ALGORITHMS[key]
    for seed in SEEDS:
        pools, x, y = two_moons(seed=seed)
        run = spec.build(spec.config(**config), TrainConfig(**SHARED, seed=seed), pools, CPU)
        for epoch in range(run.epochs):
            list(run.steps(epoch))
        logits = predict_logits(run.eval_model(), x, torch.arange(len(x)), CPU)
        found.append(float((logits.argmax(1) == y).double().mean()))
    return sum(found) / len(found)


def test_vat_follows_the_moons() -> None:
    assert mean_accuracy("vat", {"weight": 5.0, "entropy_weight": 0.3}) >= 0.98


def test_pseudo_labels_do_not() -> None:
    assert mean_accuracy("pseudo_label", {}) < 0.95
