"""What the feedback of Meta Pseudo Labels adds: the same teacher and student with it, at several weights, and with
h = 0, seed by seed.

On MNIST with few labels, in short runs, so that a teacher has mistakes to hear of; both ways of feedback. Also on
CIFAR-10 with 4,000 labels where there is a GPU and the set lies in the folder.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from engine.benchmarks.cifar10 import MPL
from engine.benchmarks.spec import Benchmark, Context, Row

LABELS = 50
MNIST_TRAIN: dict[str, Any] = {
    "epochs": 4,
    "steps_per_epoch": 60,
    "batch_size": 32,
    "unlabeled_ratio": 4,
    "learning_rate": 0.05,
    "dropout": 0.0,
    "ema_decay": 0.99,
}
CIFAR10_TRAIN: dict[str, Any] = {**MPL, "epochs": 40, "steps_per_epoch": 500}
SETS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[Literal["sampled", "exact"], ...]]] = {
    "MNIST": ({"set": "MNIST", "labels": LABELS}, MNIST_TRAIN, ("sampled", "exact")),
    "CIFAR-10": ({"set": "CIFAR10", "labels": 4000}, CIFAR10_TRAIN, ("sampled",)),
}
"""Data, settings and ways of feedback of each set."""


def weights(train: dict[str, Any]) -> dict[str, float]:
    """Return the feedback weights compared, by what they are called: the paper's, a middle one, the full derivative."""
    unlabeled = float(train["batch_size"] * train["unlabeled_ratio"])  # B_u
    return {"1": 1.0, "√B_u": math.sqrt(unlabeled), "B_u": unlabeled}


def _rows(context: Context) -> tuple[Row, ...]:
    large = context.device.type == "cuda" and (context.root / "cifar-10-batches-py").is_dir()
    rows = []
    for name in ("MNIST", "CIFAR-10") if large else ("MNIST",):
        data, train, modes = SETS[name]
        for mode in modes:  # the same steps for all, whatever they take
            ways = {"h = 0": {"ablate": True}} | {key: {"feedback_weight": w} for key, w in weights(train).items()}
            rows += [
                Row(
                    f"{name}, {mode}, {key}",
                    "meta_pseudo_labels",
                    data,
                    {"mode": mode, **config},
                    train,
                    budgeted=False,
                    told=("feedback_ratio",),
                )
                for key, config in ways.items()
            ]
    return tuple(rows)


MPL_ABLATION = Benchmark(
    "Meta Pseudo Labels with its feedback at several weights and without (h = 0), the difference seed by seed",
    _rows,
    pairs=tuple(
        (f"{name}, {mode}, {key}", f"{name}, {mode}, h = 0")
        for name, (_, train, modes) in SETS.items()
        for mode in modes
        for key in weights(train)
    ),
    note="feedback_ratio: the norm of the feedback's gradient over that of the teacher's other terms, both in the "
    "logits, the mean of every tenth step.",
)
