from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.algorithms.threshold_self_training import (
    ThresholdSelfTraining,
    ThresholdSelfTrainingConfig,
    confident,
    holds,
    sure_loss,
)
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
MakePools = Callable[..., Pools]
LOGITS = torch.log(torch.tensor([[0.97, 0.03], [0.9, 0.1], [0.04, 0.96]]))


def build(
    pools: Pools, *, epochs: int = 2, train: dict[str, Any] | None = None, **config: Any
) -> ThresholdSelfTraining:
    settings = {"steps_per_epoch": 4, "batch_size": 4, "unlabeled_ratio": 4, "precision": "float32"} | (train or {})
    return ThresholdSelfTraining(
        ThresholdSelfTrainingConfig(**{"warm_up": 0.0} | config), TrainConfig(epochs=epochs, **settings), pools, CPU
    )


def test_only_images_at_least_as_sure_as_the_threshold_are_kept() -> None:
    targets, kept = confident(LOGITS, ThresholdSelfTrainingConfig())
    assert targets.tolist() == [0, 0, 1]
    assert kept.tolist() == [True, False, True]


def test_the_temperature_sharpens_soft_targets_and_what_the_threshold_sees() -> None:
    targets, kept = confident(LOGITS, ThresholdSelfTrainingConfig(hard=False, temperature=0.5))
    # p^2 renormalised: .81 / .82 = 0.988
    assert float(targets[1, 0]) == pytest.approx(0.81 / 0.82)
    assert kept.tolist() == [True, True, True]


def test_the_second_look_must_keep_the_class_and_stay_sure() -> None:
    again = torch.log(torch.tensor([[0.96, 0.04], [0.96, 0.04], [0.99, 0.01]]))
    unsure = torch.log(torch.tensor([[0.6, 0.4], [0.96, 0.04], [0.3, 0.7]]))
    assert holds(LOGITS, again, ThresholdSelfTrainingConfig()).tolist() == [True, True, False]
    assert holds(LOGITS, unsure, ThresholdSelfTrainingConfig()).tolist() == [False, True, False]


def test_the_loss_divides_by_the_whole_unlabeled_batch() -> None:
    logits, targets = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    assert float(sure_loss(logits, targets, 4, 0.0)) == pytest.approx(math.log(2))
    assert float(sure_loss(logits[:2], targets[:2], 4, 0.0)) == pytest.approx(math.log(2) / 2)


def test_where_nothing_is_kept_the_loss_is_that_of_the_labels(make_pools: MakePools) -> None:
    run = build(make_pools(), threshold=1.0)
    batches: list[int] = []
    run._learner.model.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    for told in run.steps(0):
        assert float(told["loss"]) == float(told["labeled_loss"])
        assert told["used_share"] == 0.0
        assert "unlabeled_loss" not in told
    assert batches == [4] * 4


def force(run: ThresholdSelfTraining, targets: Tensor, kept: Tensor) -> None:
    """Let the run believe that it labeled so."""
    run._label = lambda: (targets, kept)  # type: ignore[method-assign]


def test_half_of_the_images_kept_halves_the_loss_of_the_whole(make_pools: MakePools) -> None:
    pools = make_pools()
    n = len(pools.unlabeled_idx)
    half = torch.zeros(n, dtype=torch.bool)
    run = build(pools, train={"augment": "none", "dropout": 0.0, "learning_rate": 0.0, "batch_size": 16})
    flat = torch.full((n, 4), 0.25)
    half[::2] = True
    found = {}
    for name, kept in (("all", torch.ones(n, dtype=torch.bool)), ("half", half)):
        force(run, flat, kept)
        # one step takes all 64 unlabeled images; the rate is 0
        told = next(iter(run.steps(0)))
        found[name] = told
    with torch.no_grad():
        logits = run._learner.logits(pools.images[pools.unlabeled_idx])
    each = -(logits.log_softmax(1) / 4).sum(1)
    assert float(found["all"]["unlabeled_loss"]) == pytest.approx(float(each.sum()) / n, rel=1e-4)
    assert float(found["half"]["unlabeled_loss"]) == pytest.approx(float(each[half].sum()) / n, rel=1e-4)
    assert (found["all"]["used_share"], found["half"]["used_share"]) == (1.0, 0.5)


