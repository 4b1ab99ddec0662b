"""Pseudo-Label: the network's own most probable classes as labels, with a weight that grows during the run.

Source: Lee 2013, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
Networks, ICML workshop. Equation 15, the loss of one step ("joint"):
    L = CE(f(x_l), y) + α(t) · CE(f(x_u), argmax f(x_u))
and equation 16, the weight:
    α(t) = 0 for t < T1;  α_f (t − T1) / (T2 − T1) for T1 ≤ t ≤ T2;  α_f after.
"interleaved" is the schedule of a later article on MNIST: first labeled epochs alone, then α-weighted unlabeled
steps; after every 50 unlabeled batches one labeled epoch, and t advances by one. "separate" is a phase on unlabeled
images alone: the labels alone before T1, the unlabeled images alone from T1 on.

Deviations, and why:
- The labeling pass sees the clean image in evaluation mode, the loss pass a weakly augmented one in training
  mode; with augment "none" both see the same image, as in the paper.
- The paper counts t in epochs of a long run (T1 100, T2 600). By default t is compressed: a whole run,
  however short, goes from t = 0 to t = `horizon`. With `units` "paper" t counts epochs (interleaved: cycles
  after T1).
- Where α is 0 a joint step does not run the unlabeled images through the network at all.
- Nesterov SGD with a cosine schedule and averaged weights, as in all algorithms here, instead of the paper's
  exponential schedule. The article: learning rate 0.1, batch 32, unlabeled ratio 8.
- A round that starts from the set's labels (`TrainConfig.start`) adds (α_f − α(t)) · CE(f(x_u), what the set says): the
  set's labels give way to the network's own as α grows.
- Optional, off in the paper: threshold on the confidence (the masked loss divides by the whole unlabeled
  batch), soft targets, temperature, label smoothing, labels refreshed less often than each batch, and the squared
  error of the probabilities in place of the unlabeled cross-entropy. `starling bench pseudo-label-options` compares
  them.

Measured (`starling bench mnist-1000`, seeds 0-4): MNIST, 1,000 labels, interleaved: 98.78 ± 0.07 % of the test images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import make_targets, masked_loss, masked_squares
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.evaluate import evaluation_mode, predict_logits
from engine.training.feed import Feed, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything


@dataclass(frozen=True)
class PseudoLabelConfig:
    """Settings of Pseudo-Label.

    Raises:
        ConfigError: a value is outside its range.
    """

    schedule: Literal["joint", "interleaved", "separate"] = setting(
        "joint",
        "Schedule",
        "joint adds both losses in each step; separate trains on the labels alone until T1 and on the unlabeled images "
        "alone from then on; interleaved alternates blocks of unlabeled steps with labeled epochs. It lays out epochs "
        "of its own, longer than the baseline's; steps per epoch does not apply.",
        choices=("joint", "interleaved", "separate"),
    )
    loss: Literal["cross_entropy", "squares"] = setting(
        "cross_entropy",
        "Unlabeled loss",
        "How far a prediction is from its pseudo-label: cross_entropy, or squares, the squared error of the "
        "probabilities, which wrong labels pull at less.",
        choices=("cross_entropy", "squares"),
    )
    alpha_f: float = setting(3.0, "Final weight", "Weight of the unlabeled loss from T2 on.", min=0.0, max=100.0)
    t1: float = setting(100.0, "T1", "Until then the labels alone count.", min=0.0, max=1e6)
    t2: float = setting(600.0, "T2", "From then on the unlabeled loss has its final weight.", min=0.0, max=1e6)
    units: Literal["compressed", "paper"] = setting(
        "compressed",
        "Units of T1 and T2",
        "compressed: the whole run goes from 0 to the horizon, whatever its length; paper: epochs (interleaved: "
        "cycles).",
        choices=("compressed", "paper"),
    )
    horizon: float = setting(800.0, "Horizon", "What t is at the end of a compressed run.", min=1.0, max=1e6)
    refresh: Literal["batch", "epoch", "k_epochs", "frozen"] = setting(
        "batch",
        "Refresh labels",
        "How often pseudo-labels are made anew: each batch, each epoch, every k epochs, or once after T1.",
        choices=("batch", "epoch", "k_epochs", "frozen"),
    )
    refresh_every: int = setting(5, "k", "For refresh every k epochs.", min=1, max=10_000)
    hard: bool = setting(True, "Hard labels", "Off: the whole distribution is the target.")
    temperature: float = setting(1.0, "Temperature", "Below 1 sharpens soft targets.", min=0.01, max=100.0)
    threshold: float = setting(
        0.0,
        "Threshold",
        "Only images at least this confident count; 0 uses all, as in the paper.",
        min=0.0,
        max=1.0,
    )
    label_smoothing: float = setting(
        0.0, "Label smoothing", "Share of a pseudo-label spread over all classes.", min=0.0, max=0.9
    )
    labeled_epoch_every: int = setting(
        50,
        "Unlabeled batches a cycle",
        "Interleaved: so many unlabeled batches, then one labeled epoch.",
        min=1,
        max=10_000,
    )
    unlabeled_batches: int = setting(
        0,
        "Unlabeled batches an epoch",
        "Interleaved: length of a recorded epoch, rounded up to whole cycles; 0 means one pass over the unlabeled.",
        min=0,
        max=1_000_000,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.t2 < self.t1:
            raise ConfigError("T2 lies before T1", value=f"{self.t2} < {self.t1}", way_out="Choose T2 at least T1.")
        if self.units == "compressed" and self.t1 >= self.horizon:
            raise ConfigError(
                "T1 lies beyond the end of the run",
                value=f"{self.t1} >= {self.horizon}",
                way_out="Choose T1 below the horizon.",
            )


def alpha(t: float, config: PseudoLabelConfig) -> float:
    """Return the weight of the unlabeled loss at time t (equation 16)."""
    if t < config.t1:
        return 0.0
    if t >= config.t2:
        return config.alpha_f
    return config.alpha_f * (t - config.t1) / (config.t2 - config.t1)


class PseudoLabel:
    """A Pseudo-Label run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: PseudoLabelConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train, self._device = config, train, device
        self.epochs = train.epochs
        self._feed, self._learner = Feed(train, pools, device), Learner(train, pools, device)
        self._stored: tuple[Tensor, Tensor] | None = None  # targets and confidence of all unlabeled images
        self._stored_epoch = -1
        self._given: Tensor | None = None  # targets (U, K) by the set
        self._schedule = _schedule(config, train, pools)
        self.steps_per_epoch = self._schedule.steps_per_epoch
        self.total = self.epochs * self.steps_per_epoch

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch."""
        self._learner.model.train()
        for number in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            yield self._step(number)

    def _step(self, number: int) -> Metrics:
        """Take one step down equation 15, or down the one of its two terms that this step has."""
        config, feed, learner = self.config, self._feed, self._learner
        use_labeled, use_unlabeled, t = self._schedule.at(number, self.total)
        weight = alpha(t, config)
        given_weight = 0.0 if self._given is None else config.alpha_f - weight
        use_unlabeled = given_weight > 0 or (use_unlabeled and (weight > 0 or not use_labeled))
        views, targets, y = [], torch.empty(0), torch.empty(0)
        if use_labeled:
            x, y = feed.labeled()
            views.append(feed.weak(x))
        if use_unlabeled:
            u, places = feed.unlabeled()
            targets, confidence = self._targets(number // self.steps_per_epoch, u, places)  # (U,) or (U, K), and (U,)
            views.append(feed.weak(u))
        logits = learner.logits(torch.cat(views))  # (B + U, K), labeled first: one batch for normalisation
        loss = logits.new_zeros(())
        metrics: Metrics = {"alpha": weight}
        if use_labeled:
            loss = F.cross_entropy(logits[: len(y)], y, label_smoothing=self._train.label_smoothing)
            metrics["labeled_loss"] = loss.detach()
        if use_unlabeled:
            mask = confidence >= config.threshold
            measure = masked_loss if config.loss == "cross_entropy" else masked_squares
            unlabeled = measure(logits[len(y) :], targets, mask, config.label_smoothing)
            loss = loss + weight * unlabeled
            metrics |= {"unlabeled_loss": unlabeled.detach(), "used_share": mask.float().mean()}
            if given_weight > 0:
                assert self._given is not None
                given = self._given[places].to(self._device, non_blocking=True)
                loss = loss + given_weight * masked_loss(logits[len(y) :], given, torch.ones_like(mask))
        learner.update(loss, self._train.learning_rate * cosine(number, self.total))
        return metrics | {"loss": loss.detach()}

    def _targets(self, epoch: int, u: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return targets and confidence of unlabeled images, fresh or as stored by the last refresh."""
        config, model = self.config, self._learner.model
        if config.refresh == "batch":
            with evaluation_mode(model), torch.no_grad():
                logits = self._learner.logits(u)
            return make_targets(logits, hard=config.hard, temperature=config.temperature)
        if self._stored is None or self._due(epoch):
            logits = predict_logits(model, self._feed.images, self._feed.unlabeled_rows, self._device)
            self._stored = make_targets(logits, hard=config.hard, temperature=config.temperature)
            self._stored_epoch = epoch
        targets, confidence = self._stored
        device = self._device
        return targets[places].to(device, non_blocking=True), confidence[places].to(device, non_blocking=True)

    def _due(self, epoch: int) -> bool:
        age = epoch - self._stored_epoch
        return (self.config.refresh == "epoch" and age >= 1) or (
            self.config.refresh == "k_epochs" and age >= self.config.refresh_every
        )

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights; until its own labels have their full weight, the set's have the rest of it.

        With the labels alone before T1 a network would forget what it was taught.
        """
        self._learner.begin(weights)
        self._given = targets

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self._learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        stored = {"stored": self._stored, "stored_epoch": self._stored_epoch, "given": self._given}
        return self._learner.state_dict() | self._feed.state_dict() | stored

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._learner.load_state_dict(state)
        self._feed.load_state_dict(state)
        self._stored = state["stored"]
        self._stored_epoch = int(state["stored_epoch"])
        self._given = state["given"]


@dataclass(frozen=True)
class _Schedule:
    """Which losses a step has, and what the time t is.

    joint: every step has both. separate: labeled before T1, unlabeled from then on. interleaved: `warm_up` labeled
    steps, then cycles of `unlabeled` unlabeled steps and `labeled` labeled ones (one labeled epoch), after each of
    which t advances.
    """

    config: PseudoLabelConfig
    steps_per_epoch: int
    warm_up: int = 0
    unlabeled: int = 0
    labeled: int = 0

    def at(self, step: int, total: int) -> tuple[bool, bool, float]:
        """Return (labeled loss?, unlabeled loss?, t) of one step of `total`."""
        config = self.config
        paper = config.units == "paper"
        if config.schedule != "interleaved":
            t = float(step // self.steps_per_epoch) if paper else config.horizon * step / total
            joint = config.schedule == "joint"
            return joint or t < config.t1, joint or t >= config.t1, t
        if step < self.warm_up:
            return True, False, config.t1 * step / self.warm_up
        length = self.unlabeled + self.labeled
        cycle, place = divmod(step - self.warm_up, length)
        cycles = (total - self.warm_up) // length
        pace = 1.0 if paper else (config.horizon - config.t1) / max(cycles, 1)
        return place >= self.unlabeled, place < self.unlabeled, config.t1 + cycle * pace


def _schedule(config: PseudoLabelConfig, train: TrainConfig, pools: Pools) -> _Schedule:
    """Lay out the run; an interleaved recorded epoch has whole cycles, its warm-up whole recorded epochs."""
    if config.schedule != "interleaved":
        return _Schedule(config, steps_per_epoch(train, pools))
    labeled = math.ceil(len(pools.train_idx) / train.batch_size)
    unlabeled = config.labeled_epoch_every
    batches = config.unlabeled_batches or math.ceil(
        len(pools.unlabeled_idx) / (train.batch_size * train.unlabeled_ratio)
    )
    epoch = math.ceil(batches / unlabeled) * (unlabeled + labeled)
    if config.units == "paper":
        epochs = math.ceil(config.t1 * labeled / epoch)
        if epochs >= train.epochs:
            raise ConfigError(
                "The run ends before its first unlabeled step",
                value=f"{epochs} of {train.epochs} epochs are warm-up",
                way_out="Choose more epochs, a smaller T1, or compressed units.",
            )
        return _Schedule(config, epoch, epochs * epoch, unlabeled, labeled)
    epochs = min(max(round(train.epochs * config.t1 / config.horizon), 1 if config.t1 else 0), train.epochs - 1)
    return _Schedule(config, epoch, epochs * epoch, unlabeled, labeled)
