"""What the feedback of Meta Pseudo Labels adds: the same teacher and student with it and with h = 0, seed by seed.

On MNIST with 1,000 labels; also on CIFAR-10 with 4,000 labels where there is a GPU and the set lies in the folder.
"""

from __future__ import annotations

from typing import Any

from engine.benchmarks.cifar10 import MPL
from engine.benchmarks.spec import Benchmark, Context, Row

MNIST_TRAIN: dict[str, Any] = {
    "epochs": 4,
    "steps_per_epoch": 150,
    "batch_size": 64,
    "unlabeled_ratio": 4,
    "learning_rate": 0.05,
    "dropout": 0.0,
    "ema_decay": 0.99,
}
CIFAR10_TRAIN: dict[str, Any] = {**MPL, "epochs": 40, "steps_per_epoch": 500}
SETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "MNIST": ({"set": "MNIST", "labels": 1000}, MNIST_TRAIN),
    "CIFAR-10": ({"set": "CIFAR10", "labels": 4000}, CIFAR10_TRAIN),
}
"""Data and settings of each pair of rows."""


def _rows(context: Context) -> tuple[Row, ...]:
    large = context.device.type == "cuda" and (context.root / "cifar-10-batches-py").is_dir()
    rows = []
    for name in ("MNIST", "CIFAR-10") if large else ("MNIST",):
        data, train = SETS[name]
        for label, ablate in (("MPL", False), ("h = 0", True)):  # the same steps for both, whatever they take
            key = "meta_pseudo_labels"
            rows.append(Row(f"{name}, {label}", key, data, {"ablate": ablate}, train, budgeted=False))
    return tuple(rows)


MPL_ABLATION = Benchmark(
    "Meta Pseudo Labels with and without its feedback (h = 0), the difference seed by seed",
    _rows,
    pairs=(("MNIST, MPL", "MNIST, h = 0"), ("CIFAR-10, MPL", "CIFAR-10, h = 0")),
)
