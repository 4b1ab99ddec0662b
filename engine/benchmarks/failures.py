"""Where the article on Pseudo-Label says it fails: with 10, 20 and 50 labels of MNIST, and with a class without any.

Each condition is a row of each of `METHODS`, all with the network, batches and steps of `TRAIN`: short runs of 300
steps. The article shows the failures as pictures, without figures; a whole FixMatch is in `mnist-few`.
"""

from __future__ import annotations

from typing import Any

from engine.algorithms import ALGORITHMS
from engine.benchmarks.mnist import FEW_RULE, FIXMATCH
from engine.benchmarks.spec import Benchmark, Context, Row

TRAIN: dict[str, Any] = {**FIXMATCH, "epochs": 3, "steps_per_epoch": 100, "batch_size": 32, "ema_decay": 0.99}
CONDITIONS: dict[str, dict[str, Any]] = {
    "10 labels": {"set": "MNIST", "labels": 10},
    "20 labels": {"set": "MNIST", "labels": 20},
    "50 labels": {"set": "MNIST", "labels": 50},
    "1,000 labels, no 7": {"set": "MNIST", "labels": 1000, "missing": [7]},
}
METHODS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "labels alone": ("supervised", {}, {}),
    "Pseudo-Label": ("pseudo_label", {}, {}),
    "FixMatch": ("fixmatch", {}, {}),
    "FreeMatch, equal shares": ("fixmatch", FEW_RULE, {}),
    "Pseudo-Label, from the set's labels": ("pseudo_label", {}, {"start": "frozen:hog"}),
    "labeled as a set": ("transductive", {}, {}),
}
"""Algorithm, its settings and those of the training, by what the rows are called. To add one: a line here."""


def _rows(context: Context) -> tuple[Row, ...]:
    return tuple(
        Row(f"{condition}: {method}", key, data, config, {**TRAIN, **train}, budgeted=not ALGORITHMS[key].labels_a_set)
        for condition, data in CONDITIONS.items()
        for method, (key, config, train) in METHODS.items()
    )


FAILURES = Benchmark(
    "MNIST, 10, 20, 50 labels and a class without any: Pseudo-Label where it fails, beside others", _rows, seeds=3
)
