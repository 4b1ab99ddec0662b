from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError
from engine.nets.build import build_net


def test_a_frozen_network_gets_a_linear_classifier_that_starts_undecided_and_whose_features_are_its_logits() -> None:
    net = build_net("frozen:mobilenet_v2", (6,), 4, ([1.0] * 6, [2.0] * 6)).eval()
    x = torch.randn(5, 6)
    assert torch.equal(net(x), torch.zeros(5, 4))
    with torch.no_grad():
        net.trunk[1].weight.copy_(torch.eye(4, 6))  # type: ignore[index, operator, union-attr]
    torch.testing.assert_close(net(x), ((x - 1) / 2)[:, :4])
    torch.testing.assert_close(net.features(x), net(x))


def test_the_perceptron_takes_vectors_normalised_per_dimension() -> None:
    net = build_net("auto", (2,), 3, ([0.0, 10.0], [1.0, 5.0]), dropout=0.0).eval()
    x = torch.tensor([[1.0, 10.0], [0.0, 15.0]])
    assert net.normalize(x).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert net.features(x).shape == (2, 128)
    torch.testing.assert_close(net(x), net.normalized_logits(net.normalize(x)))


@pytest.mark.parametrize(("net", "shape"), [("wrn_28_2", (6,)), ("mlp", (1, 8, 8))])
def test_a_network_for_the_other_kind_of_input_is_refused(net: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="takes"):
        build_net(net, shape, 2, ([0.0] * shape[0], [1.0] * shape[0]))
