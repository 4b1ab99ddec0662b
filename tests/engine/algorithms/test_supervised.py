from __future__ import annotations

from collections.abc import Callable

import torch

from engine.algorithms.supervised import Supervised, SupervisedConfig
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")


def test_a_tiny_run_learns_and_counts_no_unlabeled_image(make_pools: Callable[..., Pools]) -> None:
    pools = make_pools()
    settings = TrainConfig(epochs=2, steps_per_epoch=20, batch_size=8, learning_rate=0.1, ema_decay=0.9)
    *_, last = train(Supervised(SupervisedConfig(), settings, pools, CPU), pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
    held = {"heldout_accuracy", "heldout_labels", "heldout_loss"}
    assert set(last.metrics) == held | {"loss", "train_accuracy", "seconds"}


def test_held_out_images_never_reach_the_network_in_training(make_pools: Callable[..., Pools]) -> None:
    pools = make_pools(labeled=8, heldout=8, unlabeled=0)
    pools.images[pools.heldout_idx] = 255
    run = Supervised(SupervisedConfig(), TrainConfig(epochs=1, steps_per_epoch=10, augment="none"), pools, CPU)
    brightest: list[int] = []
    run._learner.model.register_forward_pre_hook(lambda _, args: brightest.append(int(args[0].amin((1, 2, 3)).max())))
    list(run.steps(0))
    assert len(brightest) == 10
    assert max(brightest) < 255


def test_the_rate_falls_to_zero_along_a_cosine(make_pools: Callable[..., Pools]) -> None:
    run = Supervised(SupervisedConfig(), TrainConfig(epochs=2, steps_per_epoch=4, learning_rate=0.4), make_pools(), CPU)
    rates = [run._learner.optimizer.param_groups[0]["lr"] for epoch in range(2) for _ in run.steps(epoch)]
    assert rates[0] == 0.4
    assert abs(rates[4] - 0.2) < 1e-12
    assert 0 < rates[7] < 0.02
