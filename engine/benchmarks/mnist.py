"""MNIST with few labels: handwritten digits, 60,000 to train with, of which few have a label, and 10,000 to test.

All training images without a label are the unlabeled pool. Nothing is held out and nothing chosen: the averaged model
of the last epoch is tested once. Published: a public article on Pseudo-Label with 1,000 labels, 95.57 % with the labels
alone and 98.46 % with pseudo-labels; its protocol is the interleaved schedule with batches of 32 and 256 at rate 0.1.
"""

from __future__ import annotations

from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

SUPERVISED: dict[str, Any] = {"epochs": 10, "steps_per_epoch": 234, "batch_size": 64, "learning_rate": 0.03}
FIXMATCH: dict[str, Any] = {**SUPERVISED, "unlabeled_ratio": 4}
ARTICLE: dict[str, Any] = {"epochs": 10, "batch_size": 32, "unlabeled_ratio": 8, "learning_rate": 0.1}
FEW: dict[str, Any] = {**FIXMATCH, "epochs": 12}


def _mnist(labels: int, *missing: int) -> dict[str, Any]:
    return {"set": "MNIST", "labels": labels, "missing": list(missing)}


def _rows_1000(context: Context) -> tuple[Row, ...]:
    article = {"schedule": "interleaved", "t1": 100.0, "t2": 700.0}
    return (
        Row("supervised", "supervised", _mnist(1000), train=SUPERVISED, published=95.57),
        Row("pseudo-label", "pseudo_label", _mnist(1000), article, ARTICLE, published=98.46, target=98.46),
        Row("fixmatch", "fixmatch", _mnist(1000), train=FIXMATCH, target=98.46),
    )


def _rows_few(context: Context) -> tuple[Row, ...]:
    few = tuple(Row(f"{n} labels", "fixmatch", _mnist(n), train=FEW) for n in (100, 50, 20, 10))
    return (*few, Row("1,000 labels, class 7 missing", "fixmatch", _mnist(1000, 7), train=FEW))


MNIST_1000 = Benchmark(
    "MNIST, 1,000 labels: the labels alone, Pseudo-Label as in the article, FixMatch",
    _rows_1000,
    note="Published: a public article's figures for 1,000 labels, alone and with pseudo-labels.",
)
MNIST_FEW = Benchmark("MNIST, 100 to 10 labels, and a class without any: FixMatch", _rows_few)
