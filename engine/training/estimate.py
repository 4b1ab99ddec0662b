"""How long a round takes: some real steps of the real algorithm on made-up images, extrapolated to the whole run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol

import torch

from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.pools import Pools
from engine.training.protocol import Algorithm, HasRowPredictions

OF_A_SET = "seconds for thousands of images, longer with a network after it or where features are computed first"
"""What is said of an algorithm that labels a set as a whole: its few steps grow with the images, not by epochs."""
SAMPLES = 5
"""Places of a run, evenly spread, whose steps are timed: an algorithm may do more in a later step than in an early."""
LEAST_STEPS = 3
STEP_SECONDS = 1.5
"""At each place steps are timed until there are `LEAST_STEPS`, or until this long has passed in all places together."""
EVALUATED = 512
START_SECONDS = 5.0
"""Starting the process of a round, reading its images, and writing its report."""
EPOCH_SECONDS = 0.05
"""Recording an epoch and its checkpoint."""


class Spec(Protocol):
    """The part of an `engine.algorithms.AlgorithmSpec` that is used here."""

    @property
    def build(self) -> Callable[[Any, TrainConfig, Pools, torch.device], Algorithm]:
        """Build a run."""
        ...


@dataclass(frozen=True)
class Counts:
    """How many images of a round train with their label, are held out, and are unlabeled; and the classes."""

    train: int
    heldout: int
    unlabeled: int
    classes: int


@dataclass(frozen=True)
class TimeEstimate:
    """seconds: of the whole round; None where they cannot be told. how: how they were found, or why not, in words."""

    seconds: float | None
    how: str


def estimate(
    spec: Spec, config: Any, train: TrainConfig, shape: tuple[int, ...], counts: Counts, device: torch.device
) -> TimeEstimate:
    """Return about how long a phase with these settings takes, evaluation of all images after each epoch included.

    Times real steps at `SAMPLES` places of the run, so it takes a few seconds itself. Random generators are seeded
    as by a run: call it in a process of its own. The time of the supervised baseline is that of another call.
    Nothing is compiled, which would take longer than all else here: a run that compiles its network may be faster.

    Args:
        spec: the algorithm.
        config: its settings.
        train: the shared settings; "frozen:" networks are timed on vectors.
        shape: (C, H, W) of the images, (D,) of vectors.
        counts: the sizes of the pools.
        device: where.
    """
    pools = made_up_pools(shape, counts)
    algorithm = spec.build(config, replace(train, compile="off"), pools, device)
    if isinstance(algorithm, HasRowPredictions):
        return TimeEstimate(None, OF_A_SET)
    if algorithm.steps_in(0) < 2:
        return TimeEstimate(None, "each of its few steps depends on the ones before")
    steps = sum(_step_seconds(algorithm, device))
    model = algorithm.eval_model()
    rows = counts.heldout + counts.unlabeled
    looks = algorithm.epochs * rows + counts.train + rows
    seconds = steps + looks * _image_seconds(model, pools, device) + algorithm.epochs * EPOCH_SECONDS
    total = sum(algorithm.steps_in(epoch) for epoch in range(algorithm.epochs))
    return TimeEstimate(seconds, f"{total:,} steps in {algorithm.epochs:,} epochs")


def made_up_pools(shape: tuple[int, ...], counts: Counts) -> Pools:
    """Return pools of these sizes whose images are random but take next to no memory.

    Row n is the window that starts at value n of one row of random values: all rows differ, and lie over each other.
    """
    total = counts.train + counts.heldout + counts.unlabeled
    size = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        values = torch.randn(size + total, generator=generator)
    else:
        values = torch.randint(0, 256, (size + total,), generator=generator, dtype=torch.uint8)
    strides = [torch.Size(shape[at + 1 :]).numel() for at in range(len(shape))]
    images = values.as_strided((total, *shape), (1, *strides))
    rows, held = torch.arange(total), counts.train + counts.heldout
    train, heldout, unlabeled = rows[: counts.train], rows[counts.train : held], rows[held:]
    return Pools(
        images=images,
        train_idx=train,
        train_y=train % counts.classes,
        heldout_idx=heldout,
        heldout_y=heldout % counts.classes,
        unlabeled_idx=unlabeled,
        num_classes=counts.classes,
    )


def _step_seconds(algorithm: Algorithm, device: torch.device) -> list[float]:
    """Return the seconds of the steps of every epoch, each epoch as the nearest timed one."""
    epochs = algorithm.epochs
    places = sorted({int((place + 0.5) / SAMPLES * epochs) for place in range(SAMPLES)})
    timed = {epoch: _timed(algorithm, epoch, device, STEP_SECONDS / len(places)) for epoch in places}
    nearest = (min(places, key=lambda place: abs(place - epoch)) for epoch in range(epochs))
    return [algorithm.steps_in(epoch) * timed[place] for epoch, place in enumerate(nearest)]


def _timed(algorithm: Algorithm, epoch: int, device: torch.device, limit: float) -> float:
    """Return the median seconds of a step of this epoch, after one that is not counted."""
    steps = algorithm.steps(epoch)
    seconds: list[float] = []
    next(steps, None)
    _wait(device)
    while len(seconds) < LEAST_STEPS or sum(seconds) < limit:
        began = time.perf_counter()
        if next(steps, None) is None:
            break
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return median(seconds) if seconds else 0.0


def _image_seconds(model: torch.nn.Module, pools: Pools, device: torch.device) -> float:
    """Return the seconds that evaluating one image takes."""
    rows = torch.arange(min(EVALUATED, len(pools.images)))
    passes = [seconds_of(lambda: predict_logits(model, pools.images, rows, device)) for _ in range(3)]
    return min(passes) / max(len(rows), 1)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def whole_round(main: TimeEstimate, baseline: TimeEstimate | None, where: str) -> TimeEstimate:
    """Return the estimate of a round from those of its phases.

    Args:
        main: of the algorithm.
        baseline: of the supervised baseline, None where it is not run.
        where: the device, in words.
    """
    if main.seconds is None:
        return main
    seconds = main.seconds + START_SECONDS + ((baseline.seconds or 0.0) if baseline is not None else 0.0)
    beside = " and the baseline beside it" if baseline is not None else ""
    return replace(main, seconds=seconds, how=f"{main.how}{beside}, timed on {where}")
