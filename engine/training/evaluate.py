"""Predictions and features of a model over many images, leaving the model exactly as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

BATCH = 256
"""Images in one forward pass: on the CPU the largest that stays in its caches."""
BATCH_GPU = 2048
WHOLE_SIDE = 64
"""Of images larger than this square fewer are taken at once, so that a pass needs no more memory."""
LEAST_BATCH = 8


class FeatureModel(Protocol):
    """A model whose penultimate features can be read, and turned into logits by `head`."""

    head: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features (B, D) of uint8 images (B, C, H, W)."""
        ...


@dataclass(frozen=True)
class Prediction:
    """logits (n, K) and, of the images asked for besides, features (m, D) and their logits (m, K), or None.

    float32 on the CPU.
    """

    logits: Tensor
    features: Tensor | None
    feature_logits: Tensor | None


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Hold every module of the model in evaluation mode, then put each back to the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def predict_logits(
    model: nn.Module, images: Tensor, idx: Tensor, device: torch.device, *, batch_size: int | None = None
) -> Tensor:
    """Return the logits (n, K) float32 on the CPU for rows `idx` of `images`; buffers and modes are
    untouched.

    Args:
        model: takes uint8 (B, C, H, W) and returns (B, K).
        images: (N, C, H, W) uint8.
        idx: (n,) int64 rows, in any order.
        device: where the model is.
        batch_size: images in one pass; by default what suits the device.
    """
    outputs = []
    with evaluation_mode(model), torch.inference_mode():
        for rows in chunks(idx, batch_size or _batch(images, device)):
            outputs.append(model(gather(images, rows, device)).float())
        if not outputs:
            outputs.append(_nothing(model(gather(images, torch.arange(1), device))))
    return torch.cat(outputs).cpu()


def features(model: nn.Module, images: Tensor, idx: Tensor, device: torch.device) -> Tensor:
    """Return the penultimate features (n, D) float32 on the CPU for rows `idx`; the model is untouched."""
    reader = cast(FeatureModel, model)
    outputs = []
    with evaluation_mode(model), torch.inference_mode():
        for rows in chunks(idx, _batch(images, device)):
            outputs.append(reader.features(gather(images, rows, device)).float())
        if not outputs:
            outputs.append(_nothing(reader.features(gather(images, torch.arange(1), device))))
    return torch.cat(outputs).cpu()


def predict(
    model: nn.Module, images: Tensor, idx: Tensor, device: torch.device, *, features_of: Tensor | None = None
) -> Prediction:
    """Return logits of rows `idx` and, from the same pass, features and logits of rows `features_of`.

    Rows of `features_of` that are not among `idx` cost a pass of their own.
    """
    if features_of is None:
        return Prediction(predict_logits(model, images, idx, device), None, None)
    wanted = torch.zeros(len(images), dtype=torch.bool)
    wanted[features_of] = True
    outside = wanted.clone()
    outside[idx] = False
    rest = features_of[outside[features_of]]
    reader, size = cast(FeatureModel, model), _batch(images, device)
    logits, kept_rows, kept, kept_logits = [], [features_of[:0]], [], []
    with evaluation_mode(model), torch.inference_mode():
        for rows, counted in [(part, part_of is idx) for part_of in (idx, rest) for part in chunks(part_of, size)]:
            found = reader.features(gather(images, rows, device))
            said = reader.head(found).float().cpu()
            if counted:
                logits.append(said)
            take = wanted[rows]
            if take.any():
                kept_rows.append(rows[take])
                kept.append(found[take.to(device)].float().cpu())
                kept_logits.append(said[take])
    if not logits:
        logits.append(predict_logits(model, images, idx, device))
    if not kept:
        kept.append(features(model, images, features_of, device))
        kept_logits.append(predict_logits(model, images, features_of, device))
    place = torch.empty(len(images), dtype=torch.int64)
    place[torch.cat(kept_rows)] = torch.arange(sum(map(len, kept_rows)))
    order = place[features_of]
    return Prediction(torch.cat(logits), torch.cat(kept)[order], torch.cat(kept_logits)[order])


def gather(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Return rows of `images` as a uint8 batch (B, C, H, W) on `device`."""
    return images[rows.to(images.device)].to(device, non_blocking=True)


def chunks(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Yield consecutive parts of `rows`, each of `size` but the last."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _batch(images: Tensor, device: torch.device) -> int:
    most = BATCH if device.type == "cpu" else BATCH_GPU
    pixels = images[0, 0].numel() if images.ndim == 4 and len(images) else 1
    return max(LEAST_BATCH, most * WHOLE_SIDE**2 // max(WHOLE_SIDE**2, pixels))


def _nothing(output: Tensor) -> Tensor:
    return output[:0].float()
