"""A complete round's held-out images: what was predicted of them, and what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from engine.errors import RoundError
from engine.rounds.folder import files, results
from engine.training import calibrate

FOLDS = 5


def ids(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids (H,) ascending of the held-out images and their classes (H,) in the round's order.

    Raises:
        RoundError: the round was not planned.
    """
    path = folder / files.LABELS
    if not path.is_file():
        raise RoundError("This round has no split yet", value=folder.name, way_out="Choose another round.")
    frame = pd.read_parquet(path, columns=["image_id", "role", "label"]).sort_values("image_id")
    held = frame[frame["role"] == "heldout"]
    return held["image_id"].to_numpy(np.int64), held["label"].to_numpy(np.int64)


def drawn(folder: Path) -> NDArray[np.int64]:
    """Return ids (M,) of the labeled images of a planned round that chance put up; of an earlier version's, none."""
    frame = pd.read_parquet(folder / files.LABELS)
    if "drawn" not in frame:
        return np.empty(0, np.int64)
    ids: NDArray[np.int64] = frame.loc[frame["drawn"].to_numpy(bool), "image_id"].to_numpy(np.int64)
    return ids


def rows(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the calibrated probabilities (H, K) of the held-out images and their classes (H,).

    Raises:
        RoundError: the round is not complete.
    """
    predictions = results.final_predictions(folder)
    held, labels = ids(folder)
    return predictions.probabilities[np.searchsorted(predictions.image_ids, held)], labels


def temperature(folder: Path) -> float:
    """Return the temperature that a complete round's predictions were divided by."""
    return results.read_report(folder).calibration.temperature


def cross_fitted(raw: NDArray[np.floating], labels: NDArray[np.int64]) -> tuple[NDArray[np.floating], str]:
    """Return probabilities (H, K) calibrated without the label they are judged by, and in words how.

    Each fifth of the labels is calibrated by the temperature fitted to the other four; with fewer than ten labels each
    one by all others.

    Args:
        raw: (H, K) before calibration, rows sum to 1.
        labels: (H,) classes.
    """
    n = len(labels)
    folds = FOLDS if n >= 2 * FOLDS else max(2, n)
    if n < 2:
        return raw, "too few held-out labels to calibrate"
    logits = torch.from_numpy(np.log(np.maximum(raw, 1e-30)))
    known = torch.from_numpy(labels.copy())
    fold = np.random.default_rng(0).permutation(n) % folds
    calibrated = np.empty_like(raw)
    for one in range(folds):
        inside = torch.from_numpy(fold == one)
        t = calibrate.fit_temperature(logits[~inside], known[~inside])
        calibrated[fold == one] = torch.softmax(logits[inside] / t, 1).numpy()
    return calibrated, f"calibrated on the other {folds - 1} of {folds} parts of the held-out labels"
