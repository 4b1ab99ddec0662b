"""The headline results, each run by `starling bench NAME` or, where little but torch is there, by
`python -m engine.benchmarks NAME`. To add one: one file, one line here, one test.
"""

from __future__ import annotations

from engine.benchmarks.cifar10 import CIFAR10_1000, CIFAR10_4000
from engine.benchmarks.logreg import LOGREG
from engine.benchmarks.mnist import MNIST_1000, MNIST_FEW
from engine.benchmarks.mpl_ablation import MPL_ABLATION
from engine.benchmarks.spec import Benchmark, Context, Row
from engine.benchmarks.throughput import FIXMATCH_THROUGHPUT, MPL_THROUGHPUT
from engine.benchmarks.two_moons import TWO_MOONS

__all__ = ["BENCHMARKS", "Benchmark", "Context", "Row"]

BENCHMARKS: dict[str, Benchmark] = {
    "mnist-1000": MNIST_1000,
    "mnist-few": MNIST_FEW,
    "logreg": LOGREG,
    "two-moons": TWO_MOONS,
    "cifar10-1000": CIFAR10_1000,
    "cifar10-4000": CIFAR10_4000,
    "mpl-ablation": MPL_ABLATION,
    "mpl-throughput": MPL_THROUGHPUT,
    "fixmatch-throughput": FIXMATCH_THROUGHPUT,
}
"""Benchmarks by the name that the command takes."""
