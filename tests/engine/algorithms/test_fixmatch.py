from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.algorithms.fixmatch import FixMatch, FixMatchConfig, _prior
from engine.algorithms.uda import Uda, UdaConfig
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
MakePools = Callable[..., Pools]
SETTINGS: dict[str, Any] = {
    "epochs": 2, "steps_per_epoch": 6, "batch_size": 4, "unlabeled_ratio": 2, "learning_rate": 0.1,
    "precision": "float32", "net": "article_convnet",
}  # fmt: skip
RULES = ("fixmatch", "flexmatch", "freematch", "softmatch", "adamatch")


def fixmatch(pools: Pools, train: dict[str, Any] | None = None, **config: Any) -> FixMatch:
    return FixMatch(FixMatchConfig(**config), TrainConfig(**SETTINGS | (train or {})), pools, CPU)


def uda(pools: Pools, train: dict[str, Any] | None = None, **config: Any) -> Uda:
    return Uda(UdaConfig(**config), TrainConfig(**SETTINGS | (train or {})), pools, CPU)


def answer(run: Any, *bias: float) -> None:
    """Make the network answer these logits whatever it sees."""
    with torch.no_grad():
        run._learner.model.head.weight.zero_()
        run._learner.model.head.bias.copy_(torch.tensor(bias))


def test_nothing_below_the_threshold_counts_and_the_loss_is_that_of_the_labels(make_pools: MakePools) -> None:
    run = fixmatch(make_pools(), threshold=0.95)
    answer(run, 2.0, 0.0, 0.0, 0.0)  # p = 0.71
    metrics = next(run.steps(0))
    assert float(metrics["used_share"]) == 0.0
    assert float(metrics["unlabeled_loss"]) == 0.0
    assert float(metrics["loss"]) == pytest.approx(float(metrics["labeled_loss"]))


def test_the_temperature_decides_with_the_threshold_what_counts(make_pools: MakePools) -> None:
    # p = 0.71 at temperature 1, 0.99 at 0.3: only the sharpened prediction is over 0.95
    for temperature, used in ((1.0, 0.0), (0.3, 1.0)):
        run = fixmatch(make_pools(), threshold=0.95, temperature=temperature)
        answer(run, 2.0, 0.0, 0.0, 0.0)
        assert float(next(run.steps(0))["used_share"]) == used
        other = uda(make_pools(), threshold=0.95, temperature=temperature, warm_up=0.0)
        answer(other, 2.0, 0.0, 0.0, 0.0)
        assert float(next(other.steps(0))["used_share"]) == used


def test_soft_targets_follow_the_temperature_and_hard_ones_do_not(make_pools: MakePools) -> None:
    def loss(**config: Any) -> float:
        run = fixmatch(make_pools(), threshold=0.0, **config)
        answer(run, 1.0, 0.0, 0.0, 0.0)
        return float(next(run.steps(0))["unlabeled_loss"])

    # log softmax of (1, 0, 0, 0): −0.744 and −1.744; q at T 1: (0.475, 0.175 × 3); at T 0.5: (0.711, 0.096 × 3)
    assert loss(hard=True) == pytest.approx(0.7437, abs=1e-3)
    assert loss(hard=True, temperature=0.5) == pytest.approx(0.7437, abs=1e-3)
    assert loss(hard=False) == pytest.approx(0.4754 * 0.7437 + 0.5246 * 1.7437, abs=1e-3)
    assert loss(hard=False, temperature=0.5) == pytest.approx(0.7112 * 0.7437 + 0.2888 * 1.7437, abs=1e-3)


def test_the_loss_is_labels_plus_weight_times_pseudo_labels_and_the_weight_grows(make_pools: MakePools) -> None:
    run = fixmatch(make_pools(), threshold=0.0, weight=3.0, warm_up=0.5)  # 12 steps: λ = 3 · step / 6
    found = list(run.steps(0)) + list(run.steps(1))
    for number, metrics in enumerate(found):
        weight = 3.0 * min(1.0, number / 6)
        wanted = float(metrics["labeled_loss"]) + weight * float(metrics["unlabeled_loss"])
        assert float(metrics["loss"]) == pytest.approx(wanted, rel=1e-5)


def test_udas_weight_grows_over_the_warm_up(make_pools: MakePools) -> None:
    run = uda(make_pools(), weight=2.0, warm_up=0.5)
    assert [run.weight(step) for step in (0, 3, 6, 11)] == [0.0, 1.0, 2.0, 2.0]
    assert [metrics["lambda"] for metrics in run.steps(0)][:3] == pytest.approx([0.0, 1 / 3, 2 / 3])


