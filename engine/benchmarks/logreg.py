"""Classical self-training on MNIST: the scikit-learn pipeline with its SGDClassifier alone, and labeling for itself.

With 1,000 labels on all 60,000 images, as a public article has it: 90.86 % alone and 92.42 % with self-training. And
the curve of both over 100 to 1,000 labels, on 10,000 images drawn by the seed and with 10 draws, so that it takes
minutes; the article has its curve as a picture, without figures.
"""

from __future__ import annotations

from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

MNIST: dict[str, Any] = {"set": "MNIST", "labels": 1000}
CONFIG: dict[str, Any] = {}
LABELS = (100, 200, 400, 700, 1000)
CURVE_CONFIG: dict[str, Any] = {"sample_rate": 0.1}


def _rows(context: Context) -> tuple[Row, ...]:
    key = "classical_self_training"
    return (
        Row("pipeline alone", key, MNIST, CONFIG, published=90.86, epochs_run=1, budgeted=False),
        Row("self-training", key, MNIST, CONFIG, published=92.42, target=92.42, budgeted=False),
    )


def _curve(context: Context) -> tuple[Row, ...]:
    key = "classical_self_training"
    rows: list[Row] = []
    for labels in LABELS:
        data = {**MNIST, "labels": labels, "images": 10_000}
        rows.append(Row(f"{labels:,} labels, alone", key, data, CURVE_CONFIG, epochs_run=1, budgeted=False))
        rows.append(Row(f"{labels:,} labels, self-training", key, data, CURVE_CONFIG, budgeted=False))
    return tuple(rows)


LOGREG = Benchmark(
    "MNIST, 1,000 labels, no network: the scikit-learn pipeline alone and with self-training",
    _rows,
    pairs=(("self-training", "pipeline alone"),),
    note="Published: a public article on self-training with scikit-learn.",
)
LOGREG_CURVE = Benchmark(
    "MNIST, 100 to 1,000 labels of 10,000 images, no network: SGDClassifier alone and with self-training",
    _curve,
    seeds=3,
    pairs=tuple((f"{labels:,} labels, self-training", f"{labels:,} labels, alone") for labels in LABELS),
)
