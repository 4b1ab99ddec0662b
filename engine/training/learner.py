"""A network that learns: its weights, their average, its optimizer; what every algorithm has at least one of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.nets.classifier import Classifier
from engine.nets.ema import Ema
from engine.nets.precision import autocast
from engine.training.config import TrainConfig
from engine.training.optim import clip_gradients, make_optimizer, set_rate
from engine.training.pools import Pools
from engine.training.start import new_net

KINDS = ("fused", "foreach")


class Learner:
    """A fresh network on the device with its average and optimizer.

    Attributes:
        model: in training mode; float32 weights.
        ema: the averaged copy that is evaluated.
        optimizer: SGD or Adam, as all algorithms share it.
    """

    def __init__(self, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        self._train, self.device = train, device
        self.model: Classifier = new_net(train, pools, device)
        self.ema = Ema(self.model, train.ema_decay)
        self.optimizer = make_optimizer(self.model, train)
        self._compiled: Any = torch.compile(self.model) if train.compile == "on" else None

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (B, K) float32 of raw images or vectors, in the mode the model is in."""
        forward = self.model if self._compiled is None else self._compiled
        with autocast(self._train.precision, self.device):
            logits: Tensor = forward(x)
        return logits.float()

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one optimizer step down the loss at this learning rate, then move the average."""
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model, self._train.grad_clip)
        self.optimizer.step()
        self.ema.update(self.model)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, average and optimizer."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back; further entries of `state` are not looked at."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        kinds = [{name: group[name] for name in KINDS} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, kind in zip(self.optimizer.param_groups, kinds, strict=True):
            group.update(kind)  # how a step is computed belongs to this device, not to the one that stored the state
