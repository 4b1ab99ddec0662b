"""Predictions and features of a model over many images, leaving the model exactly as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.nets.classifier import Classifier
from engine.nets.precision import autocast
from engine.training.device import upload
from engine.training.protocol import Algorithm, HasRowPredictions

BATCH = 256
"""Images in one forward pass: on the CPU the largest that stays in its caches."""
BATCH_GPU = 2048
WHOLE_SIDE = 64
"""Of images larger than this square fewer are taken at once, so that a pass needs no more memory."""
LEAST_BATCH = 8
HALF = float(np.finfo(np.float16).max)


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
    model: nn.Module,
    images: Tensor,
    idx: Tensor,
    device: torch.device,
    *,
    batch_size: int | None = None,
    precision: str = "float32",
) -> Tensor:
    """Return the logits (n, K) float32 on the CPU for rows `idx` of `images`; buffers and modes are
    untouched.

    Args:
        model: takes uint8 (B, C, H, W) and returns (B, K).
        images: (N, C, H, W) uint8.
        idx: (n,) int64 rows, in any order.
        device: where the model is.
        batch_size: images in one pass; by default what suits the device.
        precision: of the passes, "auto", "float32" or "bfloat16"; the logits are float32 in any case.
    """
    outputs = []
    with evaluation_mode(model), torch.inference_mode(), autocast(precision, device):
        for rows in chunks(idx, batch_size or batch_for(images, device)):
            outputs.append(model(gather(images, rows, device)).float())
        if not outputs:
            outputs.append(_nothing(model(gather(images, torch.arange(1), device))))
    return torch.cat(outputs).cpu()


def features(
    model: nn.Module, images: Tensor, idx: Tensor, device: torch.device, *, precision: str = "float32"
) -> Tensor:
    """Return the penultimate features (n, D) float32 on the CPU for rows `idx`; the model is untouched."""
    reader = cast(FeatureModel, model)
    outputs = []
    with evaluation_mode(model), torch.inference_mode(), autocast(precision, device):
        for rows in chunks(idx, batch_for(images, device)):
            outputs.append(reader.features(gather(images, rows, device)).float())
        if not outputs:
            outputs.append(_nothing(reader.features(gather(images, torch.arange(1), device))))
    return torch.cat(outputs).cpu()


def predict(
    model: nn.Module,
    images: Tensor,
    idx: Tensor,
    device: torch.device,
    *,
    features_of: Tensor | None = None,
    precision: str = "float32",
) -> Prediction:
    """Return logits of rows `idx` and, from the same pass, features and logits of rows `features_of`.

    Rows of `features_of` that are not among `idx` cost a pass of their own. All are float32, whatever the precision of
    the passes.
    """
    if features_of is None:
        return Prediction(predict_logits(model, images, idx, device, precision=precision), None, None)
    wanted = torch.zeros(len(images), dtype=torch.bool)
    wanted[features_of] = True
    outside = wanted.clone()
    outside[idx] = False
    rest = features_of[outside[features_of]]
    reader, size = cast(FeatureModel, model), batch_for(images, device)
    logits, wanted_rows, wanted_features, wanted_logits = [], [features_of[:0]], [], []
    with evaluation_mode(model), torch.inference_mode(), autocast(precision, device):
        for rows, counted in [(part, part_of is idx) for part_of in (idx, rest) for part in chunks(part_of, size)]:
            batch_features = reader.features(gather(images, rows, device))
            batch_logits = reader.head(batch_features).float().cpu()
            if counted:
                logits.append(batch_logits)
            take = wanted[rows]
            if take.any():
                wanted_rows.append(rows[take])
                wanted_features.append(batch_features[upload(take.nonzero()[:, 0], device)].float().cpu())
                wanted_logits.append(batch_logits[take])
    if not logits:
        logits.append(predict_logits(model, images, idx, device, precision=precision))
    if not wanted_features:
        wanted_features.append(features(model, images, features_of, device, precision=precision))
        wanted_logits.append(predict_logits(model, images, features_of, device, precision=precision))
    place = torch.empty(len(images), dtype=torch.int64)
    place[torch.cat(wanted_rows)] = torch.arange(sum(map(len, wanted_rows)))
    order = place[features_of]
    return Prediction(torch.cat(logits), torch.cat(wanted_features)[order], torch.cat(wanted_logits)[order])


def predict_run(algorithm: Algorithm, images: Tensor, idx: Tensor, *, features_of: Tensor | None = None) -> Prediction:
    """Return what an algorithm says of rows `idx` of the images it was built with, see `predict`.

    By its evaluated model, or by itself where it labels its images as a set.
    """
    if not isinstance(algorithm, HasRowPredictions):
        model = algorithm.eval_model()
        return predict(model, images, idx, next(model.parameters()).device, features_of=features_of)
    logits, _ = algorithm.predict_rows(idx)
    if features_of is None:
        return Prediction(logits, None, None)
    feature_logits, wanted_features = algorithm.predict_rows(features_of)
    return Prediction(logits, wanted_features, feature_logits)


def batch_for(images: Tensor, device: torch.device) -> int:
    """Return how many images one pass takes on the device."""
    most = BATCH if device.type == "cpu" else BATCH_GPU
    pixels = images[0, 0].numel() if images.ndim == 4 and len(images) else 1
    return max(LEAST_BATCH, most * WHOLE_SIDE**2 // max(WHOLE_SIDE**2, pixels))


def predict_all(
    model: nn.Module, images: Tensor, *, most_bytes: int, between: Callable[[], None] = lambda: None
) -> tuple[Tensor, NDArray[np.float16] | None]:
    """Return logits (N, K) float32 and, of the same pass, penultimate features (N, D) float16 of all images.

    Features beyond the range of float16 are cut to it. They are None for a model without any, and where they would take
    more than `most_bytes`. Buffers and modes are untouched.

    Args:
        model: takes uint8 (B, C, H, W), or vectors, and returns (B, K).
        images: (N, ...) as stored.
        most_bytes: the most that all features may take.
        between: called between two passes; may raise to stop.
    """
    device = next(model.parameters()).device
    logits: list[Tensor] = []
    all_features: NDArray[np.float16] | None = None
    with evaluation_mode(model), torch.inference_mode():
        for rows in chunks(torch.arange(len(images)), batch_for(images, device)):
            batch_features, batch_logits = _penultimate(model, gather(images, rows, device))
            logits.append(batch_logits.float().cpu())
            first = int(rows[0])
            if batch_features is not None and first == 0 and 2 * len(images) * batch_features.shape[1] <= most_bytes:
                all_features = np.empty((len(images), batch_features.shape[1]), np.float16)
            if batch_features is not None and all_features is not None:
                all_features[first : first + len(rows)] = half(batch_features)
            between()
    return torch.cat(logits), all_features


def half(features: Tensor) -> NDArray[np.float16]:
    """Return features in float16, those beyond its range cut to it."""
    return features.float().clamp(-HALF, HALF).cpu().numpy().astype(np.float16)


def _penultimate(model: nn.Module, batch: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return what the last layer is given (B, D), None where that can not be said, and the logits (B, K)."""
    if isinstance(model, Classifier) and isinstance(model.head, nn.Identity):  # a linear classifier of vectors
        return model.normalize(batch), model(batch)
    if not hasattr(model, "features") or not hasattr(model, "head"):
        return None, model(batch)
    features = cast(FeatureModel, model).features(batch)
    return features, cast(FeatureModel, model).head(features)


def gather(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Return rows of `images` as a uint8 batch (B, C, H, W) on `device`."""
    return upload(images[upload(rows, images.device)], device)


def chunks(rows: Tensor, size: int) -> Iterator[Tensor]:
    """Yield consecutive parts of `rows`, each of `size` but the last."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _nothing(output: Tensor) -> Tensor:
    return output[:0].float()
