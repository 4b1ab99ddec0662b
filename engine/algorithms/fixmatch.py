"""FixMatch and its family: the confident label of a weakly changed image teaches a strongly distorted one.

Source: Sohn et al., FixMatch, arXiv 2001.07685, eq. 3-4. The loss of one step:
    L = CE(f(weak x_l), y) + λ · 1/U Σ_u weight_u · CE(f(strong u), argmax q_u),   q_u = softmax f(weak u)
The rule that gives weight_u, and the alignment of q_u, are `engine.algorithms.thresholds`: FixMatch's fixed threshold,
FlexMatch's by class, FreeMatch's that follows the model's confidence, SoftMatch's soft weight, AdaMatch's relative to
the confidence on labeled images.

Deviations, and why:
- q is made in evaluation mode, so that labels do not depend on dropout and no normalisation statistic moves.
- Unlabeled ratio and batch are the round's (default 4 · 64, the papers' 7 · 64), as is the cosine schedule to 0 (the
  papers end at 7π/16).
- Options, off by default: soft targets at a temperature, label smoothing of pseudo-labels, and a start of the run in
  which λ grows (`warm_up`), for very few labels.
- `align` "auto" is each rule's own: none for FixMatch, FlexMatch and FreeMatch, equal shares for SoftMatch (its uniform
  alignment), the mean prediction on labeled images for AdaMatch. "prior" takes each class's share among the labels.
- FreeMatch's fairness weight is 0.001, as in the settings of the USB library for CIFAR-10, CIFAR-100 and EuroSAT; where
  a setting names none, that library takes 0.01.
- AdaMatch's τ is 0.95 as in USB's settings; the paper has 0.9, and lets λ grow over the first half of the run.
- The average of the weights forgets by the round's EMA decay, 0.999 as in the papers, and faster at first.

Measured (`starling bench mnist-1000`, `mnist-few`, seeds 0-4), test images of MNIST: fixmatch, 1,000 labels,
3,000 steps: 98.95 ± 0.08 %; freematch aligned to uniform, 1,600 steps: 100 labels 98.40 ± 0.12, 50 98.32 ± 0.13,
20 94.55 ± 8.34, 10 89.94 ± 12.04 %: with so few labels some seeds fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import masked_loss
from engine.algorithms.thresholds import RuleTerms, Thresholds
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.evaluate import evaluation_mode
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.learner import Learner
from engine.training.optim import cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything

OWN_ALIGNMENT = {"softmatch": "uniform", "adamatch": "predictions"}
"""What rules align to by themselves; others do not."""


@dataclass(frozen=True)
class FixMatchConfig:
    """Settings of FixMatch, FlexMatch, FreeMatch, SoftMatch and AdaMatch.

    Raises:
        ConfigError: a value is outside its range.
    """

    rule: Literal["fixmatch", "flexmatch", "freematch", "softmatch", "adamatch"] = setting(
        "fixmatch",
        "Threshold rule",
        "fixmatch: one fixed threshold; flexmatch: lower for classes that are learned slowly; freematch: follows the "
        "model's own confidence from low to high, good with very few labels; softmatch: unsure images count a little; "
        "adamatch: relative to the confidence on the labeled images.",
        choices=("fixmatch", "flexmatch", "freematch", "softmatch", "adamatch"),
    )
    threshold: float = setting(
        0.95,
        "Threshold τ",
        "fixmatch and flexmatch: a pseudo-label counts from this confidence on; adamatch: from this times the mean "
        "confidence on the labeled images.",
        min=0.0,
        max=1.0,
    )
    weight: float = setting(1.0, "Weight λ", "Weight of the pseudo-labels beside the labels.", min=0.0, max=100.0)
    warm_up: float = setting(0.0, "Warm-up", "Share of the run in which λ grows from 0.", min=0.0, max=1.0)
    align: Literal["auto", "off", "prior", "uniform", "predictions"] = setting(
        "auto",
        "Align classes",
        "Pulls the shares of the pseudo-labels' classes towards those of the labels (prior), equal ones (uniform) or "
        "those of the predictions on labeled images (predictions). Helps with very few labels; wrong if the unlabeled "
        "images have other shares. auto is each rule's own: uniform for softmatch, predictions for adamatch, else off.",
        choices=("auto", "off", "prior", "uniform", "predictions"),
    )
    hard: bool = setting(True, "Hard labels", "Off: the whole distribution is the target.")
    temperature: float = setting(
        1.0, "Temperature", "Below 1 sharpens the distribution; the threshold looks at the sharpened one.",
        min=0.01, max=100.0,
    )  # fmt: skip
    label_smoothing: float = setting(
        0.0, "Label smoothing", "Share of a pseudo-label spread over all classes.", min=0.0, max=0.9
    )
    momentum: float = setting(
        0.999,
        "Memory",
        "Decay of the running means that alignment, freematch and softmatch follow; faster at the start.",
        min=0.0,
        max=0.99999,
    )
    fairness: float = setting(
        0.001,
        "Fairness",
        "freematch: weight of the term that keeps predictions spread over the classes.",
        min=0.0,
        max=10.0,
    )
    lowest: float = setting(0.0, "Lowest threshold", "freematch: no class's threshold is below.", min=0.0, max=1.0)
    highest: float = setting(1.0, "Highest threshold", "freematch: no class's threshold is above.", min=0.0, max=1.0)
    n_sigma: float = setting(2.0, "Width n", "softmatch: larger lets unsure images count less.", min=0.01, max=100.0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.lowest > self.highest:
            raise ConfigError(
                "The lowest threshold is above the highest",
                value=f"{self.lowest} > {self.highest}",
                way_out="Choose a lowest threshold of at most the highest.",
            )


class FixMatch:
    """A run of the family; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: FixMatchConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train = config, train
        self.epochs, self.steps_per_epoch = train.epochs, steps_per_epoch(train, pools)
        self.total = self.epochs * self.steps_per_epoch
        self._warm_up = round(config.warm_up * self.total)
        self._feed, self._learner = Feed(train, pools, device), Learner(train, pools, device)
        align = OWN_ALIGNMENT.get(config.rule, "off") if config.align == "auto" else config.align
        terms = RuleTerms(
            config.rule,
            config.threshold,
            config.momentum,
            config.n_sigma,
            config.lowest,
            config.highest,
            follow_labeled=align == "predictions",
        )
        prior = _prior(align, pools)
        self._thresholds = Thresholds(terms, pools.num_classes, len(pools.unlabeled_idx), prior, device)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps, the same in every epoch."""
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch."""
        self._learner.model.train()
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            yield self._step(number, step)

    def _step(self, number: int, step: Step) -> Metrics:
        config, feed, learner = self.config, self._feed, self._learner
        x, weak, strong = feed.weak(step.x), feed.weak(step.u), feed.strong(step.u)
        with evaluation_mode(learner.model), torch.no_grad():
            q = torch.softmax(learner.logits(weak) / config.temperature, 1)  # (U, K)
            labeled_q = None
            if self._thresholds.needs_labeled:
                labeled_q = torch.softmax(learner.logits(x) / config.temperature, 1)  # (B, K)
        judged = self._thresholds.judge(q, step.places, labeled_q)
        targets = judged.q.argmax(1) if config.hard else judged.q  # (U,) or (U, K)
        logits = learner.logits(torch.cat([x.to(strong.dtype), strong]))  # (B + U, K)
        on_labeled, on_strong = logits[: len(x)], logits[len(x) :]
        labeled = F.cross_entropy(on_labeled, step.y, label_smoothing=self._train.label_smoothing)
        unlabeled = masked_loss(on_strong, targets, judged.weight, config.label_smoothing)
        loss = labeled + self.weight(number) * unlabeled
        if config.rule == "freematch" and config.fairness:
            loss = loss + config.fairness * self._thresholds.fairness(on_strong, judged.weight)
        learner.update(loss, self._train.learning_rate * cosine(number, self.total))
        return {
            "loss": loss.detach(),
            "labeled_loss": labeled.detach(),
            "unlabeled_loss": unlabeled.detach(),
            "used_share": judged.weight.mean(),
            "threshold": judged.threshold,
        }

    def weight(self, step: int) -> float:
        """Return λ at a step of the run."""
        return self.config.weight * (min(1.0, step / self._warm_up) if self._warm_up else 1.0)

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights; see `engine.training.learner.TakesStart`."""
        self._learner.begin(weights)

    def eval_model(self) -> nn.Module:
        """Return the averaged model."""
        return self._learner.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return self._learner.state_dict() | self._feed.state_dict() | {"thresholds": self._thresholds.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._learner.load_state_dict(state)
        self._feed.load_state_dict(state)
        self._thresholds.load_state_dict(state["thresholds"])


def _prior(align: str, pools: Pools) -> Tensor | None:
    """Return the class shares to align to, None where none are set; a class without a label counts as half a label."""
    if align in ("off", "predictions"):
        return None
    if align == "uniform":
        return torch.full((pools.num_classes,), 1 / pools.num_classes)
    counts = torch.bincount(pools.train_y, minlength=pools.num_classes).float().clamp_min(0.5)
    return counts / counts.sum()
