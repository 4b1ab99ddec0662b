"""How much a network's answers vary with its dropout: mutual information of prediction and weights, by MC dropout.

A network trained with dropout stands for many networks, one a mask. Where these agree that an image is doubtful,
another label teaches little; where each is sure of something else, a label decides between them.

Sources: Houlsby et al., Bayesian Active Learning for Classification and Preference Learning, arXiv 1112.5745, eq. 2;
Gal, Islam and Ghahramani, Deep Bayesian Active Learning with Image Data, arXiv 1703.02910, eq. 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from engine.nets.classifier import Classifier
from engine.training.evaluate import batch_for, chunks, evaluation_mode, gather

PASSES = 10
"""Masks that are drawn for each image."""


def mutual_information(probabilities: Tensor) -> Tensor:
    """Return H[mean over T of p] - mean over T of H[p] in nats (n,), from 0 to ln of the smaller of T and K.

    Args:
        probabilities: (T, n, K), rows sum to 1.
    """
    information = _entropy(probabilities.mean(0)) - _entropy(probabilities).mean(0)
    return information.clamp(min=0.0)


def dropout_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers of the network that drop something when they train."""
    return [module for module in model.modules() if isinstance(module, _DropoutNd) and module.p > 0]


def mc_dropout(
    model: nn.Module,
    images: Tensor,
    rows: Tensor,
    *,
    passes: int = PASSES,
    seed: int = 0,
    between: Callable[[], None] = lambda: None,
) -> NDArray[np.float32] | None:
    """Return the mutual information (n,) in nats of rows (n,) by `passes` masks; None for a network without dropout.

    Only dropout is active: normalisation keeps its statistics. Weights, buffers, modes and random streams stay as they
    were. Where dropout comes after the penultimate features alone, these are computed once.

    Args:
        model: returns logits (B, K).
        images: (N, ...) as stored.
        rows: (n,) int64.
        passes: masks an image.
        seed: of the masks; the same gives the same result on the CPU.
        between: called between two passes; may raise to stop.
    """
    layers = dropout_layers(model)
    if not layers:
        return None
    device = next(model.parameters()).device
    parts = [np.empty(0, np.float32)]
    with evaluation_mode(model), own_random(seed, device), torch.inference_mode():
        for layer in layers:
            layer.training = True
        for part in chunks(rows, batch_for(images, device)):
            answer = _answer(model, layers, gather(images, part, device))
            answers = []
            for _ in range(passes):
                answers.append(torch.softmax(answer().cpu().double(), -1))
                between()
            parts.append(mutual_information(torch.stack(answers)).float().numpy())
    return np.concatenate(parts)


@contextmanager
def own_random(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators for the block, then put them back to where they were."""
    cuda = range(torch.cuda.device_count()) if device.type == "cuda" else ()
    metal = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=list(cuda)):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            if metal is not None:
                torch.mps.set_rng_state(metal)


def _answer(model: nn.Module, layers: list[nn.Module], batch: Tensor) -> Callable[[], Tensor]:
    """Return what gives the logits (B, K) of a batch under a fresh mask at each call."""
    if isinstance(model, Classifier) and layers == [model.dropout]:
        features = model.features(batch)
        head, dropout = model.head, model.dropout
        return lambda: head(dropout(features)).float()
    return lambda: model(batch).float()


def _entropy(probabilities: Tensor) -> Tensor:
    terms: Tensor = torch.special.xlogy(probabilities, probabilities)
    return -terms.sum(-1)
