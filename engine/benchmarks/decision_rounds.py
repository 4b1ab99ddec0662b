"""The rounds of a replay: a row of settings trained on the labels in force, on one set of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.benchmarks.run import build, run_epoch, train_config
from engine.benchmarks.spec import Row
from engine.training.calibrate import fit_temperature
from engine.training.evaluate import predict
from engine.training.pools import Pools, split_labeled
from engine.training.protocol import Algorithm

CARRIED = ("model", "ema")
"""Parts of an algorithm's state that a warm start takes over; optimizer, feed and thresholds begin anew."""


@dataclass(frozen=True)
class RoundPredictions:
    """What a round predicts of all N images: probabilities (N, K) float32, features (N, D) float32, logits (N, K).

    `heldout` (H,) int64 are the rows that were labeled and not trained on. `state` is handed to the next round.
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    logits: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    heldout: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    temperature: float = 1.0
    state: Mapping[str, Any] = field(default_factory=dict)


class Rounds:
    """Trains rounds on images (N, C, H, W) uint8 of `classes` classes.

    Args:
        images: all images.
        classes: how many classes there are.
        rows: settings of the first round and of the later ones. Of the labels the share `data["heldout"]` is kept
            aside, as the product does, and gives the temperature; 0 trains on all of them, at temperature 1.
        device: where to train.
        seed: of everything that is drawn.
        warm_start: later rounds start from the weights of the round before.
    """

    def __init__(
        self, images: Tensor, classes: int, rows: tuple[Row, Row], device: torch.device, seed: int,
        *, warm_start: bool = False,
    ) -> None:  # fmt: skip
        self._images, self._classes, self._rows = images, classes, rows
        self._device, self._seed, self._warm_start = device, seed, warm_start

    def train(
        self, rows: NDArray[np.int64], y: NDArray[np.int64], number: int, state: Mapping[str, Any]
    ) -> RoundPredictions:
        """Train round `number` (from 0) on the labels y of `rows`, then return what it predicts of all images.

        Raises:
            TrainingDiverged: the loss is no longer a finite number.
        """
        row = self._rows[number > 0]
        pools = self._pools(rows, y, float(row.data.get("heldout", 0.0)))
        algorithm = build(row, train_config(row, self._seed * 1000 + number, self._device), pools, self._device)
        if self._warm_start and state:
            algorithm.load_state_dict({**algorithm.state_dict(), **state})
        for epoch in range(algorithm.epochs):
            run_epoch(algorithm, epoch)
        return self._predict(algorithm, pools)

    def _pools(self, rows: NDArray[np.int64], y: NDArray[np.int64], fraction: float) -> Pools:
        """Return pools of these labels; all other images are unlabeled."""
        train, held = split_labeled(rows, y, fraction, self._seed)
        class_of = np.full(len(self._images), -1)
        class_of[rows] = y
        rest = np.flatnonzero(class_of < 0)
        train_idx, train_y, heldout_idx, heldout_y, unlabeled = (
            torch.from_numpy(part) for part in (train, class_of[train], held, class_of[held], rest)
        )
        return Pools(self._images, train_idx, train_y, heldout_idx, heldout_y, unlabeled, self._classes)

    def _predict(self, algorithm: Algorithm, pools: Pools) -> RoundPredictions:
        everything = torch.arange(len(self._images))
        seen = predict(algorithm.eval_model(), self._images, everything, self._device, features_of=everything)
        temperature = fit_temperature(seen.logits[pools.heldout_idx], pools.heldout_y)
        state = algorithm.state_dict()
        assert seen.features is not None
        return RoundPredictions(
            torch.softmax(seen.logits / temperature, 1).numpy(),
            seen.features.numpy(),
            seen.logits,
            pools.heldout_idx.numpy(),
            temperature,
            {part: state[part] for part in CARRIED if part in state},
        )
