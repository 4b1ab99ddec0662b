"""Estimated times: what is counted, and that a real run takes about as long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.nets.build import build_net
from engine.training import estimate as module
from engine.training import loop
from engine.training.config import TrainConfig
from engine.training.estimate import Counts, TimeEstimate, estimate, made_up_pools, whole_round
from engine.training.pools import Pools

CPU = torch.device("cpu")
COUNTS = Counts(train=40, heldout=10, unlabeled=300, classes=4)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_made_up_pools_have_the_real_sizes_next_to_no_memory_and_different_images() -> None:
    pools = made_up_pools((3, 32, 32), Counts(train=1000, heldout=200, unlabeled=1_000_000, classes=10))
    assert pools.images.shape == (1_001_200, 3, 32, 32)
    assert pools.images.untyped_storage().nbytes() == 1_001_200 + 3 * 32 * 32
    assert (len(pools.train_idx), len(pools.heldout_idx), len(pools.unlabeled_idx)) == (1000, 200, 1_000_000)
    assert not torch.equal(pools.images[0], pools.images[1])
    assert set(pools.train_y.tolist()) == set(range(10))


def test_made_up_vectors_are_vectors() -> None:
    pools = made_up_pools((64,), COUNTS)
    assert pools.vectors
    assert pools.images.shape == (350, 64)


@dataclass
class Spec:
    """An algorithm whose steps take 0 seconds in the first half of the run, and 2 s by the clock in the second."""

    clock: list[float]
    epochs: int = 10

    def build(self, config: Any, train: TrainConfig, pools: Pools, device: torch.device) -> Any:
        return Slow(self.clock, self.epochs)


class Slow:
    steps_per_epoch = 7

    def __init__(self, clock: list[float], epochs: int) -> None:
        self.clock, self.epochs = clock, epochs

    def steps_in(self, epoch: int) -> int:
        return self.steps_per_epoch

    def steps(self, epoch: int) -> Iterator[dict[str, float]]:
        for step in range(self.steps_per_epoch):
            self.clock[0] += 50 if step == 0 else 2 if epoch >= self.epochs // 2 else 1
            yield {"loss": 0.0}

    def eval_model(self) -> torch.nn.Module:
        return build_net("simple_cnn", (1, 8, 8), 4, ([0.5], [1.0]))


def test_steps_of_every_part_of_the_run_are_counted_and_the_first_of_each_place_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "EPOCH_SECONDS", 0.0)
    found = estimate(Spec(clock), None, TrainConfig(), (1, 8, 8), COUNTS, CPU)
    # Places 1, 3, 5, 7, 9 of 10 epochs: epochs 0 to 4 at 1 s a step, 5 to 9 at 2 s; the clock stands still elsewhere.
    assert found.seconds == 7 * (5 * 1 + 5 * 2)
    assert found.how == "70 steps in 10 epochs"


def test_first_step_at_a_place_is_not_counted_where_it_would_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(Slow, "steps_per_epoch", 2)
    assert estimate(Spec(clock), None, TrainConfig(), (1, 8, 8), COUNTS, CPU).seconds == 2 * 15


def test_evaluation_of_all_images_counts_each_epoch_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "EPOCH_SECONDS", 0.0)

    def predict(model: Any, images: Any, rows: torch.Tensor, device: Any) -> None:
        clock[0] += len(rows)  # a second an image

    monkeypatch.setattr(module, "predict_logits", predict)
    found = estimate(Spec(clock), None, TrainConfig(), (1, 8, 8), COUNTS, CPU)
    assert found.seconds == 7 * 15 + 10 * (10 + 300) + 350


def test_run_of_single_steps_that_build_on_each_other_is_not_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slow, "steps_per_epoch", 1)
    found = estimate(Spec([0.0]), None, TrainConfig(), (1, 8, 8), COUNTS, CPU)
    assert found.seconds is None
    assert whole_round(found, TimeEstimate(40, ""), "CPU") == found


def test_round_adds_the_baseline_and_its_start() -> None:
    alone = whole_round(TimeEstimate(100, "1 step"), None, "CPU")
    assert alone == TimeEstimate(100 + module.START_SECONDS, "1 step, timed on CPU")
    beside = whole_round(TimeEstimate(100, "1 step"), TimeEstimate(40, ""), "CPU")
    assert beside.seconds == 140 + module.START_SECONDS
    assert "baseline" in beside.how


@pytest.mark.speed
def test_real_run_takes_about_as_long_as_estimated() -> None:
    train = TrainConfig(net="simple_cnn", epochs=3, steps_per_epoch=12, batch_size=16, device="cpu")
    spec = ALGORITHMS["pseudo_label"]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (350, 1, 16, 16), generator=generator, dtype=torch.uint8)
    rows = torch.arange(350)
    pools = Pools(images, rows[:40], rows[:40] % 4, rows[40:50], rows[40:50] % 4, rows[50:], 4)
    estimated, real = [], []
    for _ in range(3):  # the fastest of each: a busy machine slows some
        estimated.append(estimate(spec, spec.config(), train, (1, 16, 16), COUNTS, CPU).seconds or 0.0)
        began = time.perf_counter()
        for _ in loop.train(spec.build(spec.config(), train, pools, CPU), pools):
            pass
        real.append(time.perf_counter() - began)
    recording = train.epochs * module.EPOCH_SECONDS  # the loop alone records nothing
    assert 0.5 < (min(estimated) - recording) / min(real) < 2
