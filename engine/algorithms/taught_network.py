"""A network taught by labels that a model gave, beside the true ones; and two that each leave out half of the labels.

A network trained on an image's own label repeats it, wrong or right. Trained on the others' it says what these say of
the image: cross-fitting, which label cleaning needs (Northcutt, Jiang, Chuang, Confident Learning, arXiv 1911.00068,
section 3: out-of-sample probabilities).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.start import seed_everything


class TaughtNetwork:
    """The network that is trained on all labels of a model, beside the true ones; strong views of both."""

    def __init__(self, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        self._train, self._device = train, device
        self._steps = steps_per_epoch(train, pools)
        self._total = train.epochs * self._steps
        self._feed, self.learner = Feed(train, pools, device), Learner(train, pools, device)
        self.steps_done = 0

    def steps(self, epoch: int, targets: Tensor) -> Iterator[Metrics]:
        """Train through epoch `epoch` of its own on targets (U, num_classes) of the unlabeled images."""
        self.learner.model.train()
        for number, step in enumerate(self._feed.epoch(self._steps), epoch * self._steps):
            yield self._step(number, step, targets[step.places])

    def _step(self, number: int, step: Step, targets: Tensor) -> Metrics:
        views = torch.cat([self._feed.strong(step.x), self._feed.strong(step.u)])
        true = F.one_hot(step.y, targets.shape[1]).float()
        all_targets = torch.cat([true, targets.to(self._device, non_blocking=True)])  # (B + U, num_classes)
        loss = F.cross_entropy(self.learner.logits(views), all_targets, label_smoothing=self._train.label_smoothing)
        self.learner.update(loss, self._train.learning_rate * cosine(number, self._total))
        self.steps_done = number + 1
        return {"loss": loss.detach()}

    def log_probabilities(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the averaged network's log-probabilities (m, num_classes) float32 on the CPU."""
        return predict_logits(self.learner.ema.model, images, rows, self._device).log_softmax(1)

    def state_dict(self) -> dict[str, Any]:
        """Return everything its next epoch depends on."""
        return self.learner.state_dict() | self._feed.state_dict() | {"steps_done": self.steps_done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self.learner.load_state_dict(state)
        self._feed.load_state_dict(state)
        self.steps_done = int(state["steps_done"])


def teaching(logits: Tensor) -> Tensor:
    """Return what a network is taught (U, K) of a model's logits (U, K): half their distribution, half first class."""
    return (logits.softmax(1) + F.one_hot(logits.argmax(1), logits.shape[1])) / 2


def cross_fitted(train: TrainConfig, pools: Pools, device: torch.device, targets: Tensor) -> Tensor:
    """Train two networks, each on the targets of half of the unlabeled images beside all true labels; return what
    those say that were not taught an image's target.

    Each takes half of the steps, so that both together cost what one network does.

    Args:
        train: settings; the seed draws the halves.
        pools: the images, at least two of them unlabeled.
        device: where to train.
        targets: (U, num_classes) of the unlabeled images, in their order.

    Returns:
        log-probabilities (N, num_classes) float32 on the CPU; of images that are not unlabeled the mean of both.
    """
    unlabeled, everything = pools.unlabeled_idx, torch.arange(len(pools.images))
    steps = max(1, steps_per_epoch(train, pools) // 2)
    order = torch.randperm(len(unlabeled), generator=torch.Generator().manual_seed(train.seed))
    halves = order[::2].sort().values, order[1::2].sort().values
    said = []
    for number, (taught, asked) in enumerate((halves, halves[::-1])):
        seed = train.seed + 100 * (number + 1)
        half = replace(train, seed=seed, steps_per_epoch=steps)
        seed_everything(seed)
        network = TaughtNetwork(half, replace(pools, unlabeled_idx=unlabeled[taught]), device)
        for epoch in range(train.epochs):
            for _ in network.steps(epoch, targets[taught]):
                pass
        said.append((unlabeled[asked], network.log_probabilities(pools.images, everything)))
    joined = (said[0][1] + said[1][1]) / 2
    for rows, log_probabilities in said:
        joined[rows] = log_probabilities[rows]
    return joined
