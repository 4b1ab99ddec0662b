"""The start of a network on the labels that the set gives itself: what an algorithm then begins with.

All images are labeled as a set from pretrained features or gradients (`engine.live`), by the training labels alone:
held-out ones have no say, so that what is measured on them later stays a measurement. The network is then taught
these labels beside the true ones, as in `engine.algorithms.taught_network`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.taught_network import TaughtNetwork
from engine.live.model import VOTES, VOTES_GRADIENTS, ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.nets.net_name import NetName
from engine.training.config import TrainConfig
from engine.training.pools import Pools, check_two_classes
from engine.training.protocol import Metrics
from engine.training.start import seed_everything

EPOCH = 100
"""Steps after which it can be stored."""


class TaughtStart:
    """A network that is taught the labels of the set for `train.start_steps` steps; see
    `engine.training.protocol.Algorithm`.

    Args:
        train: the round's settings.
        pools: what the round trains on.
        device: where.
        described: (N, D) float32 features of the pools' images, from the networks that `train.start` names.

    Raises:
        RoundBlocked: labels of fewer than two classes, or no unlabeled image.
    """

    def __init__(self, train: TrainConfig, pools: Pools, device: torch.device, described: Tensor) -> None:
        check_two_classes(pools)
        seed_everything(train.seed)
        self.epochs = math.ceil(train.start_steps / EPOCH)
        self.steps_per_epoch = math.ceil(train.start_steps / self.epochs)
        self._pools, self._described, self._train = pools, described, train
        self._network = TaughtNetwork(
            replace(train, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch), pools, device
        )
        self._targets: Tensor | None = None

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Label the set where that is not done yet, and teach the network its labels."""
        if self._targets is None:
            self._targets = set_targets(self._described, self._pools, self._train)
        yield from self._network.steps(epoch, self._targets)

    def eval_model(self) -> nn.Module:
        """Return the averaged network."""
        return self._network.learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on; the set's labels are made anew."""
        return self._network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._network.load_state_dict(state)


def set_targets(described: Tensor, pools: Pools, train: TrainConfig) -> Tensor:
    """Return what a network is taught of the unlabeled images (U, num_classes): half their probabilities by the set,
    half their first class.

    Args:
        described: (N, D) features of the pools' images, from the networks that `train.start` names.
        pools: of which only the training labels are read.
        train: names the features and gives the seed.
    """
    members = torch.cat([pools.train_idx, pools.heldout_idx, pools.unlabeled_idx]).sort().values
    place = torch.full((len(pools.images),), -1)
    place[members] = torch.arange(len(members))
    classes, labels = np.unique(pools.train_y.numpy(), return_inverse=True)
    drawn = torch.isin(pools.train_idx, pools.random_idx).numpy()
    counts = np.bincount(labels[drawn], minlength=len(classes))
    labeled = Labeled(place[pools.train_idx].numpy(), labels, counts, pools.train_groups)
    votes = VOTES_GRADIENTS if NetName.parse(train.start).has_gradients else VOTES
    images = ImageSet.of(described[members].numpy(), train.seed, threads=torch.get_num_threads())
    said = torch.from_numpy(LiveModel(images, votes).refit(labeled).probabilities)[place[pools.unlabeled_idx]]
    targets = torch.zeros(len(said), pools.num_classes)
    targets[:, torch.from_numpy(classes)] = (said + F.one_hot(said.argmax(1), len(classes))) / 2
    return targets
