from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.algorithms import pseudo_label
from engine.algorithms.pseudo_label import PseudoLabel, PseudoLabelConfig, alpha
from engine.errors import ConfigError, RoundBlocked
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")


def build(pools: Pools, *, epochs: int = 2, steps: int = 6, train: dict[str, Any] | None = None, **config: Any) -> Any:
    settings = {
        "net": "article_convnet",
        "batch_size": 4,
        "unlabeled_ratio": 2,
        "learning_rate": 0.1,
        "precision": "float32",
    }
    settings |= train or {}
    return PseudoLabel(
        PseudoLabelConfig(**config), TrainConfig(epochs=epochs, steps_per_epoch=steps, **settings), pools, CPU
    )


@pytest.mark.parametrize(
    ("t", "weight"), [(0, 0), (99.9, 0), (100, 0), (101, 3 / 500), (350, 1.5), (600, 3.0), (1e5, 3.0)]
)
def test_alpha_has_the_papers_values(t: float, weight: float) -> None:
    assert alpha(t, PseudoLabelConfig()) == pytest.approx(weight)


def test_alpha_of_the_article_reaches_its_end_at_700() -> None:
    config = PseudoLabelConfig(t2=700.0)
    assert [alpha(t, config) for t in (100, 400, 700)] == pytest.approx([0, 1.5, 3.0])


def test_equal_t1_and_t2_switch_at_once() -> None:
    config = PseudoLabelConfig(t1=5.0, t2=5.0)
    assert [alpha(t, config) for t in (4.9, 5.0)] == [0.0, 3.0]


def test_compressed_joint_run_goes_from_zero_to_the_horizon(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), epochs=4, steps=10, horizon=800.0)
    weights = [metrics["alpha"] for epoch in range(4) for metrics in run.steps(epoch)]
    # t = 20 * step: T1 = 100 at step 5, T2 = 600 at step 30
    assert weights[:6] == [0.0] * 6
    assert weights[6] == pytest.approx(3 * 20 / 500)
    assert weights[29] == pytest.approx(3 * 480 / 500)
    assert weights[30:] == [3.0] * 10


def test_joint_in_units_of_the_paper_counts_epochs(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), epochs=4, steps=2, units="paper", t1=1.0, t2=3.0)
    weights = [metrics["alpha"] for epoch in range(4) for metrics in run.steps(epoch)]
    assert weights == [0.0, 0.0, 0.0, 0.0, 1.5, 1.5, 3.0, 3.0]


def kinds(run: PseudoLabel, epochs: int) -> list[tuple[str, float]]:
    found = []
    for epoch in range(epochs):
        for metrics in run.steps(epoch):
            name = "".join(key[0] for key in ("labeled_loss", "unlabeled_loss") if key in metrics)
            found.append((name, metrics["alpha"]))
    return found


def test_interleaved_alternates_unlabeled_batches_with_a_labeled_epoch(make_pools: Callable[..., Pools]) -> None:
    # 12 labeled in batches of 4 are 3 steps; 2 unlabeled batches a cycle; an epoch of 4 batches has 2 cycles
    run = build(
        make_pools(), epochs=3, schedule="interleaved", units="paper", t1=2.0, t2=4.0,
        labeled_epoch_every=2, unlabeled_batches=3,
    )  # fmt: skip
    assert run.steps_per_epoch == 10
    found = kinds(run, 3)
    # T1 = 2 labeled epochs are 6 steps: the first recorded epoch, of labeled steps alone
    assert [kind for kind, _ in found[:10]] == ["l"] * 10
    assert [kind for kind, _ in found[10:]] == ["u", "u", "l", "l", "l"] * 4
    assert [weight for kind, weight in found if kind == "u"] == [0.0, 0.0, 1.5, 1.5, 3.0, 3.0, 3.0, 3.0]


def test_compressed_interleaved_ends_near_the_horizon(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), epochs=8, schedule="interleaved", labeled_epoch_every=2, unlabeled_batches=2)
    total = run.epochs * run.steps_per_epoch
    times = [run._schedule.at(step, total)[2] for step in range(total)]
    # warm-up 100 of 800 is 1 of 8 epochs; the other 7 epochs are one cycle each, 100 apart
    assert times[:5] == pytest.approx([0, 20, 40, 60, 80])
    assert [times[step] for step in range(5, total, 5)] == pytest.approx([100.0 * k for k in range(1, 8)])


def test_an_interleaved_run_that_is_all_warm_up_is_refused(make_pools: Callable[..., Pools]) -> None:
    with pytest.raises(ConfigError, match="before its first unlabeled step"):
        build(make_pools(), epochs=2, schedule="interleaved", units="paper", t1=1000.0, t2=2000.0)


def test_joint_loss_is_the_labeled_plus_alpha_times_the_unlabeled(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), units="paper", t1=0.0, t2=0.0, alpha_f=2.5)
    for metrics in run.steps(0):
        assert metrics["alpha"] == 2.5
        assert float(metrics["loss"]) == pytest.approx(
            float(metrics["labeled_loss"]) + 2.5 * float(metrics["unlabeled_loss"]), rel=1e-6
        )


