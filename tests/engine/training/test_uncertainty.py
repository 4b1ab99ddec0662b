"""Mutual information by dropout, against values derived by hand."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.nets.classifier import Classifier, Normalize
from engine.training import uncertainty

LN2 = log(2)


class Coin(nn.Module):
    """Says class 0 when its one input value survives dropout, class 1 when it is dropped, both with certainty."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(p)
        self.norm = nn.BatchNorm1d(1)
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(self.norm.training)
        kept = (self.drop(torch.ones(len(x), 1)) > 0).float()
        return 200.0 * torch.cat([kept, 1 - kept], 1) * self.weight


def test_masks_that_contradict_each_other_give_ln_2_and_ones_that_agree_nothing() -> None:
    sure = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # one image, two masks: mean (1/2, 1/2) has entropy ln 2, each mask has 0
    assert uncertainty.mutual_information(sure[:, None]).tolist() == [pytest.approx(LN2)]
    # both masks say (1/2, 1/2): ln 2 - ln 2
    assert uncertainty.mutual_information(torch.full((2, 1, 2), 0.5)).tolist() == [0.0]
    # (1, 0) and (1/2, 1/2): H(3/4, 1/4) - ln 2 / 2
    mixed = torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]])
    expected = -(0.75 * log(0.75) + 0.25 * log(0.25)) - LN2 / 2
    assert uncertainty.mutual_information(mixed).tolist() == [pytest.approx(expected)]


def test_the_result_is_that_of_the_masks_drawn() -> None:
    # k of 10 masks say class 1: every value is H(k/10), and over many images the mean k is near 5
    found = uncertainty.mc_dropout(Coin(0.5), torch.zeros(400, 1), torch.arange(400), seed=3)
    assert found is not None
    possible = np.array([0.0, *(-(q * log(q) + (1 - q) * log(1 - q)) for q in (0.1, 0.2, 0.3, 0.4, 0.5))])
    nearest = np.abs(found[:, None] - possible).argmin(1)
    np.testing.assert_allclose(found, possible[nearest], atol=1e-6)
    # P(k = 5) = C(10,5)/2^10 = 0.246: 98 of 400 expected, standard deviation 8.6
    assert 65 < (nearest == 5).sum() < 132


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    images, rows = torch.zeros(300, 1), torch.arange(300)
    first, again, other = (uncertainty.mc_dropout(Coin(0.5), images, rows, seed=seed) for seed in (1, 1, 2))
    assert first is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("net", [nn.Linear(1, 2), nn.Sequential(nn.Dropout(0.0), nn.Linear(1, 2))])
def test_a_network_without_dropout_has_none(net: nn.Module) -> None:
    assert uncertainty.mc_dropout(net, torch.zeros(3, 1), torch.arange(3)) is None


def test_model_modes_and_random_stream_stay_as_they_were() -> None:
    net = Coin(0.5)
    net.train()
    net.norm.eval()
    torch.manual_seed(5)
    before, weights = torch.get_rng_state(), {name: value.clone() for name, value in net.state_dict().items()}
    uncertainty.mc_dropout(net, torch.zeros(3, 1), torch.arange(3), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert (net.training, net.drop.training, net.norm.training) == (True, True, False)
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_normalisation_stays_in_evaluation_mode() -> None:
    net = Coin(0.5).train()
    uncertainty.mc_dropout(net, torch.zeros(3, 1), torch.arange(3))
    assert net.seen == [False] * uncertainty.PASSES


class Counting(nn.Module):
    """Two features; counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return z


def test_dropout_after_the_features_needs_one_pass_of_the_trunk() -> None:
    trunk = Counting()
    net = Classifier(Normalize([0.0, 0.0], [1.0, 1.0], vectors=True), trunk, 2, 2, 0.5)
    with torch.no_grad():
        net.head.weight.copy_(100 * torch.eye(2))
        net.head.bias.zero_()
    found = uncertainty.mc_dropout(net, torch.ones(50, 2), torch.arange(50), seed=1)
    assert trunk.calls == 1
    # of (1, 1) masks leave (2, 2), (2, 0), (0, 2) or (0, 0): answers differ for nearly every image
    assert found is not None
    assert (found > 0.1).sum() > 40


def test_a_stop_is_heard_between_two_passes() -> None:
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    net = Coin(0.5)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        uncertainty.mc_dropout(net, torch.zeros(3, 1), torch.arange(3), between=stop)
    assert len(net.seen) == 3
    assert torch.equal(torch.get_rng_state(), before)
