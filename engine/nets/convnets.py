"""The two small convolutional trunks: the article's net for grey images, simple_cnn for colour ones."""

from __future__ import annotations

from torch import nn

VALID_SIDE = 20
"""Below this side the article's 5×5 convolutions are padded, since unpadded ones would leave nothing."""
SIMPLE_SIDE = 8
"""simple_cnn adds blocks until its map is at most this wide, so that its first linear layer stays small."""


def article_convnet(channels: int, height: int, width: int, dropout: float) -> tuple[nn.Module, int]:
    """Return the article's trunk and its feature width 150: conv 5×5 20, conv 5×5 40, Dropout2d, FC 150.

    At 28×28 it is the article's net exactly (640-150-K; logits without the article's final ReLU). Sides below 20,
    such as 8×8 digits, get convolutions padded by 2 that keep the side, and the same two 2×2 poolings: 8×8
    ends at 2×2×40 = 160 inputs of the linear layer. The smallest side is 4.
    """
    padding = 0 if min(height, width) >= VALID_SIDE else 2
    rows, columns = ((((side - 4 + 2 * padding) // 2) - 4 + 2 * padding) // 2 for side in (height, width))
    trunk = nn.Sequential(
        nn.Conv2d(channels, 20, 5, padding=padding),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(20, 40, 5, padding=padding),
        nn.Dropout2d(dropout),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(40 * rows * columns, 150),
        nn.ReLU(),
    )
    return trunk, 150


def simple_cnn(channels: int, height: int, width: int) -> tuple[nn.Module, int]:
    """Return a trunk of 3×3 convolution blocks and its feature width 128: 32 and 64 filters, pooled by 2
    each, FC 128.

    32×32 has those two blocks; wider images get further blocks of 128 filters until the map is at most 8×8.
    """
    layers: list[nn.Module] = []
    before, after = channels, 32
    rows, columns = height, width
    while len(layers) < 6 or max(rows, columns) > SIMPLE_SIDE:
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        rows, columns = -(-rows // 2), -(-columns // 2)
        before, after = after, min(2 * after, 128)
    layers += [nn.Flatten(), nn.Linear(before * rows * columns, 128), nn.ReLU()]
    return nn.Sequential(*layers), 128
