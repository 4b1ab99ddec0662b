from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

from engine.nets.folding import folded


def settled(net: nn.Module) -> nn.Module:
    """Give batch normalisations statistics and weights that a mistake in folding would show."""
    generator = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    return net.eval().requires_grad_(False)


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


class Scaled(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.net(x.float() / 255), 1)


def test_a_timm_model_keeps_its_activations_and_its_features() -> None:
    body = Scaled(settled(timm.create_model("test_efficientnet", pretrained=False, num_classes=0)))
    images = torch.randint(0, 256, (6, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = body(images)
    made, width = folded(body, 96)
    assert norms(body) > 5
    assert norms(made) == 0
    assert any(type(module) is nn.ReLU or type(module) is nn.SiLU for module in made.modules())
    assert width == expected.shape[1]
    torch.testing.assert_close(made(images), expected, atol=1e-4, rtol=1e-3)


class Twice(nn.Module):
    """The convolution's output goes around its normalisation too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x)
        return (self.norm(made) + made).mean((2, 3))


class Apart(nn.Module):
    """Defined side by side, but not one after the other in the pass; and one normalisation used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.shared = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        made = self.norm(self.first(x).relu())
        return self.shared(self.shared(self.second(made))).mean((2, 3))


def test_what_is_not_a_plain_pair_stays_as_it_is() -> None:
    for body in (Twice(), Apart()):
        scaled = Scaled(settled(body))
        made, width = folded(scaled, 16)
        assert made is scaled
        assert width == 4
