"""Threshold self-training: each epoch the averaged network labels what it is sure of, and trains on that.

Source: the self-training recipe of a public article on Meta Pseudo Labels, after Xie et al., Self-training with Noisy
Student, arXiv 1911.04252, section 2. At the start of each epoch after the warm-up:
    1. predict all unlabeled images with the averaged model; keep those with max p ≥ τ;
    2. optionally ("filter") predict again from a weak view; keep only those whose class holds and stays ≥ τ;
    3. train the epoch on CE(labeled) + weight · Σ over kept of CE(f(weak u), label) / U,
where U is the size of the whole unlabeled batch, kept or not: few kept images weigh little, none weigh nothing.

Deviations, and why:
- One network teaches itself through its average, instead of a new student for each generation: an epoch is a
  generation.
- Unlabeled images that are not kept are not run through the network.
- The warm-up is a share of the run, in whole epochs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import make_targets
from engine.training.config import TrainConfig
from engine.training.evaluate import BATCH, chunks, evaluation_mode, predict_logits
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything


@dataclass(frozen=True)
class ThresholdSelfTrainingConfig:
    """Settings of threshold self-training.

    Raises:
        ConfigError: a value is outside its range.
    """

    threshold: float = setting(
        0.95, "Threshold", "Only images the network is at least this sure of are used.", min=0.0, max=1.0
    )
    filter: bool = setting(
        False,
        "Look twice",
        "Predict again from a slightly changed image, and use only what keeps its class and stays sure. One more pass "
        "over the unlabeled images each epoch.",
    )
    warm_up: float = setting(0.2, "Warm-up", "Share of the run that trains on the labels alone.", min=0.0, max=0.9)
    weight: float = setting(
        1.0, "Weight", "How much the network's own labels count beside the real ones.", min=0.0, max=100.0
    )
    hard: bool = setting(True, "Hard labels", "Off: the whole distribution is the target, not its first class.")
    temperature: float = setting(
        1.0, "Temperature", "Below 1 makes predictions surer, before the threshold too.", min=0.01, max=100.0
    )
    label_smoothing: float = setting(
        0.0, "Label smoothing", "Share of the network's own label spread over all classes.", min=0.0, max=0.9
    )

    def __post_init__(self) -> None:
        check_settings(self)


def confident(logits: Tensor, config: ThresholdSelfTrainingConfig) -> tuple[Tensor, Tensor]:
    """Return targets, (n,) classes or (n, K), and which (n,) are sure enough, of logits (n, K)."""
    targets, confidence = make_targets(logits, hard=config.hard, temperature=config.temperature)
    return targets, confidence >= config.threshold


def holds(logits: Tensor, again: Tensor, config: ThresholdSelfTrainingConfig) -> Tensor:
    """Return which (n,) have the same class in both logits (n, K) and are sure enough in the second."""
    return (logits.argmax(1) == again.argmax(1)) & confident(again, config)[1]


def sure_loss(logits: Tensor, targets: Tensor, whole: int, smoothing: float) -> Tensor:
    """Return the summed cross-entropy of the sure images divided by the size of the whole unlabeled batch."""
    return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing) / whole


class ThresholdSelfTraining:
    """A run of threshold self-training; see `engine.training.protocol.Algorithm`."""

    def __init__(
        self, config: ThresholdSelfTrainingConfig, train: TrainConfig, pools: Pools, device: torch.device
    ) -> None:
        seed_everything(train.seed)
        self.config, self._train, self._device = config, train, device
        self.epochs, self.steps_per_epoch = train.epochs, steps_per_epoch(train, pools)
        self.total = self.epochs * self.steps_per_epoch
        self.warm_up = min(round(config.warm_up * train.epochs), train.epochs - 1)
        self._feed, self._learner = Feed(train, pools, device), Learner(train, pools, device, fixed_shapes=False)
        self._stored: tuple[Tensor, Tensor] | None = None  # targets of all unlabeled images, and which are sure

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Label what is sure, then train through one epoch."""
        if epoch >= self.warm_up:
            self._stored = self._label()
        self._learner.model.train()
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            yield self._step(number, step)

    def _step(self, number: int, step: Step) -> Metrics:
        x, u, targets = self._feed.weak(step.x), step.u[:0], None
        if self._stored is not None:
            all_targets, all_sure = self._stored
            places = all_sure[step.places].nonzero().flatten()  # of the batch's sure images in the batch
            if len(places):
                u = self._feed.weak(step.u[places.to(self._device, non_blocking=True)])
                targets = all_targets[step.places[places]].to(self._device, non_blocking=True)
        logits = self._learner.logits(torch.cat([x, u]) if targets is not None else x)  # (B + sure images, K)
        loss = labeled = F.cross_entropy(logits[: len(x)], step.y, label_smoothing=self._train.label_smoothing)
        metrics: Metrics = {"labeled_loss": labeled.detach(), "used_share": len(u) / len(step.u)}
        if targets is not None:
            unlabeled = sure_loss(logits[len(x) :], targets, len(step.u), self.config.label_smoothing)
            loss = labeled + self.config.weight * unlabeled
            metrics["unlabeled_loss"] = unlabeled.detach()
        self._learner.update(loss, self._train.learning_rate * cosine(number, self.total))
        return metrics | {"loss": loss.detach()}

    def _label(self) -> tuple[Tensor, Tensor]:
        """Return targets of all unlabeled images and which are sure, on the CPU; the averaged model is untouched."""
        model, feed = self._learner.ema.model, self._feed
        logits = predict_logits(model, feed.images, feed.unlabeled_rows, self._device)
        targets, sure = confident(logits, self.config)
        if self.config.filter:
            sure = sure & holds(logits, self._look_again(model), self.config)
        return targets, sure

    def _look_again(self, model: nn.Module) -> Tensor:
        """Return the logits (n, K) of a weak view of every unlabeled image, on the CPU."""
        logits = []
        with evaluation_mode(model), torch.inference_mode():
            for rows in chunks(self._feed.unlabeled_rows, BATCH):
                logits.append(model(self._feed.weak(self._feed.fetch(rows))).float().cpu())
        return torch.cat(logits)

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights; see `engine.training.learner.TakesStart`."""
        self._learner.begin(weights)

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self._learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on, and the labels of the last."""
        return self._learner.state_dict() | self._feed.state_dict() | {"stored": self._stored}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._learner.load_state_dict(state)
        self._feed.load_state_dict(state)
        self._stored = state["stored"]
