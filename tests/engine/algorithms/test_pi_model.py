from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.algorithms.pi_model import PiModel, PiModelConfig, disagreement, ramp
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")


def build(pools: Pools, *, epochs: int = 2, train: dict[str, Any] | None = None, **config: Any) -> PiModel:
    settings = {"steps_per_epoch": 5, "batch_size": 4, "unlabeled_ratio": 2, "precision": "float32"} | (train or {})
    return PiModel(PiModelConfig(**config), TrainConfig(epochs=epochs, **settings), pools, CPU)


@pytest.mark.parametrize(
    ("t", "value"), [(0, 0.006737947), (40, 0.286504797), (60, 0.731615628), (80, 1.0), (1000, 1.0)]
)
def test_the_ramp_has_the_papers_values(t: float, value: float) -> None:
    # exp(-5), exp(-5/4), exp(-5/16), then 1
    assert ramp(t, 80) == pytest.approx(value, rel=1e-6)


def test_without_a_ramp_the_weight_is_whole_from_the_start() -> None:
    assert ramp(0, 0) == 1.0


def test_the_weight_follows_the_ramp_over_its_share_of_the_run(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), weight=20.0, ramp=0.4)
    weights = [told["weight"] for epoch in range(2) for told in run.steps(epoch)]
    # T = 0.4 of 10 steps
    assert weights[:4] == pytest.approx([20 * math.exp(-5 * (1 - t / 4) ** 2) for t in range(4)])
    assert weights[4:] == [20.0] * 6


def test_disagreement_is_the_mean_square_over_inputs_and_classes_and_teaches_the_first_alone() -> None:
    first = torch.log(torch.tensor([[0.8, 0.2], [0.5, 0.5]])).requires_grad_()
    second = torch.log(torch.tensor([[0.6, 0.4], [0.5, 0.5]])).requires_grad_()
    found = disagreement(first, second)
    found.backward()
    assert float(found.detach()) == pytest.approx((0.04 + 0.04) / 4)
    assert second.grad is None
    assert first.grad is not None
    # d/dz of sum (p - q)^2 / 4 at (0.8, 0.2): (0.4, -0.4)/4 through p0 p1 = 0.16
    assert first.grad[0].tolist() == pytest.approx([0.2 * 0.16, -0.2 * 0.16])


def test_the_loss_is_the_labeled_plus_the_weighted_disagreement(make_pools: Callable[..., Pools]) -> None:
    for told in build(make_pools(), ramp=0.0, weight=7.0).steps(0):
        assert float(told["loss"]) == pytest.approx(float(told["labeled_loss"]) + 7 * float(told["unlabeled_loss"]))
        assert float(told["unlabeled_loss"]) > 0


def test_both_looks_hold_labeled_and_unlabeled_images_in_different_views_and_training_mode(
    make_pools: Callable[..., Pools],
) -> None:
    run = build(make_pools(), train={"dropout": 0.0})
    seen: list[tuple[Tensor, bool, bool]] = []
    run._learner.model.register_forward_pre_hook(
        lambda model, args: seen.append((args[0], model.training, torch.is_grad_enabled()))
    )
    next(run.steps(0))
    (first, *how), (second, *how_again) = seen
    assert (how, how_again) == ([True, True], [True, False])
    assert len(first) == len(second) == 12
    assert not torch.equal(first[:4], second[:4])
    assert not torch.equal(first[4:], second[4:])


def test_equal_looks_do_not_disagree(make_pools: Callable[..., Pools]) -> None:
    for told in build(make_pools(), train={"dropout": 0.0, "augment": "none"}).steps(0):
        assert float(told["unlabeled_loss"]) == pytest.approx(0.0, abs=1e-12)


def test_a_tiny_run_learns(make_pools: Callable[..., Pools]) -> None:
    pools = make_pools()
    settings = {"steps_per_epoch": 20, "batch_size": 8, "learning_rate": 0.1, "ema_decay": 0.9}
    *_, last = train(build(pools, train=settings), pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
