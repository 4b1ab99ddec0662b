"""Targets made from predictions, and the losses that use them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def make_targets(logits: Tensor, *, hard: bool, temperature: float) -> tuple[Tensor, Tensor]:
    """Return (targets, confidence) of logits (B, K), both without gradient.

    Targets are classes (B,) int64 when `hard`, else softmax(logits / temperature) (B, K). Confidence (B,) is
    the largest probability of softmax(logits / temperature): a threshold looks at what is used as the target.
    """
    probabilities = torch.softmax(logits.detach().float() / temperature, 1)
    confidence, classes = probabilities.max(1)
    return (classes if hard else probabilities), confidence


def masked_loss(logits: Tensor, targets: Tensor, mask: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of the masked images, divided by the size of the whole batch.

    An empty mask gives 0, half a mask half the loss. Computed in float32.

    Args:
        logits: (B, K).
        targets: (B,) classes or (B, K) probabilities.
        mask: (B,) bool or 0..1.
        smoothing: share of each target spread over all classes.
    """
    losses = F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=smoothing)
    return (losses * mask).sum() / len(losses)


def masked_squares(logits: Tensor, targets: Tensor, mask: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the squared error of the probabilities, Σ_c (softmax(logits)_c − target_c)², in place of `masked_loss`.

    An image's loss is at most 2, however sure a wrong prediction is. Masked and averaged alike.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950, equation 2.
    """
    classes = logits.shape[1]
    wanted = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets  # (B, K)
    smoothed = (1 - smoothing) * wanted + smoothing / classes
    losses = (torch.softmax(logits.float(), 1) - smoothed).square().sum(1)
    return (losses * mask).sum() / len(losses)


def uda_loss(weak: Tensor, strong: Tensor, temperature: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Return (loss, share of images used): the strong view must agree with the sharpened weak view.

    q = softmax(weak / T) without gradient; images with max q >= threshold count (the sharpened q decides);
    the mean is over the whole batch.

    Args:
        weak: (B, K) logits of the weak view.
        strong: (B, K) logits of the strong view.
        temperature: T, below 1 sharpens.
        threshold: 0..1.

    Source: Xie et al., Unsupervised Data Augmentation, arXiv 1904.12848, section 2 and appendix.
    """
    targets, confidence = make_targets(weak, hard=False, temperature=temperature)
    mask = confidence >= threshold
    return masked_loss(strong, targets, mask), mask.float().mean()
