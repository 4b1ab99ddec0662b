"""Classical self-training on MNIST with 1,000 labels: the scikit-learn pipeline alone, and labeling for itself.

Published: a public article's 90.86 % alone and 92.42 % with self-training.
"""

from __future__ import annotations

from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

MNIST: dict[str, Any] = {"set": "MNIST", "labels": 1000}
CONFIG: dict[str, Any] = {}


def _rows(context: Context) -> tuple[Row, ...]:
    key = "classical_self_training"
    return (
        Row("pipeline alone", key, MNIST, CONFIG, published=90.86, epochs_run=1, budgeted=False),
        Row("self-training", key, MNIST, CONFIG, published=92.42, target=92.42, budgeted=False),
    )


LOGREG = Benchmark(
    "MNIST, 1,000 labels, no network: the scikit-learn pipeline alone and with self-training",
    _rows,
    pairs=(("self-training", "pipeline alone"),),
    note="Published: a public article on self-training with scikit-learn.",
)
