"""What a round says of its images beside its predictions: features, and three signs that an image deserves a look.

Written at the end: features/final.npy and predictions/signals.parquet (image_id, flips, disagreement, teacher, bald).
All of it depends on the finished model, the recorded epochs and the seed alone, so a resumed round writes the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.algorithms import Algorithm
from engine.rounds.folder import results
from engine.rounds.folder.results import RoundSignals
from engine.rounds.worker import failures
from engine.rounds.worker.material import Material
from engine.training import evaluate, uncertainty
from engine.training.protocol import HasRowPredictions, HasTeacher

FEATURE_BYTES = 1_000_000_000
"""Features of all images that would take more are not kept."""
MOST_PASSES_FOR = 10_000
"""Images, at most, that are looked at through several masks."""
AT_ONCE = 8192
UNKNOWN = -1


def predict(algorithm: Algorithm, images: Tensor, check: Callable[[], None]) -> tuple[Tensor, Any, list[str]]:
    """Return logits (N, K) of all images, their features (N, D) float16 or None, and notes on what is left out."""
    if isinstance(algorithm, HasRowPredictions):
        parts = []
        for rows in evaluate.chunks(torch.arange(len(images)), AT_ONCE):
            parts.append(algorithm.predict_rows(rows))
            check()
        row_logits, row_features = (torch.cat(side) for side in zip(*parts, strict=True))
        return row_logits, evaluate.half(row_features), []
    model = algorithm.eval_model()
    logits, features = evaluate.predict_all(model, images, most_bytes=FEATURE_BYTES, between=check)
    if features is not None:
        return logits, features, []
    reason = "they would take more than 1 GB" if hasattr(model, "features") else "the model has none"
    return logits, None, [f"The features of all images are not kept: {reason}."]


def measure(
    folder: Path, algorithm: Algorithm, data: Material, logits: Tensor, seed: int, check: Callable[[], None]
) -> tuple[RoundSignals, list[str]]:
    """Return the signals of a finished run, and notes on what is left out and why.

    Args:
        folder: the round's folder, with its epochs recorded.
        algorithm: trained to its end.
        data: what it was trained on.
        logits: (N, K) of the evaluated model, not calibrated.
        seed: of the masks.
        check: called every second or more often; may raise to stop.
    """
    unlabeled = data.pools.unlabeled_idx
    flips = np.full(len(data.ids), UNKNOWN, np.int16)
    changes = results.flips(folder, data.ids[unlabeled.numpy()], check)
    if changes is not None:
        flips[unlabeled.numpy()] = changes
    disagreement, teacher = _disagreement(algorithm, logits, check)
    bald, notes = _bald(algorithm, data, logits, seed, check)
    unknown = np.full(len(data.ids), np.nan, np.float32)
    return RoundSignals(data.ids, flips, disagreement, teacher, bald, unknown), notes


def counts(signals: RoundSignals) -> dict[str, int]:
    """Return of how many images each signal that may be missing is known, for the report."""
    partial = {"disagreement": signals.disagreement, "bald": signals.bald}
    return {name: int(np.isfinite(values).sum()) for name, values in partial.items()}


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (n,) in nats, 0 to ln 2, of distributions (n, K) each."""
    both = torch.stack([first.double(), second.double()])
    return uncertainty.mutual_information(both)


def _disagreement(
    algorithm: Algorithm, logits: Tensor, check: Callable[[], None]
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Return the divergence of teacher and student (N,) and the teacher's class (N,)."""
    apart = np.full(len(logits), np.nan, np.float32)
    teacher = np.full(len(logits), UNKNOWN, np.int16)
    if not isinstance(algorithm, HasTeacher):
        return apart, teacher
    for rows in evaluate.chunks(torch.arange(len(logits)), AT_ONCE):
        probabilities = algorithm.teacher_probabilities(rows)
        check()
        if probabilities is not None:
            place = rows.numpy()
            apart[place] = divergence(torch.softmax(logits[rows], 1), probabilities).numpy()
            teacher[place] = probabilities.argmax(1).numpy()
    return apart, teacher


def _bald(
    algorithm: Algorithm, data: Material, logits: Tensor, seed: int, check: Callable[[], None]
) -> tuple[NDArray[np.float32], list[str]]:
    """Return the mutual information (N,) of the most doubtful unlabeled images and what is left out."""
    bald = np.full(len(logits), np.nan, np.float32)
    rows = _most_doubtful(logits, data.pools.unlabeled_idx)
    model, images = algorithm.eval_model(), data.pools.images
    try:
        information = uncertainty.mc_dropout(model, images, rows, seed=seed, between=check)
    except (RuntimeError, MemoryError) as error:  # hours of training are not lost for a sign beside them
        if not failures.is_out_of_memory(error):
            raise
        return bald, ["The mutual information is left out: memory ran out."]
    if information is None:
        return bald, ["The mutual information is left out: the model has no dropout."]
    bald[rows.numpy()] = information
    left = len(data.pools.unlabeled_idx) - len(rows)
    note = f"The mutual information is that of the {len(rows):,} unlabeled images of the highest entropy."
    return bald, [note] if left else []


def _most_doubtful(logits: Tensor, unlabeled: Tensor) -> Tensor:
    """Return the rows of the unlabeled images of the highest entropy, ascending."""
    if len(unlabeled) <= MOST_PASSES_FOR:
        return unlabeled
    p = torch.softmax(logits[unlabeled].double(), 1)
    order = torch.argsort(torch.special.xlogy(p, p).sum(1), stable=True)
    return unlabeled[order[:MOST_PASSES_FOR]].sort().values
