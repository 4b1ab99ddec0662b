"""Meta Pseudo Labels without sampling noise: the derivative of the student's labeled loss, image by image.

Derived here from Pham et al., arXiv 2003.10580, equation 2 (the teacher minimises the loss of the student after its
step). The student takes one plain gradient step on the teacher's distributions q:
    θ' = θ − η ∇_θ L_u,   L_u = −(1/B_u) Σ_i Σ_c q̃_ic log s_ic(θ),   q̃ = (1 − ε) q + ε/K
so that ∂θ'/∂q_ic = +(η/B_u)(1 − ε) ∇_θ log s_ic, and with g = ∇L_l(θ') the chain rule gives
    ∂L_l(θ')/∂q_ic = (η/B_u)(1 − ε) ⟨∇_θ log s_ic(θ), g⟩ = (η/B_u)(1 − ε) JVP_θ(log s_ic; g).
The sign is plus: a class whose probability rises along the *gradient* of the labeled loss does harm as a label. The
teacher's loss gets Σ_i Σ_c q_ic · sg(that). Adding a constant to an image's row changes nothing, as Σ_c q_ic = 1, so
no baseline is needed. Where weights learn at a share of η, as those of a "tuned:" network, g has their share.

It holds for plain gradient descent alone: no momentum, no weight decay in the step's direction, no gradient limit,
targets that are q itself. The student's pass is in training mode and float32, and the derivative repeats it with the
same dropout and normalisation; L_l is in evaluation mode, as h is.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.mpl_terms import Batch, guarded_step, labeled_loss, measured_loss
from engine.nets.precision import exact_products
from engine.training.learner import Learner
from engine.training.optim import clip_gradients, rate_shares


def exact_step(
    student: Learner, batch: Batch, q: Tensor, rate: float, smoothing: float, *, measure: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Train the student one plain gradient step on q; return (credit (U, K), h, its loss), all without gradient.

    credit = ∂L_l(θ')/∂q, see above; h = L_old − L_new. Both are 0 when not measured, and where a gradient was not
    finite, which skips the step.

    Args:
        student: its optimizer must be SGD without momentum and weight decay, at `rate`.
        batch: of this step.
        q: (U, K) targets, rows sum to 1.
        rate: η.
        smoothing: ε.
        measure: False leaves credit and h out.
    """
    model = student.model
    random = _random_state(q.device)
    with torch.autocast(q.device.type, enabled=False), exact_products(q.device):
        logits = model(batch.strong).float()
    loss = F.cross_entropy(logits, q, label_smoothing=smoothing)
    old = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    before = measured_loss(model, batch) if measure else torch.zeros_like(loss)
    student.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    taken = guarded_step(student.optimizer, clip_gradients(model, 0.0))
    if not measure:
        return torch.zeros_like(q), before.detach(), loss.detach()
    after = labeled_loss(model, batch)
    weights, shares = [p for p in model.parameters() if p.requires_grad], rate_shares(student.optimizer)
    with exact_products(q.device):
        gradient = torch.autograd.grad(after, weights, allow_unused=True, materialize_grads=True)
    tangent = [shares[weight] * part for weight, part in zip(weights, gradient, strict=True)]
    moved = derivative(model, batch.strong, old, dict(zip(old, tangent, strict=True)), random)
    credit = rate * (1 - smoothing) / len(q) * moved
    nothing = torch.zeros((), dtype=credit.dtype, device=credit.device)
    return torch.where(taken, credit, nothing), torch.where(taken, before - after.detach(), nothing), loss.detach()


def derivative(
    model: nn.Module, x: Tensor, at: dict[str, Tensor], along: dict[str, Tensor], random: list[Tensor]
) -> Tensor:
    """Return d/dt log softmax(model(x)) (U, K) at the weights `at` + t·`along`, t = 0, with the dropout of `random`.

    The model's buffers and the random generators are as before afterwards.
    """

    def log_probabilities(weights: dict[str, Tensor]) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        logits: Any = torch.func.functional_call(model, (weights, buffers), (x,))
        return torch.log_softmax(logits.float(), 1)

    devices = [x.device] if x.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.autocast(x.device.type, enabled=False),
        exact_products(x.device),
        torch.no_grad(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)  # torch's own, at the first derivative
        torch.set_rng_state(random[0])
        if devices:
            torch.cuda.set_rng_state(random[1], devices[0])
        moved: Tensor = torch.func.jvp(log_probabilities, (at,), (along,))[1]
    return moved.detach()


def _random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that dropout draws from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