def test_kept_images_are_taught_their_own_stored_label(make_pools: MakePools) -> None:
    pools = make_pools()
    n = len(pools.unlabeled_idx)
    marked = torch.arange(n) % 3 == 0
    run = build(pools, weight=1.0, train={"augment": "none", "dropout": 0.0})
    pools.images[pools.unlabeled_idx] = 0
    pools.images[pools.unlabeled_idx[marked]] = 255
    force(run, torch.zeros(n, dtype=torch.int64), marked)
    seen: list[Tensor] = []
    run._learner.model.register_forward_pre_hook(lambda _, args: seen.append(args[0][4:]))
    list(run.steps(0))
    assert sum(len(part) for part in seen) > 0
    assert all((part == 255).all() for part in seen)


def test_the_warm_up_trains_on_the_labels_alone(make_pools: MakePools) -> None:
    run = build(make_pools(), epochs=5, warm_up=0.4, threshold=0.0)
    shares = [{told["used_share"] for told in run.steps(epoch)} for epoch in range(5)]
    assert shares == [{0.0}, {0.0}, {1.0}, {1.0}, {1.0}]


def test_the_averaged_model_labels_and_no_buffer_of_either_is_moved(make_pools: MakePools) -> None:
    run = build(make_pools(), filter=True, threshold=0.0, train={"net": "wrn_28_2"})
    averaged, model = run._learner.ema.model, run._learner.model
    averaged.head = nn.Linear(128, 4)
    nn.init.zeros_(averaged.head.weight)
    averaged.head.bias.data = torch.tensor([0.0, 0.0, 5.0, 0.0])
    before = [buffer.clone() for one in (averaged, model) for buffer in one.buffers()]
    targets, kept = run._label()
    after = [buffer for one in (averaged, model) for buffer in one.buffers()]
    assert targets.tolist() == [2] * 64
    assert kept.all()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert model.training


def test_looking_twice_drops_images_whose_class_does_not_hold(make_pools: MakePools) -> None:
    pools = make_pools()
    run = build(pools, filter=True, threshold=0.5)
    first = 9 * torch.nn.functional.one_hot(torch.arange(64) % 4, 4).float()
    second = first.clone()
    second[:10] = first[:10].roll(1, 1)
    looks = iter([second])
    run._look_again = lambda model: next(looks)  # type: ignore[method-assign]
    run._learner.ema.model = Fixed(first, pools)  # type: ignore[assignment]
    _, kept = run._label()
    assert kept.tolist() == [False] * 10 + [True] * 54


class Fixed(nn.Module):
    """Knows the logits of every unlabeled image, in their order."""

    def __init__(self, logits: Tensor, pools: Pools) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[: len(x)]


def test_the_second_look_sees_a_weak_view_of_every_unlabeled_image(make_pools: MakePools) -> None:
    pools = make_pools()
    run = build(pools, filter=True)
    seen: list[Tensor] = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros(len(x), 4)

    assert run._look_again(Watch()).shape == (64, 4)
    clean = pools.images[pools.unlabeled_idx]
    assert torch.cat(seen).shape == clean.shape
    assert not torch.equal(torch.cat(seen), clean)


def test_stored_labels_are_part_of_the_state(make_pools: MakePools) -> None:
    run = build(make_pools(), threshold=0.0)
    list(run.steps(0))
    targets, kept = run.state_dict()["stored"]
    assert targets.shape == kept.shape == (64,)


def test_a_tiny_run_learns(make_pools: MakePools) -> None:
    pools = make_pools()
    settings = {"steps_per_epoch": 20, "batch_size": 8, "learning_rate": 0.1, "ema_decay": 0.9}
    *_, last = train(build(pools, train=settings, warm_up=0.5, threshold=0.6), pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
    assert last.metrics["used_share"] > 0.5