class Norm(nn.Module):
    """A network with normalisation statistics; keeps what it saw in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(64), nn.Linear(64, 4)
        self.modes: list[tuple[bool, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append((self.training, len(x)))
        out: Tensor = self.head(self.norm(x.flatten(1).float()))
        return out


@pytest.mark.parametrize("build", [fixmatch, uda])
def test_pseudo_labels_are_made_in_evaluation_mode_and_count_no_step_of_the_statistics(
    build: Callable[..., Any], make_pools: MakePools
) -> None:
    run = build(make_pools())
    model = Norm().train()
    run._learner.model = model
    run._learner.optimizer = torch.optim.SGD(model.parameters(), 0.1)
    run._learner.ema.update = lambda _: None
    next(run.steps(0))
    assert model.modes == [(False, 8), (True, 12)]  # 8 weak views; 4 labeled and 8 strong views
    assert int(model.norm.num_batches_tracked) == 1
    assert model.training


def test_adamatch_judges_by_the_weak_views_of_the_labeled_images_in_evaluation_mode(make_pools: MakePools) -> None:
    run = fixmatch(make_pools(), rule="adamatch", threshold=0.9)
    model = Norm().train()
    run._learner.model = model
    run._learner.optimizer = torch.optim.SGD(model.parameters(), 0.1)
    run._learner.ema.update = lambda _: None  # type: ignore[method-assign,assignment]
    next(run.steps(0))
    assert model.modes == [(False, 8), (False, 4), (True, 12)]  # 8 weak views, 4 labeled; 4 labeled and 8 strong views
    assert int(model.norm.num_batches_tracked) == 1  # type: ignore[arg-type]


def test_adamatch_takes_its_threshold_from_the_confidence_on_the_labeled_images(make_pools: MakePools) -> None:
    # p = 0.71 on every image, labeled or not: below 0.95, at least 0.95 · 0.71
    run = fixmatch(make_pools(), rule="adamatch", threshold=0.95)
    answer(run, 2.0, 0.0, 0.0, 0.0)
    metrics = next(run.steps(0))
    assert float(metrics["threshold"]) == pytest.approx(0.95 * 0.7112, abs=1e-3)
    assert float(metrics["used_share"]) == 1.0


def test_each_rule_aligns_as_its_source_has_it_unless_told_otherwise(make_pools: MakePools) -> None:
    pools = make_pools()
    thresholds = {rule: fixmatch(pools, rule=rule)._thresholds for rule in RULES}
    assert [rule for rule in RULES if thresholds[rule]._prior is not None] == ["softmatch"]
    assert [rule for rule in RULES if thresholds[rule].terms.follow_labeled] == ["adamatch"]
    uniform = thresholds["softmatch"]._prior
    assert uniform is not None
    assert uniform.tolist() == [0.25] * 4
    for rule in RULES:
        off = fixmatch(pools, rule=rule, align="off")._thresholds
        assert off._prior is None
        assert not off.terms.follow_labeled
    asked = fixmatch(pools, rule="freematch", align="predictions")._thresholds
    assert asked.terms.follow_labeled


def test_label_smoothing_spreads_the_pseudo_label(make_pools: MakePools) -> None:
    run = fixmatch(make_pools(), threshold=0.0, label_smoothing=0.4)
    answer(run, 1.0, 0.0, 0.0, 0.0)
    # −log softmax (0.7437, 1.7437 × 3); target 0.6 + 0.1 on the first class and 0.1 on each other
    assert float(next(run.steps(0))["unlabeled_loss"]) == pytest.approx(0.7 * 0.7437 + 0.3 * 1.7437, abs=1e-3)


def test_freematch_adds_its_fairness_term_with_a_plus_and_with_a_gradient(make_pools: MakePools) -> None:
    run = fixmatch(make_pools(), rule="freematch", fairness=0.5)
    seen: list[Tensor] = []

    def fairness(logits: Tensor, weight: Tensor) -> Tensor:
        seen.append(logits)
        return 0.0 * logits.sum() - 4.0

    run._thresholds.fairness = fairness  # type: ignore[method-assign]
    metrics = next(run.steps(0))
    wanted = float(metrics["labeled_loss"]) + float(metrics["unlabeled_loss"]) - 0.5 * 4.0
    assert float(metrics["loss"]) == pytest.approx(wanted, rel=1e-5)
    assert seen[0].requires_grad


@pytest.mark.parametrize("build", [fixmatch, uda])
def test_labels_are_made_of_the_weak_view_and_taught_to_the_strong_one(
    build: Callable[..., Any], make_pools: MakePools
) -> None:
    run = build(make_pools())
    feed, model, seen = run._feed, Norm().train(), []
    feed.weak = lambda x: torch.full_like(x, 1)
    feed.strong = lambda x: torch.full_like(x, 2)
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(1)[:, 0].tolist()))
    run._learner.model = model
    run._learner.optimizer = torch.optim.SGD(model.parameters(), 0.1)
    run._learner.ema.update = lambda _: None
    next(run.steps(0))
    assert seen == [[1] * 8, [1] * 4 + [2] * 8]


@pytest.mark.parametrize("rule", RULES)
def test_a_tiny_run_learns(rule: Any, make_pools: MakePools) -> None:
    pools = make_pools()
    run = fixmatch(pools, {"epochs": 3, "steps_per_epoch": 20, "ema_decay": 0.9}, rule=rule)
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
    assert {"threshold", "used_share", "unlabeled_loss", "labeled_loss"} <= set(last.metrics)


def test_uda_learns_on_vectors_too() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(120)
    y = rows % 2
    values = torch.randn(120, 5, generator=generator) + 4.0 * y[:, None]
    pools = Pools(values, rows[:10], y[:10], rows[:0], rows[:0], rows[10:], 2)
    run = uda(pools, {"net": "mlp", "steps_per_epoch": 20})
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == y[10:].numpy()).mean() > 0.95


def test_the_prior_is_that_of_the_labels_and_a_class_without_labels_keeps_a_small_share(make_pools: MakePools) -> None:
    pools = make_pools(labeled=12)
    pools.train_y[:] = torch.tensor([0] * 8 + [1] * 3 + [2])
    prior = _prior("prior", pools)
    assert prior is not None
    assert prior.tolist() == pytest.approx([8 / 12.5, 3 / 12.5, 1 / 12.5, 0.5 / 12.5])
    uniform = _prior("uniform", pools)
    assert uniform is not None
    assert uniform.tolist() == [0.25] * 4
    assert _prior("off", pools) is None


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="above the highest"):
        FixMatchConfig(lowest=0.9, highest=0.8)
