"""What Meta Pseudo Labels and Reduced Meta Pseudo Labels share: the teacher's logits, drawing ŷ, the student's step
with h, the mean of h, and how loud the feedback is.

Source and notation: `engine.algorithms.meta_pseudo_labels`, whose header numbers the parts of one step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets.precision import exact_products
from engine.training.evaluate import evaluation_mode
from engine.training.learner import Learner
from engine.training.optim import clip_gradients

LEAST_NORM = 1e-12
"""Least norm of a gradient that another is divided by."""


@dataclass(frozen=True)
class Batch:
    """labeled (B, ...) with y (B,); weak and strong views (U, ...) of the same unlabeled images or vectors."""

    labeled: Tensor
    y: Tensor
    weak: Tensor
    strong: Tensor


def teacher_logits(teacher: Learner, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the teacher's logits on (labeled (B, K), weak (U, K), strong (U, K)); the weak ones have no graph.

    Labeled and strong go through one pass in the teacher's mode, with their graph. Nothing learns through the weak
    views, so theirs is a pass of its own without gradient, in evaluation mode as in `engine.algorithms.uda`: it drops
    nothing, and the normalisation statistics are those of the labeled and strong views alone.
    """
    with evaluation_mode(teacher.model), torch.no_grad():
        weak = teacher.logits(batch.weak)
    labeled_and_strong = teacher.logits(torch.cat([batch.labeled.float(), batch.strong.float()]))  # (B + U, K)
    labeled, strong = torch.split(labeled_and_strong, [len(batch.labeled), len(batch.strong)])
    return labeled, weak, strong


def gradient_ratio(term: Tensor, rest: Tensor, logits: tuple[Tensor, ...]) -> Tensor:
    """Return the norm of the gradient of `term` over that of `rest` (), both in the logits; their graphs are kept.

    In the logits and not in the weights: no pass through the network is needed. Nothing waits for the device.

    Args:
        term: a loss ().
        rest: another loss ().
        logits: what both are made of; a loss need not depend on each.
    """
    norms: list[Tensor] = []
    for loss in (term, rest):
        parts = torch.autograd.grad(loss, logits, retain_graph=True, allow_unused=True, materialize_grads=True)
        norms.append(torch.cat([part.flatten() for part in parts]).norm())
    ratio: Tensor = norms[0] / norms[1].clamp_min(LEAST_NORM)
    return ratio


def sample_labels(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return a class (U,) int64 drawn from each row of probabilities (U, K) by its number (U,) in 0..1."""
    edges = probabilities.detach().cumsum(1)
    edges = edges / edges[:, -1:]
    return (uniform[:, None] >= edges).sum(1).clamp_(max=probabilities.shape[1] - 1)


def labeled_loss(student: nn.Module, batch: Batch) -> Tensor:
    """Return the student's CE on the labeled batch: float32, evaluation mode, nothing moved.

    It has a graph where gradients are on; `measured_loss` is the same without.
    """
    device = batch.y.device
    with evaluation_mode(student), torch.autocast(device.type, enabled=False), exact_products(device):
        return F.cross_entropy(student(batch.labeled).float(), batch.y)


@torch.no_grad()
def measured_loss(student: nn.Module, batch: Batch) -> Tensor:
    """Return `labeled_loss` without gradient."""
    return labeled_loss(student, batch)


def guarded_step(optimizer: torch.optim.Optimizer, norm: Tensor) -> Tensor:
    """Take the optimizer's step if the gradients' norm is finite, else leave weights and momentum as they are.

    Returns whether the step was taken, a bool () on the device. A fused optimizer (as on CUDA) decides on the device,
    in its own kernel, so that nothing waits; others are asked on the host.

    Momentum that does not exist yet is made as zeros first: the fused kernel would leave it unset where it skips
    the first step. From zeros, the first step that is taken equals an ordinary first one.
    """
    finite = torch.isfinite(norm)
    if not optimizer.param_groups[0].get("fused"):
        if bool(finite):
            optimizer.step()
        return finite
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if group.get("momentum") and parameter.grad is not None:
                state = optimizer.state[parameter]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
    optimizer.found_inf = (~finite).to(torch.float32).view(1)  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]
    return finite


def student_step(
    student: Learner, batch: Batch, labels: Tensor, smoothing: float, grad_clip: float, *, measure: bool = True
) -> tuple[Tensor, Tensor]:
    """Train the student one step on the labels ŷ (U,); return (h, its loss), both without gradient.

    h = L_old − L_new. The training pass comes first, so that both measurements see the normalisation statistics it
    leaves. A step with a non-finite gradient is skipped, then h is 0.

    Args:
        student: takes the step, at its optimizer's rate.
        batch: of this step.
        labels: (U,) ŷ, the targets of the strong views.
        smoothing: share of each target spread over all classes.
        grad_clip: limit of the gradients' norm, 0 for none.
        measure: False leaves the measurements out; h is 0.
    """
    logits = student.logits(batch.strong)  # (U, K)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    before = measured_loss(student.model, batch) if measure else torch.zeros_like(loss)
    student.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    taken = guarded_step(student.optimizer, clip_gradients(student.model, grad_clip))
    after = measured_loss(student.model, batch) if measure else before
    return torch.where(taken, before - after, 0.0).detach(), loss.detach()


class Baseline:
    """Running mean b of h, starting at 0."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.value = torch.zeros(())

    def advantage(self, h: Tensor) -> Tensor:
        """Return h − b with the b of the steps before, then take h into b."""
        self.value = self.value.to(h.device)
        advantage = h - self.value
        self.value = self._decay * self.value + (1 - self._decay) * h
        return advantage


def without_feedback(config: Any) -> Any:
    """Return the settings of the run with h = 0 to compare with; None when no comparison is asked for.

    Args:
        config: settings with `compare` and `ablate`.
    """
    if not config.compare or config.ablate:
        return None
    return dataclasses.replace(config, ablate=True, compare=False)
