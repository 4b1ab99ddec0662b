"""The loop: steps an algorithm through its epochs and yields what happened; its caller records and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import TrainingDiverged
from engine.training.evaluate import Prediction, half, predict, predict_run
from engine.training.feed import place_images
from engine.training.pools import Pools
from engine.training.protocol import Algorithm, HasRowPredictions, HasTeacher, Metrics

EVENT_SECONDS = 0.25
"""Least time between two StepEvents."""
MOST_TRAINED = 2000
"""Training images, at most, whose accuracy is reported each epoch; evenly spaced where there are more."""


@dataclass(frozen=True)
class StepEvent:
    """How far the epoch is: `step` of `steps` done. Metrics are means since the epoch began."""

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: dict[str, float]
    steps_per_second: float


@dataclass(frozen=True)
class EpochEvent:
    """What the averaged model says after one epoch.

    probabilities (n_unlabeled, K) float32 in the order of `pools.unlabeled_idx`; features (n_tracked, D)
    float16 in the order of `tracked`, None when nothing is tracked. Of the same images, student (n_tracked, K) float32
    is what this model says, teacher (n_tracked, K) float32 what the teacher beside it says, None where there is none.
    Metrics are the means over the epoch's steps, plus heldout_accuracy, heldout_loss and heldout_labels, how many stand
    behind both, when there are held-out images (of groups at least 30: the course of fewer shows nothing),
    train_accuracy on the labels trained on, where something is tracked teacher_train_accuracy of the teacher, and
    seconds. Both are of images as they are, in evaluation mode, and of at most `MOST_TRAINED`.
    """

    epoch: int
    metrics: dict[str, float]
    probabilities: NDArray[np.float32]
    features: NDArray[np.float16] | None
    student: NDArray[np.float32] | None = None
    teacher: NDArray[np.float32] | None = None


def train(
    algorithm: Algorithm,
    pools: Pools,
    *,
    start_epoch: int = 0,
    tracked: NDArray[np.int64] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    precision: str = "float32",
) -> Iterator[StepEvent | EpochEvent]:
    """Train from `start_epoch` to the end, yielding StepEvents (at most four a second) and one EpochEvent an
    epoch.

    `should_stop` is asked before every step; once true the generator ends without an EpochEvent, and the
    state in between two epochs is lost: continue from the last checkpoint.

    Args:
        algorithm: freshly built, or restored to the state after epoch `start_epoch - 1`.
        pools: the images it was built with.
        start_epoch: first epoch to train, counted from 0.
        tracked: rows of `pools.images` whose features and probabilities are reported each epoch.
        should_stop: looked at every step.
        precision: of the passes over the images after each epoch, "auto", "float32" or "bfloat16".

    Raises:
        TrainingDiverged: a loss is NaN or infinite; on the CPU at the very step, elsewhere within one
        StepEvent.
    """
    for epoch in range(start_epoch, algorithm.epochs):
        tally = _Tally(epoch, algorithm.epochs, algorithm.steps_in(epoch))
        steps = algorithm.steps(epoch)
        while True:
            if should_stop():
                return
            metrics = next(steps, None)
            if metrics is None:
                break
            event = tally.add(metrics)
            if event is not None:
                yield event
        if should_stop():
            return
        if tally.reported < tally.done:
            yield tally.event()
        yield _epoch_event(algorithm, pools, tally, tracked, precision)


@dataclass
class _Tally:
    """Sums of the metrics of one epoch, left on the device until an event needs them."""

    epoch: int
    epochs: int
    steps: int
    done: int = 0
    reported: int = -1
    sums: dict[str, float | Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=lambda: time.perf_counter())
    last: float = field(default_factory=lambda: time.perf_counter())

    def add(self, metrics: Metrics) -> StepEvent | None:
        """Count one step; return an event when enough time has passed since the last."""
        self.done += 1
        loss = metrics.get("loss", 0.0)
        if not isinstance(loss, Tensor) or loss.device.type == "cpu":
            self._check(float(loss))
        for name, value in metrics.items():
            value = value.detach() if isinstance(value, Tensor) else value
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        now = time.perf_counter()
        if now - self.last < EVENT_SECONDS:
            return None
        self.last = now
        return self.event()

    def event(self) -> StepEvent:
        """Return the state of the epoch so far; waits for the device.

        Raises:
            TrainingDiverged: the summed loss is not finite.
        """
        self.reported = self.done
        means = self.means()
        self._check(means.get("loss", 0.0))
        rate = self.done / max(time.perf_counter() - self.began, 1e-9)
        return StepEvent(self.epoch, self.epochs, self.done, self.steps, means, rate)

    def means(self) -> dict[str, float]:
        """Return each metric's mean over the steps that reported it."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingDiverged(
                "The loss is no longer a finite number",
                value=f"{loss} in epoch {self.epoch + 1}, at or before step {self.done}",
                way_out="Lower the learning rate and start the round again; the last checkpoint is kept.",
            )


