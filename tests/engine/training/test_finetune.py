from __future__ import annotations

from itertools import islice

import pytest
import torch
import torch.nn.functional as F

from engine.training.config import TrainConfig
from engine.training.feed import Feed
from engine.training.finetune import closing_steps, finetune
from engine.training.learner import Learner
from engine.training.pools import Pools

CPU = torch.device("cpu")


@pytest.fixture
def made() -> tuple[TrainConfig, Feed, Learner]:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    rows = torch.arange(20)
    pools = Pools(images, rows[:8], rows[:8] % 2, rows[:0], rows[:0], rows[8:], 2)
    train = TrainConfig(
        batch_size=8, net="wrn_28_2", augment="none", dropout=0.5, momentum=0.0, weight_decay=0.0,
        precision="float32",
    )  # fmt: skip
    return train, Feed(train, pools, CPU), Learner(train, pools, CPU)


@pytest.mark.parametrize(
    ("share", "steps", "closing"), [(1 / 300, 300_000, 1000), (1 / 300, 30, 1), (0.05, 2400, 120), (0.0, 2400, 0)]
)
def test_closing_steps_are_a_share_of_the_run_and_one_at_least(share: float, steps: int, closing: int) -> None:
    assert closing_steps(share, steps) == closing


def test_each_step_is_plain_descent_on_the_labels_at_the_given_rate(made: tuple[TrainConfig, Feed, Learner]) -> None:
    """Batches hold all 8 labeled images, so the step by hand does not depend on their order."""
    train, feed, learner = made
    model = learner.ema.model
    x, y = feed.fetch(feed.rows), feed.y
    held = {name: p.clone().requires_grad_(True) for name, p in model.named_parameters()}
    loss = F.cross_entropy(torch.func.functional_call(model, held, (x,)), y)
    gradient = torch.autograd.grad(loss, list(held.values()))
    (told,) = finetune(learner, feed, train, 1, 0.25)
    torch.testing.assert_close(told["loss"], loss.detach())
    for p, old, part in zip(model.parameters(), held.values(), gradient, strict=True):
        torch.testing.assert_close(p, old.detach() - 0.25 * part, rtol=1e-4, atol=1e-5)


def test_the_average_moves_and_its_statistics_and_the_training_weights_do_not(
    made: tuple[TrainConfig, Feed, Learner],
) -> None:
    train, feed, learner = made
    buffers = [b.clone() for b in learner.ema.model.buffers()]
    average = [p.clone() for p in learner.ema.model.parameters()]
    own = [p.detach().clone() for p in learner.model.parameters()]
    assert len(list(finetune(learner, feed, train, 3, 0.1))) == 3
    assert all(torch.equal(a, b) for a, b in zip(buffers, learner.ema.model.buffers(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(own, learner.model.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(average, learner.ema.model.parameters(), strict=True))


@pytest.mark.parametrize("stop_after", [1, 3])
def test_the_average_asks_for_no_gradient_afterwards_even_when_stopped_early(
    made: tuple[TrainConfig, Feed, Learner], stop_after: int
) -> None:
    train, feed, learner = made
    steps = finetune(learner, feed, train, 3, 0.1)
    list(islice(steps, stop_after))
    steps.close()  # type: ignore[attr-defined]
    assert not any(p.requires_grad for p in learner.ema.model.parameters())
    assert not learner.ema.model.training


def test_frozen_parameters_stay_frozen(made: tuple[TrainConfig, Feed, Learner]) -> None:
    train, feed, learner = made
    for p in learner.model.trunk.parameters():
        p.requires_grad_(False)
    trunk = [p.clone() for p in learner.ema.model.trunk.parameters()]  # type: ignore[union-attr,operator]
    head = learner.ema.model.head.weight.clone()  # type: ignore[union-attr,operator]
    list(finetune(learner, feed, train, 2, 0.1))
    assert all(torch.equal(a, b) for a, b in zip(trunk, learner.ema.model.trunk.parameters(), strict=True))  # type: ignore[union-attr,operator]
    assert not torch.equal(head, learner.ema.model.head.weight)  # type: ignore[union-attr,operator]


def test_no_unlabeled_image_is_drawn(made: tuple[TrainConfig, Feed, Learner]) -> None:
    train, feed, learner = made
    position = feed.state_dict()["unlabeled"]["position"]
    list(finetune(learner, feed, train, 2, 0.1))
    assert feed.state_dict()["unlabeled"]["position"] == position
