from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets.tuned import TunedTrunk
from engine.training.config import TrainConfig
from engine.training.feed import LEAST_STEPS, RowStream, steps_per_epoch
from engine.training.optim import clip_gradients, cosine, make_optimizer, rate_shares, set_rate
from engine.training.pools import Pools


def test_every_row_comes_once_before_any_comes_twice() -> None:
    stream = RowStream(torch.arange(10), seed=0)
    drawn = torch.cat([stream.take(4) for _ in range(5)])
    assert sorted(drawn[:10].tolist()) == sorted(drawn[10:].tolist()) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()


def test_a_batch_larger_than_the_pool_repeats_it() -> None:
    assert RowStream(torch.arange(3), seed=0).take(9).bincount().tolist() == [3, 3, 3]


def test_a_restored_stream_draws_the_same_rows() -> None:
    stream, other = RowStream(torch.arange(7), seed=0), RowStream(torch.arange(7), seed=9)
    stream.take(5)
    other.load_state_dict(stream.state_dict())
    assert torch.equal(stream.take(20), other.take(20))


def pools(labeled: int, unlabeled: int) -> Pools:
    rows = torch.arange(labeled + unlabeled)
    none = rows[:0]
    images = torch.zeros(len(rows), 1, 4, 4, dtype=torch.uint8)
    return Pools(images, rows[:labeled], torch.zeros(labeled, dtype=torch.int64), none, none, rows[labeled:], 2)


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "asked", "steps"),
    [(100, 10_001, 0, 51), (10_001, 100, 0, 201), (5, 5, 0, LEAST_STEPS), (100, 10_001, 7, 7)],
)
def test_an_epoch_is_one_pass_over_the_larger_pool(labeled: int, unlabeled: int, asked: int, steps: int) -> None:
    train = TrainConfig(batch_size=50, unlabeled_ratio=4, steps_per_epoch=asked)
    assert steps_per_epoch(train, pools(labeled, unlabeled)) == steps


def test_weight_decay_spares_biases_and_normalisation() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    decayed, spared = make_optimizer(model, TrainConfig(weight_decay=0.01)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert len(spared["params"]) == 4


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_pretrained_blocks_learn_at_a_tenth_of_the_rate_through_the_whole_schedule(name: str) -> None:
    body = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    body[0].requires_grad_(False)
    model = nn.Sequential(TunedTrunk(body), nn.Linear(2, 1))
    train = TrainConfig(optimizer=name, learning_rate=0.4, weight_decay=0.01)  # type: ignore[arg-type]
    optimizer = make_optimizer(model, train)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.4, 0.04, 0.04])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0, 0.01, 0.0]
    taken = [[p for p in group["params"]] for group in optimizer.param_groups]
    assert [len(params) for params in taken] == [1, 1, 1, 1]
    assert taken[2][0] is body[1].weight
    for step in range(5):
        set_rate(optimizer, 0.4 * cosine(step, 5))
        fast, _, slow, _ = (group["lr"] for group in optimizer.param_groups)
        assert slow == pytest.approx(0.1 * fast)
        assert fast == pytest.approx(0.4 * cosine(step, 5))
    assert rate_shares(optimizer)[body[1].weight] == 0.1
    other = make_optimizer(model, train)
    other.load_state_dict(optimizer.state_dict())
    set_rate(other, 1.0)
    assert [group["lr"] for group in other.param_groups] == pytest.approx([1.0, 1.0, 0.1, 0.1])


@pytest.mark.parametrize(("name", "moved"), [("sgd", 0.1 * 0.02 * 1.9), ("adam", 0.1)])
def test_the_first_step_of_each_optimizer(name: str, moved: float) -> None:
    model = nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer(model, TrainConfig(optimizer=name, learning_rate=0.1, weight_decay=0.0))  # type: ignore[arg-type]
    before = float(model.weight.detach())
    model.weight.grad = torch.tensor([[0.02]])
    optimizer.step()
    # Nesterov: rate × (gradient + 0.9 × gradient); Adam: the rate, however small the gradient
    assert before - float(model.weight.detach()) == pytest.approx(moved, rel=1e-4)


def test_adam_decays_the_weights_themselves_and_spares_biases() -> None:
    model = nn.Linear(1, 1)
    optimizer = make_optimizer(model, TrainConfig(optimizer="adam", learning_rate=0.1, weight_decay=0.5))
    with torch.no_grad():
        model.weight.fill_(4.0)
        model.bias.fill_(2.0)
    model.weight.grad, model.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    optimizer.step()
    assert float(model.weight.detach()) == pytest.approx(4.0 * (1 - 0.1 * 0.5))
    assert float(model.bias.detach()) == 2.0


@pytest.mark.parametrize(("limit", "after"), [(1.0, 1.0), (0.0, 5.0), (10.0, 5.0)])
def test_gradients_are_limited_by_their_joint_norm(limit: float, after: float) -> None:
    model = nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert float(clip_gradients(model, limit)) == 5.0
    norm = torch.cat([model.weight.grad.flatten(), model.bias.grad]).norm()
    assert float(norm) == pytest.approx(after, rel=1e-5)