def _epoch_event(
    algorithm: Algorithm, pools: Pools, tally: _Tally, tracked: NDArray[np.int64] | None, precision: str
) -> EpochEvent:
    """Evaluate the averaged model once over held-out, unlabeled and tracked images."""
    every = max(1, math.ceil(len(pools.train_idx) / MOST_TRAINED))
    trained, trained_y = pools.train_idx[::every], pools.train_y[::every]
    rows = torch.cat([pools.heldout_idx, pools.unlabeled_idx, trained])
    wanted = None if tracked is None else torch.from_numpy(np.array(tracked, dtype=np.int64))
    seen = _seen(algorithm, pools, rows, wanted, precision)
    held, rest = len(pools.heldout_idx), len(pools.heldout_idx) + len(pools.unlabeled_idx)
    metrics = tally.means() | _heldout_metrics(seen, pools, held)
    metrics["train_accuracy"] = _share_right(seen.logits[rest:], trained_y)
    teacher = None
    if wanted is not None and isinstance(algorithm, HasTeacher):
        said = algorithm.teacher_probabilities(torch.cat([wanted, trained])).float().cpu()
        teacher = said[: len(wanted)].numpy()
        metrics["teacher_train_accuracy"] = _share_right(said[len(wanted) :], trained_y)
    metrics["seconds"] = time.perf_counter() - tally.began
    probabilities = torch.softmax(seen.logits[held:rest], 1).numpy()
    features = None if seen.features is None else half(seen.features)
    student = None if seen.feature_logits is None else torch.softmax(seen.feature_logits, 1).numpy()
    return EpochEvent(tally.epoch, metrics, probabilities, features, student, teacher)


def _seen(algorithm: Algorithm, pools: Pools, rows: Tensor, wanted: Tensor | None, precision: str) -> Prediction:
    """Return what the run says of rows and of those whose features are wanted, read where the run's images lie."""
    if isinstance(algorithm, HasRowPredictions):
        return predict_run(algorithm, pools.images, rows, features_of=wanted)
    model = algorithm.eval_model()
    device = next(model.parameters()).device
    return predict(
        model, place_images(pools.images, device), rows, device, features_of=wanted, precision=precision
    )  # fmt: skip


def _share_right(said: Tensor, y: Tensor) -> float:
    """Return the share of rows (n, K) whose largest entry is that of the class (n,)."""
    return float((said.argmax(1) == y).double().mean())


def _heldout_metrics(seen: Prediction, pools: Pools, held: int) -> dict[str, float]:
    if not held or pools.few_scenes:
        return {}
    logits = seen.logits[:held]
    loss = torch.nn.functional.cross_entropy(logits, pools.heldout_y)
    right = _share_right(logits, pools.heldout_y)
    return {"heldout_accuracy": right, "heldout_loss": float(loss), "heldout_labels": float(held)}
