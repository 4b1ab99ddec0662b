"""UDA: the network must agree with its own sharpened prediction when an image is strongly distorted.

Source: Xie et al., Unsupervised Data Augmentation for Consistency Training, arXiv 1904.12848, eq. 1 and section 2.3
(confidence mask and sharpening). The loss of one step:
    L = CE(f(weak x_l), y) + λ(t) · mean_u( [max q_u ≥ τ] · CE(q_u, f(strong u)) ),
    q_u = softmax(f(weak u) / T) without gradient;  λ(t) = λ · min(1, t / warm-up).
The mask is taken on the sharpened q.

Deviations: q is made in evaluation mode, which moves no statistic; the warm-up is a share of the run; the unlabeled
ratio is the round's. Training signal annealing and filtering by domain are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import uda_loss
from engine.training.config import TrainConfig
from engine.training.evaluate import evaluation_mode
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything


@dataclass(frozen=True)
class UdaConfig:
    """Settings of UDA.

    Raises:
        ConfigError: a value is outside its range.
    """

    temperature: float = setting(
        0.4, "Temperature", "Below 1 sharpens the prediction that is taken as the target.", min=0.01, max=100.0
    )
    threshold: float = setting(
        0.8,
        "Threshold",
        "Only images whose sharpened prediction is at least this confident count.",
        min=0.0,
        max=1.0,
    )
    weight: float = setting(1.0, "Weight λ", "Weight of the agreement beside the labels.", min=0.0, max=100.0)
    warm_up: float = setting(0.02, "Warm-up", "Share of the run in which λ grows from 0.", min=0.0, max=1.0)

    def __post_init__(self) -> None:
        check_settings(self)


class Uda:
    """A UDA run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: UdaConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train = config, train
        self.epochs, self.steps_per_epoch = train.epochs, steps_per_epoch(train, pools)
        self.total = self.epochs * self.steps_per_epoch
        self._warm_up = round(config.warm_up * self.total)
        self._feed, self._learner = Feed(train, pools, device), Learner(train, pools, device)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def weight(self, step: int) -> float:
        """Return λ(t) at a step of the run."""
        return self.config.weight * (min(1.0, step / self._warm_up) if self._warm_up else 1.0)

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch."""
        self._learner.model.train()
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            yield self._step(number, step)

    def _step(self, number: int, step: Step) -> Metrics:
        config, feed, learner = self.config, self._feed, self._learner
        x, weak, strong = feed.weak(step.x), feed.weak(step.u), feed.strong(step.u)
        with evaluation_mode(learner.model), torch.no_grad():
            on_weak = learner.logits(weak)  # (U, K)
        logits = learner.logits(torch.cat([x.to(strong.dtype), strong]))  # (B + U, K)
        labeled = F.cross_entropy(logits[: len(x)], step.y, label_smoothing=self._train.label_smoothing)
        agreement, used = uda_loss(on_weak, logits[len(x) :], config.temperature, config.threshold)
        weight = self.weight(number)  # λ(t)
        loss = labeled + weight * agreement
        learner.update(loss, self._train.learning_rate * cosine(number, self.total))
        return {
            "loss": loss.detach(),
            "labeled_loss": labeled.detach(),
            "unlabeled_loss": agreement.detach(),
            "used_share": used,
            "lambda": weight,
        }

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights; see `engine.training.learner.TakesStart`."""
        self._learner.begin(weights)

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self._learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return self._learner.state_dict() | self._feed.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._learner.load_state_dict(state)
        self._feed.load_state_dict(state)
