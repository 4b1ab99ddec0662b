"""Networks by name, built for the images of a run."""

from __future__ import annotations

import torch

from engine.errors import ConfigError
from engine.nets.backbones import torchvision_trunk
from engine.nets.classifier import Classifier, Normalize
from engine.nets.convnets import article_convnet, simple_cnn
from engine.nets.wide_resnet import wide_resnet

TORCHVISION = "torchvision:"
LEAST_SIDE = 4


def choose_net(name: str, channels: int, size: int) -> str:
    """Return what "auto" stands for: article_convnet for grey images up to 32 pixels, else simple_cnn."""
    if name != "auto":
        return name
    return "article_convnet" if channels == 1 and size <= 32 else "simple_cnn"


def build_net(
    name: str,
    shape: tuple[int, int, int],
    num_classes: int,
    statistics: tuple[list[float], list[float]],
    *,
    dropout: float = 0.0,
    weights: str = "",
) -> Classifier:
    """Return a classifier with fresh weights (torch's global generator), channels last in memory, on the CPU.

    Args:
        name: a name of `engine.training.config.NETS`, or "torchvision:<classifier>".
        shape: (C, H, W) of the images, sides at least 4.
        num_classes: K.
        statistics: mean and deviation per channel in 0..1; a pretrained network uses its own instead.
        dropout: share; article_convnet drops whole maps of its second convolution, the others features.
        weights: "DEFAULT" for a torchvision network's ImageNet weights.

    Raises:
        ConfigError: unknown name, too small images, or weights that are not there and cannot be downloaded.
    """
    channels, height, width = shape
    if min(height, width) < LEAST_SIDE:
        raise ConfigError(
            "The images are too small for any network",
            value=f"{height}×{width}",
            way_out=f"Train at a side of at least {LEAST_SIDE} pixels.",
        )
    name = choose_net(name, channels, min(height, width))
    mean, deviation = statistics
    if name == "article_convnet":
        trunk, features = article_convnet(channels, height, width, dropout)
        dropout = 0.0
    elif name == "simple_cnn":
        trunk, features = simple_cnn(channels, height, width)
    elif name == "wrn_28_2":
        trunk, features = wide_resnet(channels)
    elif name.startswith(TORCHVISION):
        trunk, features, own = torchvision_trunk(name.removeprefix(TORCHVISION), shape, weights)
        mean, deviation = own or (mean, deviation)
    else:
        raise ConfigError("Network is not known", value=name)
    net = Classifier(Normalize(mean, deviation), trunk, features, num_classes, dropout)
    return net.to(memory_format=torch.channels_last)
