"""The terms of Meta Pseudo Labels, each a function: sampling ŷ, the student's step and h, the teacher's loss.

Source and notation: `engine.algorithms.meta_pseudo_labels`, whose header numbers the parts of one step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import uda_loss
from engine.nets.precision import exact_products
from engine.training.evaluate import evaluation_mode
from engine.training.optim import clip_gradients
from engine.training.protocol import Metrics

WIDTH = 64
"""Hidden units of the calibrator."""
LEAST = 1e-6
"""Probabilities below this enter the calibrator as this."""


class Pupil(Protocol):
    """What takes a student's step: a network with its optimizer, as `engine.training.learner.Learner` has them."""

    @property
    def model(self) -> nn.Module:
        """Return the network, in training mode."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Return its optimizer."""
        ...

    def logits(self, x: Tensor) -> Tensor:
        """Return logits (B, K) float32 with their graph."""
        ...


@dataclass(frozen=True)
class Batch:
    """labeled (B, ...) with y (B,); weak and strong views (U, ...) of the same unlabeled images or vectors."""

    labeled: Tensor
    y: Tensor
    weak: Tensor
    strong: Tensor


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
            if group["momentum"] and parameter.grad is not None:
                state = optimizer.state[parameter]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
    optimizer.found_inf = (~finite).to(torch.float32).view(1)  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]
    return finite


@dataclass(frozen=True)
class StudentTerms:
    """How the student takes a step: smoothing of its targets, gradient limit, and whether h is measured."""

    label_smoothing: float
    grad_clip: float
    measure: bool = True


def student_step(student: Pupil, batch: Batch, labels: Tensor, terms: StudentTerms) -> tuple[Tensor, Tensor]:
    """Train the student one step on the labels ŷ (U,); return (h, its loss), both without gradient.

    h = L_old − L_new, 0 when not measured. The training pass comes first, so that both measurements see the
    normalisation statistics it leaves. A step with a non-finite gradient is skipped, then h is 0.
    """
    logits = student.logits(batch.strong)
    loss = F.cross_entropy(logits, labels, label_smoothing=terms.label_smoothing)
    before = measured_loss(student.model, batch) if terms.measure else torch.zeros_like(loss)
    student.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    taken = guarded_step(student.optimizer, clip_gradients(student.model, terms.grad_clip))
    after = measured_loss(student.model, batch) if terms.measure else before
    return torch.where(taken, before - after, 0.0).detach(), loss.detach()


class Baseline:
    """Running mean b of h, starting at 0."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.value = torch.zeros(())

    def advantage(self, h: Tensor) -> Tensor:
        """Return h − b with the b of the steps before, then take h into b."""
        self.value = self.value.to(h.device)
        result = h - self.value
        self.value = self._decay * self.value + (1 - self._decay) * h
        return result


Feedback = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Given the logits (U, K), with graph, of what labels for the student: trains the student, and returns the feedback
term of the labeler's loss (with graph) and the student's loss."""


def sampled_feedback(
    draw: Callable[[Tensor], Tensor], learn: Callable[[Tensor], tuple[Tensor, Tensor]], temperature: float = 1.0
) -> Feedback:
    """Return the feedback (h − b)·CE(ŷ, z / T): one number for all images of the batch, unbiased for sampled ŷ.

    Args:
        draw: given probabilities (U, K) returns ŷ (U,); called once.
        learn: given ŷ trains the student and returns (h − b, the student's loss).
        temperature: T of the distribution softmax(z / T) that ŷ is drawn from.
    """

    def feedback(logits: Tensor) -> tuple[Tensor, Tensor]:
        scaled = logits / temperature
        labels = draw(torch.softmax(scaled.detach(), 1))
        advantage, loss = learn(labels)
        return advantage * F.cross_entropy(scaled, labels), loss

    return feedback


def credited_feedback(learn: Callable[[Tensor], tuple[Tensor, Tensor]], temperature: float = 1.0) -> Feedback:
    """Return the feedback Σ_i Σ_c q_ic · credit_ic: each image's own share in the student's improvement.

    Args:
        learn: given q (U, K), the student's targets, trains it and returns (credit (U, K), the student's loss).
        temperature: T of q = softmax(z / T).
    """

    def feedback(logits: Tensor) -> tuple[Tensor, Tensor]:
        q = torch.softmax(logits / temperature, 1)
        credit, loss = learn(q.detach())
        return (q * credit).sum(), loss

    return feedback


def teacher_logits(logits: Callable[[Tensor], Tensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the teacher's logits on (labeled, weak, strong) from one pass, float32, with their graph."""
    views = torch.cat([batch.labeled.float(), batch.weak.float(), batch.strong.float()])
    labeled, weak, strong = torch.split(logits(views), [len(batch.labeled), len(batch.weak), len(batch.strong)])
    return labeled, weak, strong


@dataclass(frozen=True)
class TeacherTerms:
    """What the teacher's loss needs of the settings at one step."""

    label_smoothing: float
    uda_weight: float
    temperature: float
    threshold: float


def meta_step(
    logits: Callable[[Tensor], Tensor], batch: Batch, terms: TeacherTerms, feedback: Feedback | None
) -> tuple[Tensor, Metrics]:
    """Return the teacher's loss with its graph, and the metrics; the student has learned when this returns.

    Args:
        logits: of the teacher, with graph; its gradients are not touched here.
        batch: of this step.
        terms: weights of the teacher's loss.
        feedback: trains the student; None leaves student and feedback out.
    """
    labeled, weak, strong = teacher_logits(logits, batch)
    student_loss = returned = labeled.new_zeros(())
    if feedback is not None:
        returned, student_loss = feedback(strong)
    supervised = F.cross_entropy(labeled, batch.y, label_smoothing=terms.label_smoothing)
    consistency, used = uda_loss(weak, strong, terms.temperature, terms.threshold)
    loss = supervised + terms.uda_weight * consistency + returned
    metrics: Metrics = {
        "loss": loss.detach() + student_loss,
        "student_loss": student_loss,
        "teacher_loss": loss.detach(),
        "labeled_loss": supervised.detach(),
        "unlabeled_loss": consistency.detach(),
        "lambda": terms.uda_weight,
        "used_share": used,
    }
    return loss, metrics


def without_feedback(config: Any) -> Any:
    """Return the settings of the run with h = 0 to compare with; None when no comparison is asked for.

    Args:
        config: settings with `compare` and `ablate`.
    """
    if not config.compare or config.ablate:
        return None
    return dataclasses.replace(config, ablate=True, compare=False)


class Calibrator(nn.Module):
    """A distribution in, the logits of a calibrated one out: log q + MLP(log q), at first log q itself."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(classes, WIDTH)
        self.out = nn.Linear(WIDTH, classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, q: Tensor) -> Tensor:
        """Return logits (n, K) of distributions (n, K)."""
        logs = q.clamp_min(LEAST).log()
        return cast(Tensor, logs + self.out(torch.relu(self.hidden(logs))))
