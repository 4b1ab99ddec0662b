"""What the training loop asks of an algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

Metrics = dict[str, "float | Tensor"]
"""What one step reports; tensors are scalars left on the device, so that reading them costs no wait."""


class Algorithm(Protocol):
    """A training run that can be stepped, evaluated, stored and restored between epochs.

    `epochs` is the number of recorded epochs, which may exceed `TrainConfig.epochs` by a closing stage.
    `steps_per_epoch` is the length of an ordinary epoch; `steps_in(epoch)` that of one epoch.
    """

    steps_per_epoch: int
    epochs: int

    def steps_in(self, epoch: int) -> int:
        """Return how many steps epoch `epoch` (from 0) has."""
        ...

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through epoch `epoch`, yielding after each step; one of them at least has the metric "loss"."""
        ...

    def eval_model(self) -> nn.Module:
        """Return the model that is evaluated, recorded and kept: the averaged weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back; training then continues bit-identically on the CPU."""
        ...


@runtime_checkable
class HasTeacher(Protocol):
    """What an algorithm offers besides, where a teacher stands beside the evaluated model.

    The loop asks after each epoch, for the tracked images alone. Distributions are asked for and not a network, since a
    teacher may be put away and live on in its stored distributions.
    """

    def teacher_probabilities(self, rows: Tensor) -> Tensor:
        """Return the teacher's distributions (n, K) float32 on the CPU for rows (n,) of the images.

        Made in evaluation mode from the images as they are; weights, statistics, modes and random streams stay as they
        were.
        """
        ...


@runtime_checkable
class HasRowPredictions(Protocol):
    """What an algorithm offers that labels its images as a set: what it says of one depends on those around it."""

    def predict_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, K) and features (n, D), float32 on the CPU, for rows (n,) of the images it was built with.

        `eval_model` then serves images outside the set.
        """
        ...
