"""The optimizer and schedule that all algorithms share."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from engine.nets.tuned import RATE_SHARE, TunedTrunk
from engine.training.config import TrainConfig

SHARE = "rate_share"
"""Of a parameter group: its learning rate as a share of the run's; 1 where it has none."""


def make_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or Adam; weight decay spares biases and normalisation.

    The pretrained weights of a "tuned:" network learn at a tenth of the rate, in groups of their own.
    Adam's β₁ is the momentum, its β₂ 0.999. Its weight decay acts on the weights, not through the gradient's moments
    (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tuned = {p for module in model.modules() if isinstance(module, TunedTrunk) for p in module.parameters()}
    slow = {"lr": RATE_SHARE * train.learning_rate, SHARE: RATE_SHARE}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if (p.ndim > 1, p in tuned) == (decays, pretrained)]}
        | {"weight_decay": train.weight_decay if decays else 0.0}
        | (slow if pretrained else {})
        for pretrained in (False, True)
        for decays in (True, False)
    ]
    used = [group for group in groups if group["params"]]
    if train.optimizer == "adam":
        return torch.optim.AdamW(used, lr=train.learning_rate, betas=(train.momentum, 0.999), **_kind(parameters))
    return torch.optim.SGD(
        used,
        lr=train.learning_rate,
        momentum=train.momentum,
        nesterov=train.momentum > 0,
        **_kind(parameters),
    )


def _kind(parameters: list[nn.Parameter]) -> dict[str, bool]:
    """Return the fastest kind of step: one fused kernel on a GPU, grouped operations elsewhere."""
    return {"fused": True} if all(p.is_cuda for p in parameters) else {"foreach": True}


def cosine(step: int, total: int) -> float:
    """Return the factor of the learning rate at `step` of `total`: 1 at the start, 0 at the end."""
    return 0.5 * (1 + math.cos(math.pi * min(step, total) / max(total, 1)))


def wait_warm_cosine(step: int, total: int, wait: int, warm_up: int) -> float:
    """Return the learning-rate factor: 0 for `wait` steps, then a line up over `warm_up` steps, then a
    cosine to 0.

    Continuous but for the cosine's start: the warm-up counts from the end of the wait, so it begins at 0
    (factor 1/warm_up at the first step that trains), never in its middle.
    """
    if step < wait:
        return 0.0
    step, total = step - wait, total - wait
    if step < warm_up:
        return (step + 1) / warm_up
    return cosine(step - warm_up, total - warm_up)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group, of those that learn at a share of it that share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SHARE, 1.0)


def rate_shares(optimizer: torch.optim.Optimizer) -> dict[Tensor, float]:
    """Return at which share of the run's rate each parameter learns."""
    return {p: group.get(SHARE, 1.0) for group in optimizer.param_groups for p in group["params"]}


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradients down to a joint norm of `limit`, 0 leaving them; return the norm before, on the device."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf, foreach=True)
