"""Honest numbers from few held-out images: temperature scaling, calibration error, accuracy interval."""

from __future__ import annotations

import math

import torch
from scipy.stats import beta  # type: ignore[import-untyped]
from torch import Tensor

GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(logits: Tensor, y: Tensor) -> float:
    """Return the temperature T > 0 that makes softmax(logits / T) fit the labels best; 1.0 without labels.

    Minimises sum of negative log-likelihood + (log T)^2 / 2: the second term, a standard normal prior on log T,
    keeps a handful of all-correct labels from driving T to 0 and fades as labels grow.

    Args:
        logits: (n, K), uncalibrated.
        y: (n,) int64.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2 (there without the prior).
    """
    if not len(y):
        return 1.0
    z = logits.double()

    def cost(log_t: float) -> float:
        nll = torch.nn.functional.cross_entropy(z / math.exp(log_t), y, reduction="sum")
        return float(nll) + log_t**2 / 2

    low, high = -4.0, 4.0
    while high - low > 1e-6:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def ece(probs: Tensor, y: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error in 0..1 over equal-width confidence bins; 0.0 without labels.

    The mean over images of |accuracy - mean confidence| of the bin the image falls in.

    Args:
        probs: (n, K), rows sum to 1.
        y: (n,) int64.
        bins: number of bins; bin b holds confidences in (b/bins, (b+1)/bins].

    Source: Guo et al. 2017, eq. 3.
    """
    if not len(y):
        return 0.0
    confidence, chosen = probs.double().max(1)
    correct = (chosen == y).double()
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64).index_add(0, place, correct - confidence)
    return float(gap.abs().sum() / len(y))


def accuracy_interval(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval of an accuracy of `correct` out of `n`; (0, 1) for n = 0.

    Source: Clopper and Pearson 1934, by the beta quantiles.
    """
    if n == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if correct == 0 else float(beta.ppf(tail, correct, n - correct + 1))
    high = 1.0 if correct == n else float(beta.ppf(1 - tail, correct + 1, n - correct))
    return low, high
