"""A network that learns: its weights, their average, its optimizer; what every algorithm has at least one of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.nets.classifier import Classifier
from engine.nets.ema import Ema
from engine.nets.precision import autocast
from engine.training.compiled import GRAPHS, compiles
from engine.training.config import TrainConfig
from engine.training.feed import steps_per_epoch
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

    Args:
        train: the shared settings.
        pools: the images it learns.
        device: where.
        fixed_shapes: whether all batches are of a few sizes. Code is then compiled for each of them, and on CUDA cuDNN
            tries its ways to convolve a size once and keeps the fastest.
    """

    def __init__(self, train: TrainConfig, pools: Pools, device: torch.device, *, fixed_shapes: bool = True) -> None:
        self._train, self.device = train, device
        self.model: Classifier = new_net(train, pools, device)
        self.ema = Ema(self.model, train.ema_decay)
        self.optimizer = make_optimizer(self.model, train)
        self._compiled: Any = None
        if compiles(train.compile, device, pools.vectors, train.epochs * steps_per_epoch(train, pools)):
            options = GRAPHS if device.type == "cuda" else None
            self._compiled = torch.compile(self.model, options=options, dynamic=False if fixed_shapes else None)
        if device.type == "cuda" and train.compile != "off":
            torch.backends.cudnn.benchmark = fixed_shapes

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (B, K) float32 of raw images or vectors, in the mode the model is in.

        Those of compiled code are a copy: the next pass of a recorded graph writes over its output. What a pass keeps
        for its backward pass stays until that has run: torch records a graph of passes, not of steps.
        """
        with autocast(self._train.precision, self.device):
            logits: Tensor = (self.model if self._compiled is None else self._compiled)(x)
        return logits.to(torch.float32, copy=self._compiled is not None)

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one optimizer step down the loss at this learning rate, then move the average."""
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model, self._train.grad_clip)
        self.optimizer.step()
        self.ema.update(self.model)

    def begin(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with these weights of a network of the same kind, in place of fresh ones; average and optimizer too."""
        self.model.load_state_dict(weights)
        self.ema = Ema(self.model, self._train.ema_decay)

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


@runtime_checkable
class TakesStart(Protocol):
    """What an algorithm offers besides that may begin with what the set says of its images."""

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin, before the first step, with a network that was taught the set's labels.

        Args:
            weights: of a network of the kind that learns here.
            targets: (U, num_classes) on the CPU, what it was taught of the unlabeled images.
        """
        ...
