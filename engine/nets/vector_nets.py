"""Networks for vectors: a small perceptron, and the linear classifier that quick rounds put on frozen features."""

from __future__ import annotations

from torch import nn

from engine.nets.classifier import Classifier, Normalize

WIDTH = 128


def mlp(width: int) -> tuple[nn.Module, int]:
    """Return a trunk of two hidden layers of 128 for vectors of `width` values, and its feature width 128."""
    return nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()), WIDTH


def linear_classifier(normalize: Normalize, width: int, num_classes: int, dropout: float) -> Classifier:
    """Return a linear classifier of vectors (B, width) whose `features` are its K logits.

    The input never changes, so the logits are what can be seen moving on a map. Starts at 0: every class is equally
    likely.
    """
    layer = nn.Linear(width, num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    net = Classifier(normalize, nn.Sequential(nn.Dropout(dropout), layer), num_classes, num_classes, 0.0)
    net.head = nn.Identity()
    return net
