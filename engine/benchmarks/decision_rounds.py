"""The rounds of a replay: a row of settings, or the model that labels a set as a whole, on the labels in force."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.algorithms.taught_network import cross_fitted, teaching
from engine.algorithms.transductive import TransductiveConfig, default_votes, described, one_thread
from engine.benchmarks.run import build, run_epoch, train_config
from engine.benchmarks.spec import Row
from engine.live.model import ImageSet, Labeled, cautious_temperature, fitted
from engine.training.calibrate import fit_temperature
from engine.training.evaluate import predict_run
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
        pools = pools_with(self._images, self._classes, rows, y, float(row.data.get("heldout", 0.0)), self._seed)
        algorithm = build(row, train_config(row, self._seed * 1000 + number, self._device), pools, self._device)
        if self._warm_start and state:
            algorithm.load_state_dict({**algorithm.state_dict(), **state})
        for epoch in range(algorithm.epochs):
            run_epoch(algorithm, epoch)
        return self._predict(algorithm, pools)

    def _predict(self, algorithm: Algorithm, pools: Pools) -> RoundPredictions:
        everything = torch.arange(len(self._images))
        seen = predict_run(algorithm, self._images, everything, features_of=everything)
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


class SetRounds:
    """Labels images (N, C, H, W) uint8 or vectors as a set, anew with every batch of answers.

    Args:
        images: all images.
        classes: how many classes there are; each has a label from the first round on.
        row: settings of the transductive model, `train` those of its network.
        device: where the network is trained.
        seed: of everything that is drawn.
        network_in: rounds, from 0, in which two networks are trained on all labels the model gives, cross-fitted:
            an image's own label has no part in what they say of it. The mean of the log-probabilities of
            all rounds' networks is joined with the model's.
    """

    def __init__(
        self, images: Tensor, classes: int, row: Row, device: torch.device, seed: int, *, network_in: Collection[int]
    ) -> None:
        self._images, self._classes, self._row = images, classes, row
        self._device, self._seed, self._network_in = device, seed, network_in
        self._config = TransductiveConfig(**row.config)
        with one_thread():
            self._set = ImageSet.of(described(images), seed, torch.get_num_threads())

    def train(
        self, rows: NDArray[np.int64], y: NDArray[np.int64], number: int, state: Mapping[str, Any]
    ) -> RoundPredictions:
        """Fit round `number` (from 0) to the labels y of `rows`; `state` holds what networks said so far."""
        config, labeled = self._config, Labeled(rows, y, np.zeros(self._classes, np.int64))
        votes = config.votes or default_votes(self._images, str(self._row.train.get("net", "")))
        with one_thread():
            _, logits = fitted(self._set, labeled, config.strength, config.rounds, votes)
        model = torch.from_numpy(logits).log_softmax(1)
        said: tuple[Tensor, ...] = state.get("said", ())
        if number in self._network_in:
            said = (*said, self._networks(rows, y, number, model))
        log_probabilities = joined(model, said)
        return RoundPredictions(
            log_probabilities.softmax(1).numpy(), self._set.z, log_probabilities, state={"said": said}
        )

    def _networks(self, rows: NDArray[np.int64], y: NDArray[np.int64], number: int, model: Tensor) -> Tensor:
        """Train two networks on the labels y of `rows` and the model's log-probabilities (N, K); return theirs."""
        pools = pools_with(self._images, self._classes, rows, y, 0.0, self._seed)
        train = train_config(self._row, self._seed * 1000 + number, self._device)
        return cross_fitted(train, pools, self._device, teaching(model[pools.unlabeled_idx]))


def joined(model: Tensor, said: Sequence[Tensor]) -> Tensor:
    """Return the product of the model's and the networks' beliefs as log-probabilities (N, K).

    The model, far too sure of itself, is brought to a temperature at which its mean confidence is the share of images
    in which networks that were not taught its label of an image agree with it.

    Args:
        model: log-probabilities (N, K).
        said: log-probabilities (N, K) of networks, whose mean is taken; none leaves the model's.
    """
    if not said:
        return model
    networks = torch.stack(tuple(said)).mean(0)
    agreed = F.one_hot(networks.argmax(1), networks.shape[1])
    temperature = cautious_temperature(model.numpy(), agreed.float().numpy())
    return ((model / temperature).log_softmax(1) + networks).log_softmax(1)


def pools_with(
    images: Tensor, classes: int, rows: NDArray[np.int64], y: NDArray[np.int64], fraction: float, seed: int
) -> Pools:
    """Return pools of labels y at `rows`, of which the seed draws a fraction to hold out; all others are unlabeled."""
    train, held = split_labeled(rows, y, fraction, seed)
    class_of = np.full(len(images), -1)
    class_of[rows] = y
    rest = np.flatnonzero(class_of < 0)
    train_idx, train_y, heldout_idx, heldout_y, unlabeled = (
        torch.from_numpy(part) for part in (train, class_of[train], held, class_of[held], rest)
    )
    return Pools(images, train_idx, train_y, heldout_idx, heldout_y, unlabeled, classes)
