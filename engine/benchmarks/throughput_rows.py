"""How fast steps are on this machine: WRN-28-2 on random images of CIFAR-10's shape, no data set needed."""

from __future__ import annotations

import functools
from typing import Any

from engine.benchmarks.spec import Benchmark, Context, Row

TRAIN: dict[str, Any] = {"net": "wrn_28_2", "batch_size": 128, "augment": "shift_flip"}
DATA: dict[str, Any] = {"set": "random", "labels": 4000}


def _rows(algorithm: str, ratio: int, target: float, context: Context) -> tuple[Row, ...]:
    cuda = context.device.type == "cuda"
    data = {**DATA, "images": 50_000 if cuda else 5_000}
    train = {**TRAIN, "unlabeled_ratio": ratio}
    plain = Row(algorithm, algorithm, data, {}, train, target=target)
    compiled = Row(f"{algorithm}, compiled", algorithm, data, {}, {**train, "compile": "on"}, target=target)
    return (plain, compiled) if cuda else (plain,)


def _benchmark(title: str, algorithm: str, ratio: int, target: float) -> Benchmark:
    return Benchmark(
        f"Steps a second of {title}, WRN-28-2, 128 labeled and {128 * ratio} unlabeled images, and the machine's share",
        functools.partial(_rows, algorithm, ratio, target),
        measure="throughput",
        seeds=1,
        minutes=0.5,
        note="GB/s and TFLOP/s beside what a large copy and a large matrix product reach on the same device. The "
        "targets are for one H200.",
    )


MPL_THROUGHPUT = _benchmark("Meta Pseudo Labels", "meta_pseudo_labels", 7, 45.0)
FIXMATCH_THROUGHPUT = _benchmark("FixMatch", "fixmatch", 4, 120.0)