def test_separate_has_the_labels_alone_and_then_the_unlabeled_images_alone(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), epochs=4, steps=2, schedule="separate", units="paper", t1=1.0, t2=3.0)
    assert kinds(run, 4) == [("l", 0.0)] * 2 + [("u", 0.0)] * 2 + [("u", 1.5)] * 2 + [("u", 3.0)] * 2


@pytest.mark.parametrize(("loss", "expected"), [("cross_entropy", -math.log(0.25)), ("squares", 0.75**2 + 3 * 0.25**2)])
def test_the_unlabeled_loss_is_the_one_asked_for(loss: str, expected: float, make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), t1=0.0, t2=0.0, loss=loss)
    with torch.no_grad():  # all four classes are equally probable
        run._learner.model.head.weight.zero_()
        run._learner.model.head.bias.zero_()
    assert float(next(run.steps(0))["unlabeled_loss"]) == pytest.approx(expected)


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(64), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(x.flatten(1).float()))
        return out


def test_labels_are_made_in_evaluation_mode_and_leave_every_buffer_bit_identical(
    make_pools: Callable[..., Pools],
) -> None:
    run = build(make_pools(), t1=0.0, t2=0.0)
    model = Norm().train()
    run._learner.model = model  # type: ignore[assignment]
    model.norm.running_mean += 300 * torch.rand(64, generator=torch.Generator().manual_seed(0))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    places = torch.arange(8)
    x = run._feed.fetch(run._feed.unlabeled_rows[places])
    targets, _ = run._targets(0, x, places)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.training
    in_training = model(x).argmax(1)
    assert torch.equal(targets, model.eval()(x).argmax(1))
    assert not torch.equal(targets, in_training)


@pytest.mark.parametrize(
    ("refresh", "passes"),
    [("epoch", [0, 1, 2, 3, 4]), ("k_epochs", [0, 2, 4]), ("frozen", [0])],
)
def test_stored_labels_are_refreshed_when_due(
    refresh: str, passes: list[int], make_pools: Callable[..., Pools], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build(make_pools(), epochs=5, refresh=refresh, refresh_every=2, units="paper", t1=0.0, t2=0.0)
    seen: list[int] = []
    real = pseudo_label.predict_logits

    def predict(*args: Any) -> Tensor:
        seen.append(epoch)
        return real(*args)

    monkeypatch.setattr(pseudo_label, "predict_logits", predict)
    for epoch in range(5):
        list(run.steps(epoch))
    assert seen == passes


def test_frozen_labels_are_made_after_the_warm_up_and_kept(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), epochs=4, refresh="frozen", units="paper", t1=2.0, t2=2.0)
    list(run.steps(0))
    list(run.steps(1))
    assert run._stored is None
    list(run.steps(2))
    made = run._stored[0].clone()
    list(run.steps(3))
    assert torch.equal(run._stored[0], made)


def test_used_share_counts_the_images_over_the_threshold(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), t1=0.0, t2=0.0, threshold=0.9)
    with torch.no_grad():  # logits depend on the brightness alone: bright quadrant or not, all images alike
        run._learner.model.head.weight.zero_()
        run._learner.model.head.bias.copy_(torch.tensor([9.0, 0, 0, 0]))
    assert float(next(run.steps(0))["used_share"]) == 1.0
    with torch.no_grad():
        run._learner.model.head.weight.zero_()
        run._learner.model.head.bias.zero_()
    metrics = next(run.steps(0))
    assert float(metrics["used_share"]) == 0.0
    assert float(metrics["unlabeled_loss"]) == 0.0


def test_soft_labels_and_temperature_reach_the_loss(make_pools: Callable[..., Pools]) -> None:
    run = build(make_pools(), hard=False, temperature=0.5)
    x = run._feed.fetch(run._feed.unlabeled_rows[:6])
    targets, confidence = run._targets(0, x, torch.arange(6))
    logits = run._learner.model.eval()(x)
    torch.testing.assert_close(targets, torch.softmax(2 * logits, 1).detach())
    torch.testing.assert_close(confidence, targets.max(1).values)


def test_without_unlabeled_images_the_round_is_blocked(make_pools: Callable[..., Pools]) -> None:
    with pytest.raises(RoundBlocked, match="no unlabeled image"):
        build(make_pools(unlabeled=0))


@pytest.mark.parametrize("bad", [{"t1": 5.0, "t2": 4.0}, {"t1": 800.0, "t2": 900.0}, {"refresh": "never"}])
def test_impossible_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PseudoLabelConfig(**bad)


@pytest.mark.parametrize("schedule", ["joint", "interleaved", "separate"])
def test_a_tiny_run_learns(schedule: str, make_pools: Callable[..., Pools]) -> None:
    pools = make_pools()
    run = build(
        pools, epochs=3, steps=15, schedule=schedule, labeled_epoch_every=4, train={"augment": "none", "ema_decay": 0.9}
    )
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
