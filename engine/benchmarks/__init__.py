"""The headline results, each run by `starling bench NAME` or, where little but torch is there, by
`python -m engine.benchmarks NAME`. To add one: one file, one line here, one test.
"""

from __future__ import annotations

from engine.benchmarks.cifar10 import CIFAR10_1000, CIFAR10_4000, CIFAR10_SIMPLE
from engine.benchmarks.failures import FAILURES
from engine.benchmarks.logreg import LOGREG, LOGREG_CURVE
from engine.benchmarks.mnist import MNIST_1000, MNIST_ARTICLE, MNIST_ARTICLE_WHOLE, MNIST_FEW, MNIST_JOINED, MNIST_SET
from engine.benchmarks.mpl_ablation import MPL_ABLATION
from engine.benchmarks.pseudo_label_options import PSEUDO_LABEL_OPTIONS
from engine.benchmarks.spec import Benchmark, Context, Row
from engine.benchmarks.throughput import FIXMATCH_THROUGHPUT, MPL_THROUGHPUT
from engine.benchmarks.two_moons import TWO_MOONS

__all__ = ["BENCHMARKS", "Benchmark", "Context", "Row"]

BENCHMARKS: dict[str, Benchmark] = {
    "mnist-1000": MNIST_1000,
    "mnist-article": MNIST_ARTICLE,
    "mnist-article-whole": MNIST_ARTICLE_WHOLE,
    "mnist-set": MNIST_SET,
    "mnist-joined": MNIST_JOINED,
    "mnist-few": MNIST_FEW,
    "failures": FAILURES,
    "pseudo-label-options": PSEUDO_LABEL_OPTIONS,
    "logreg": LOGREG,
    "logreg-curve": LOGREG_CURVE,
    "two-moons": TWO_MOONS,
    "cifar10-1000": CIFAR10_1000,
    "cifar10-4000": CIFAR10_4000,
    "cifar10-simple": CIFAR10_SIMPLE,
    "mpl-ablation": MPL_ABLATION,
    "mpl-throughput": MPL_THROUGHPUT,
    "fixmatch-throughput": FIXMATCH_THROUGHPUT,
}
"""Benchmarks by the name that the command takes."""
