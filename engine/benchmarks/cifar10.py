"""CIFAR-10 with 1,000 or 4,000 labels: WRN-28-2, the labels alone, FixMatch and Meta Pseudo Labels.

Settings for one GPU: 64 labeled and 448 unlabeled images a step. A run is made to fit the minutes it is given: the
speed is measured first, then the schedule compressed: in the same time a cheaper algorithm takes more steps. Published
figures are of far longer runs.

`cifar10-simple` is small enough for a CPU: simple_cnn, 1,000 labels, Adam, as in a public article on self-training,
which gives no figure for it.
"""

from __future__ import annotations

import functools
from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

TRAIN: dict[str, Any] = {
    "net": "wrn_28_2",
    "epochs": 1000,
    "steps_per_epoch": 1000,
    "batch_size": 64,
    "unlabeled_ratio": 7,
    "learning_rate": 0.03,
    "dropout": 0.0,
    "augment": "shift_flip",
}
MPL: dict[str, Any] = {**TRAIN, "learning_rate": 0.05, "dropout": 0.2}
MINUTES = 10.0
SIMPLE: dict[str, Any] = {
    "net": "simple_cnn",
    "optimizer": "adam",
    "epochs": 5,
    "steps_per_epoch": 80,
    "batch_size": 64,
    "unlabeled_ratio": 2,
    "learning_rate": 0.001,
    "ema_decay": 0.99,
    "augment": "shift_flip",
}


def cifar10_rows(labels: int, context: Context) -> tuple[Row, ...]:
    """Return the three rows for a number of labels."""
    data = {"set": "CIFAR10", "labels": labels}
    target = 95.0 if labels == 4000 else None
    published = {4000: {"fixmatch": 95.74, "meta_pseudo_labels": 96.11}}.get(labels, {})
    return (
        Row("supervised", "supervised", data, train=TRAIN),
        Row("fixmatch", "fixmatch", data, train=TRAIN, published=published.get("fixmatch"), target=target),
        Row(
            "meta_pseudo_labels",
            "meta_pseudo_labels",
            data,
            train=MPL,
            published=published.get("meta_pseudo_labels"),
            target=target,
        ),
    )


def _simple_rows(context: Context) -> tuple[Row, ...]:
    data = {"set": "CIFAR10", "labels": 1000}
    sgd = {**SIMPLE, "optimizer": "sgd", "learning_rate": 0.05}
    return (
        Row("supervised, Adam", "supervised", data, train=SIMPLE),
        Row("supervised, SGD", "supervised", data, train=sgd),
        Row("threshold self-training, Adam", "threshold_self_training", data, train=SIMPLE),
        Row("pseudo-label, Adam", "pseudo_label", data, train=SIMPLE),
    )


def _benchmark(labels: int) -> Benchmark:
    return Benchmark(
        f"CIFAR-10, {labels:,} labels, WRN-28-2: the labels alone, FixMatch, Meta Pseudo Labels",
        functools.partial(cifar10_rows, labels),
        seeds=3,
        minutes=MINUTES,
        note="Published: the papers' tables (arXiv 2001.07685, 2003.10580), of far longer runs.",
    )


CIFAR10_1000, CIFAR10_4000 = _benchmark(1000), _benchmark(4000)
CIFAR10_SIMPLE = Benchmark(
    "CIFAR-10, 1,000 labels, simple_cnn with Adam: the labels alone, threshold self-training, Pseudo-Label",
    _simple_rows,
    seeds=3,
)
