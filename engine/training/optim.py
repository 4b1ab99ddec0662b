"""The optimizer and schedule that all algorithms share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.training.config import TrainConfig


def make_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or Adam; weight decay spares biases and normalisation.

    Adam's β₁ is the momentum, its β₂ 0.999. Its weight decay acts on the weights, not through the gradient's moments
    (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": train.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
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
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradients down to a joint norm of `limit`, 0 leaving them; return the norm before, on the device."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf, foreach=True)
