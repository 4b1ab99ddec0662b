"""Supervised baseline: cross-entropy on the labeled images alone.

Shares network, augmentation, optimizer, schedule and number of steps with every semi-supervised algorithm,
so that the difference between them is the worth of the unlabeled images. The averaged (EMA) weights are what
is evaluated.

Measured (one seed, the commands in README): MNIST, 1,000 labels of which 950 train, 30 epochs at rate 0.03: 98.34 %
of the 10,000 test images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from engine.augment.weak import weak_view
from engine.nets.ema import Ema
from engine.training.config import TrainConfig
from engine.training.feed import place_images, steps_per_epoch
from engine.training.optim import clip_gradients, cosine, make_optimizer, set_rate
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.start import labeled_stream, new_net, seed_everything


@dataclass(frozen=True)
class SupervisedConfig:
    """The baseline has no settings of its own."""


class Supervised:
    """A supervised run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: SupervisedConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.epochs = train.epochs
        self.steps_per_epoch = steps_per_epoch(train, pools)
        self._train, self._device = train, device
        self._images = place_images(pools.images, device)
        self._rows, self._y = pools.train_idx, pools.train_y
        self._labeled = labeled_stream(train, pools)
        self._views = torch.Generator().manual_seed(train.seed + 3)
        self.model = new_net(train, pools, device)
        self.ema = Ema(self.model, train.ema_decay)
        self.optimizer = make_optimizer(self.model, train)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch."""
        train, total = self._train, self.epochs * self.steps_per_epoch
        self.model.train()
        for step in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            set_rate(self.optimizer, train.learning_rate * cosine(step, total))
            places = self._labeled.take(train.batch_size)
            x = weak_view(self._images, self._rows[places], self._device, train.augment, self._views)
            y = self._y[places].to(self._device, non_blocking=True)
            loss = F.cross_entropy(self.model(x).float(), y, label_smoothing=train.label_smoothing)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            clip_gradients(self.model, train.grad_clip)
            self.optimizer.step()
            self.ema.update(self.model)
            yield {"loss": loss.detach()}

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "labeled": self._labeled.state_dict(),
            "views": self._views.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._labeled.load_state_dict(state["labeled"])
        self._views.set_state(state["views"])
