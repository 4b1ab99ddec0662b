"""Supervised baseline: cross-entropy on the labeled images alone.

Shares network, augmentation, optimizer, schedule and number of steps with every semi-supervised algorithm,
so that the difference between them is the worth of the unlabeled images. The averaged (EMA) weights are what
is evaluated.

Measured (`starling bench mnist-1000`, seeds 0-4): MNIST, 1,000 labels, 3,000 steps: 97.97 ± 0.20 % of the test images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.training.config import TrainConfig
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.start import seed_everything


@dataclass(frozen=True)
class SupervisedConfig:
    """The baseline has no settings of its own."""


class Supervised:
    """A supervised run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: SupervisedConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self._train = train
        self.epochs, self.steps_per_epoch = train.epochs, steps_per_epoch(train, pools)
        self.total = self.epochs * self.steps_per_epoch
        self._feed = Feed(train, pools, device, unlabeled=False)
        self._learner = Learner(train, pools, device)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch."""
        self._learner.model.train()
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            yield self._step(number, step)

    def _step(self, number: int, step: Step) -> Metrics:
        logits = self._learner.logits(self._feed.weak(step.x))  # (B, K)
        loss = F.cross_entropy(logits, step.y, label_smoothing=self._train.label_smoothing)
        self._learner.update(loss, self._train.learning_rate * cosine(number, self.total))
        return {"loss": loss.detach()}

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights; see `engine.training.learner.TakesStart`."""
        self._learner.begin(weights)

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self._learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return self._learner.state_dict() | self._feed.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._learner.load_state_dict(state)
        self._feed.load_state_dict(state)
