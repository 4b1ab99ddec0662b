"""What the feedback of Meta Pseudo Labels adds: the same teacher and student with it, at several weights, and with
h = 0, seed by seed.

Both ways of feedback, on sets where a teacher has mistakes to hear of, in runs of seconds: two moons with six labels,
where the teacher learns from them and the feedback alone, and MNIST with 50 labels. Also on CIFAR-10 with 4,000 labels
where there is a GPU and the set lies in the folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.benchmarks import two_moons
from engine.benchmarks.cifar10 import MPL
from engine.benchmarks.spec import Benchmark, Context, Row


@dataclass(frozen=True)
class Setup:
    """A set of the ablation: its data, settings of the algorithm and of the training, and the ways of feedback."""

    data: dict[str, Any]
    config: dict[str, Any]
    train: dict[str, Any]
    modes: tuple[str, ...]

    def weights(self) -> dict[str, float]:
        """Return the feedback weights by name: the paper's, one between, and the full derivative's."""
        unlabeled = float(self.train["batch_size"] * self.train["unlabeled_ratio"])  # B_u
        return {"1": 1.0, "√B_u": math.sqrt(unlabeled), "B_u": unlabeled}


MOONS_TRAIN: dict[str, Any] = {
    **two_moons.TRAIN,
    "epochs": 8,
    "unlabeled_ratio": 16,
    "learning_rate": 0.1,
}
MNIST_TRAIN: dict[str, Any] = {
    "epochs": 4,
    "steps_per_epoch": 50,
    "batch_size": 16,
    "unlabeled_ratio": 4,
    "learning_rate": 0.05,
    "dropout": 0.0,
    "ema_decay": 0.99,
}
CIFAR10_TRAIN: dict[str, Any] = {**MPL, "epochs": 40, "steps_per_epoch": 500}
SETS: dict[str, Setup] = {
    "moons": Setup(two_moons.DATA["6 labels"], {"uda_weight": 0.0}, MOONS_TRAIN, ("sampled", "exact")),
    "MNIST": Setup({"set": "MNIST", "labels": 50}, {}, MNIST_TRAIN, ("sampled", "exact")),
    "CIFAR-10": Setup({"set": "CIFAR10", "labels": 4000}, {}, CIFAR10_TRAIN, ("sampled",)),
}


def _rows(context: Context) -> tuple[Row, ...]:
    large = context.device.type == "cuda" and (context.root / "cifar-10-batches-py").is_dir()
    rows = []
    for name, setup in SETS.items():
        if name == "CIFAR-10" and not large:
            continue
        for mode in setup.modes:  # the same steps for all, whatever they take
            given = {"h = 0": {"ablate": True}} | {k: {"feedback_weight": w} for k, w in setup.weights().items()}
            for key, config in given.items():
                rows.append(
                    Row(
                        f"{name}, {mode}, {key}",
                        "meta_pseudo_labels",
                        setup.data,
                        {**setup.config, "mode": mode, **config},
                        setup.train,
                        budgeted=False,
                        told=("feedback_ratio",),
                    )
                )
    return tuple(rows)


MPL_ABLATION = Benchmark(
    "Meta Pseudo Labels with its feedback at several weights and without (h = 0), the difference seed by seed",
    _rows,
    pairs=tuple(
        (f"{name}, {mode}, {key}", f"{name}, {mode}, h = 0")
        for name, setup in SETS.items()
        for mode in setup.modes
        for key in setup.weights()
    ),
    note="feedback_ratio: the norm of the feedback's gradient over that of the teacher's other terms, both in the "
    "logits, the median of every tenth step.",
)
