"""Puts a complete round's model to use on images that are not in the project: the test split of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.algorithms import ALGORITHMS, Algorithm
from engine.errors import RoundError
from engine.importers.torchvision_sets import load_set
from engine.records.progress import Progress
from engine.rounds.folder import results
from engine.rounds.folder.plan import read_plan
from engine.rounds.worker import feature_cache, material
from engine.training import checkpoint, device
from engine.training.calibrate import accuracy_interval
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.settings import settings_from


def test_accuracy(folder: Path, dataset: str, root: Path) -> dict[str, Any]:
    """Measure a round's final model on the test split of a torchvision data set.

    Args:
        folder: the round's folder; its report names the final checkpoint.
        dataset: a class of torchvision.datasets with a train and a test split.
        root: where it lies.

    Returns:
        n, correct, accuracy, low, high (Clopper-Pearson, 95 %).

    Raises:
        SourceMissing: the data set is not there.
        ConfigError: it is not known, or has no test split.
        RoundError: the round has no report, or its classes or image size are not those of the data set.
        CheckpointCorrupt: the checkpoint does not match its hash.
    """
    images, names = _test_split(dataset, root)
    plan = read_plan(folder)
    size, channels = plan.spec["size"], plan.spec["channels"]
    frozen = feature_cache.is_frozen(plan.train.get("net", ""))
    if not frozen and images.shape[1:] != (channels, size, size):
        raise RoundError(
            "The test images have another shape than the round was trained at",
            value=f"{tuple(images.shape[1:])} against {(channels, size, size)}",
            way_out=f"Run a round with image_size {images.shape[-1]}.",
        )
    unknown = sorted(set(names) - set(plan.classes))
    if unknown:
        raise RoundError("The test split has classes the round does not know", value=", ".join(unknown[:5]))
    y = torch.tensor([plan.classes.index(name) for name in names])
    logits = _logits(folder, images)
    correct = int((logits.argmax(1) == y).sum())
    low, high = accuracy_interval(correct, len(y))
    return {"n": len(y), "correct": correct, "accuracy": correct / len(y), "low": low, "high": high}


def final_run(folder: Path, where: torch.device, progress: Progress) -> tuple[Algorithm, material.Material]:
    """Return the algorithm of a complete round's result as it was at its end, and what it was trained on.

    Args:
        folder: the round's folder; its report names the final checkpoint.
        where: the device to put it on.
        progress: told while the images are prepared; may raise to stop.

    Raises:
        RoundError: the round has no report, or is a live one, which keeps no model.
        CheckpointCorrupt: the checkpoint does not match its hash.
    """
    plan = read_plan(folder)
    try:
        report = results.read_report(folder)
    except FileNotFoundError as error:
        raise RoundError(
            "The round has no report yet", value=f"round {plan.number}", way_out="Let it finish first."
        ) from error
    if not report.checkpoint.file:
        raise RoundError(
            "A live round keeps no model that other images could be shown to", value=f"round {plan.number}",
            way_out="Train a round with the same algorithm.",
        )  # fmt: skip
    train, spec = settings_from(TrainConfig, plan.train), ALGORITHMS[report.algorithm]
    config = plan.config if report.algorithm == plan.algorithm else {}  # a baseline has the defaults
    data = material.load(folder, plan, where, progress)
    algorithm = spec.build(settings_from(spec.config, config), train, data.pools, where)
    checkpoint.load(folder / report.checkpoint.file, report.checkpoint.sha256, algorithm)
    return algorithm, data


def _logits(folder: Path, images: NDArray[np.uint8]) -> torch.Tensor:
    train = settings_from(TrainConfig, read_plan(folder).train)
    where = device.resolve(train.device)
    device.set_threads(train.threads)
    algorithm, data = final_run(folder, where, _quiet)
    inputs = torch.from_numpy(images)
    if data.pools.vectors:
        inputs = feature_cache.array_features(images, train, where)
    return predict_logits(algorithm.eval_model(), inputs, torch.arange(len(inputs)), where)


def _test_split(dataset: str, root: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the images (N, C, H, W) and class names as the import names them."""
    split = load_set(dataset, root, "test")
    images = split.images[:, None] if split.images.ndim == 3 else split.images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), [split.classes[label] for label in split.labels.tolist()]


def _quiet(label: str, done: int, total: int) -> None:
    """Report progress to nobody."""
