"""What a forum's thread on Pseudo-Label leaves open, side by side: the loss on unlabeled images, its weight over time,
how often labels are made anew, and a phase on unlabeled images alone. MNIST with 1,000 labels, short runs of 450 steps.

Every row has the same network, steps and batches; but for what its label says it is the first one with pseudo-labels:
both losses in each step, cross-entropy, the weight growing from a quarter to five eighths of the run, labels made anew
each batch. The thread gives no figures.
"""

from __future__ import annotations

from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

DATA: dict[str, Any] = {"set": "MNIST", "labels": 1000}
TRAIN: dict[str, Any] = {
    "net": "article_convnet",
    "epochs": 9,
    "steps_per_epoch": 50,
    "batch_size": 32,
    "unlabeled_ratio": 4,
    "learning_rate": 0.05,
    "ema_decay": 0.99,
}
CONFIG: dict[str, Any] = {"t1": 200.0, "t2": 500.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "cross-entropy, α by time, each batch": {},
    "squared error of the probabilities": {"loss": "squares"},
    "α constant": {"t1": 0.0, "t2": 0.0},
    "labels made each epoch": {"refresh": "epoch"},
    "every 3 epochs": {"refresh": "k_epochs", "refresh_every": 3},
    "once, never again": {"refresh": "frozen"},
    "unlabeled images alone from T1": {"schedule": "separate"},
    "alone, labels made once": {"schedule": "separate", "refresh": "frozen"},
}
"""What each row changes in `CONFIG`."""


def _rows(context: Context) -> tuple[Row, ...]:
    alone = Row("labels alone", "supervised", DATA, train=TRAIN)
    return (
        alone,
        *(Row(label, "pseudo_label", DATA, {**CONFIG, **changed}, TRAIN) for label, changed in OPTIONS.items()),
    )


PSEUDO_LABEL_OPTIONS = Benchmark(
    "MNIST, 1,000 labels: Pseudo-Label's loss, weight over time, refreshing and a phase on unlabeled images alone",
    _rows,
    seeds=3,
)
