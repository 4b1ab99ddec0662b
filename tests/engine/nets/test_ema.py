from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets.ema import Ema


def model(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    net[1].running_mean.fill_(value)
    net[1].num_batches_tracked.fill_(int(value))
    return net


def test_after_k_steps_weights_and_buffers_have_the_closed_form() -> None:
    ema = Ema(model(0.0), decay=0.9)
    ema._count = 10**6  # past the first steps the decay is constant
    moving = model(1.0)
    for _ in range(5):
        ema.update(moving)
    wanted = 1 - 0.9**5
    assert float(ema.model[0].weight[0, 0]) == pytest.approx(wanted, rel=1e-5)
    assert float(ema.model[1].running_mean[0]) == pytest.approx(wanted, rel=1e-5)
    assert float(ema.model[1].weight[0]) == pytest.approx(wanted, rel=1e-5)
    assert int(ema.model[1].num_batches_tracked) == 1


def test_the_first_steps_forget_faster() -> None:
    ema = Ema(model(0.0), decay=0.999)
    values = []
    for value in (1.0, 1.0):
        ema.update(model(value))
        values.append(float(ema.model[0].bias[0]))
    # d = 1/10, then 2/11
    assert values == pytest.approx([0.9, 0.9 * 2 / 11 + 9 / 11])


def test_the_average_is_apart_from_the_model_and_asks_for_no_gradient() -> None:
    net = model(1.0)
    ema = Ema(net, decay=0.5)
    with torch.no_grad():
        net[0].weight.fill_(7.0)
    assert float(ema.model[0].weight[0, 0]) == 1.0
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert not ema.model.training


def test_a_restored_average_continues_alike() -> None:
    one, two = Ema(model(0.0), 0.99), Ema(model(3.0), 0.99)
    one.update(model(1.0))
    two.load_state_dict(one.state_dict())
    one.update(model(2.0))
    two.update(model(2.0))
    assert torch.equal(one.model[0].weight, two.model[0].weight)
