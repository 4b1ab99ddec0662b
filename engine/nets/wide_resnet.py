"""WRN-28-2, the network of most semi-supervised papers.

Source: Zagoruyko and Komodakis, Wide Residual Networks, arXiv 1605.07146; LeakyReLU 0.1 as in Oliver et al.,
arXiv 1804.09170. Batch normalisation keeps torch's momentum 0.1 (0.001 would be stale in short runs).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

SLOPE = 0.1


class _Block(nn.Module):
    """Pre-activation residual block; where the shape changes, the shortcut starts after the activation."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.BatchNorm2d(before), nn.LeakyReLU(SLOPE))
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
        )
        same = before == after and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        shortcut = x if self.shortcut is None else self.shortcut(entered)
        return cast(Tensor, shortcut + self.body(entered))


def wide_resnet(channels: int, depth: int = 28, widen: int = 2) -> tuple[nn.Module, int]:
    """Return a WRN trunk and its feature width (128 for 28-2); any image side from 4 up, averaged at the end.

    Args:
        channels: of the images.
        depth: 6n + 4.
        widen: factor on the widths 16, 32, 64.
    """
    blocks = (depth - 4) // 6
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False)]
    before = 16
    for after, stride in ((16 * widen, 1), (32 * widen, 2), (64 * widen, 2)):
        for number in range(blocks):
            layers.append(_Block(before, after, stride if number == 0 else 1))
            before = after
    layers += [nn.BatchNorm2d(before), nn.LeakyReLU(SLOPE), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    trunk = nn.Sequential(*layers)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_out", nonlinearity="leaky_relu")
    return trunk, before
