"""Networks by name, built for the images of a run."""

from __future__ import annotations

import torch

from engine.errors import ConfigError
from engine.nets.backbones import torchvision_trunk
from engine.nets.classifier import Classifier, Normalize
from engine.nets.convnets import article_convnet, simple_cnn
from engine.nets.net_name import NetName
from engine.nets.tuned import tuned_trunk
from engine.nets.vector_nets import linear_classifier, mlp
from engine.nets.wide_resnet import wide_resnet

LEAST_SIDE = 4


def choose_net(name: str, channels: int, size: int) -> str:
    """Return what "auto" stands for: article_convnet for grey images up to 32 pixels, else simple_cnn."""
    if name != "auto":
        return name
    return "article_convnet" if channels == 1 and size <= 32 else "simple_cnn"


def build_net(
    name: str,
    shape: tuple[int, ...],
    num_classes: int,
    statistics: tuple[list[float], list[float]],
    *,
    dropout: float = 0.0,
    weights: str = "",
    tuned_blocks: int = 2,
) -> Classifier:
    """Return a classifier with fresh weights (torch's global generator), channels last in memory, on the CPU.

    Args:
        name: of a network, see `engine.nets.net_name`; a frozen one takes vectors, the features of its trunk.
        shape: (C, H, W) of the images, sides at least 4; (D,) of vectors.
        num_classes: K.
        statistics: mean and deviation per channel in 0..1, or per dimension of vectors; a pretrained network uses
            its own instead.
        dropout: share; article_convnet drops whole maps of its second convolution, the others features.
        weights: "DEFAULT" for a torchvision network's ImageNet weights.
        tuned_blocks: of a "tuned:" network, how many of its last blocks learn; 0: all weights.

    Raises:
        ConfigError: unknown name, too small images, a network that does not take these inputs, or weights that are
            not there and cannot be downloaded.
    """
    if len(shape) == 1:
        return _vector_net(name, shape[0], num_classes, statistics, dropout)
    channels, height, width = shape
    if min(height, width) < LEAST_SIDE:
        raise ConfigError(
            "The images are too small for any network",
            value=f"{height}×{width}",
            way_out=f"Train at a side of at least {LEAST_SIDE} pixels.",
        )
    net_name = NetName.parse(choose_net(name, channels, min(height, width)))
    mean, deviation = statistics
    if net_name.is_tuned:
        normalize, tuned, width = tuned_trunk(net_name.base, (channels, height, width), tuned_blocks)
        return Classifier(normalize, tuned, width, num_classes, dropout).to(memory_format=torch.channels_last)
    if net_name.is_torchvision:
        trunk, features, own = torchvision_trunk(net_name.base, (channels, height, width), weights)
        mean, deviation = own or (mean, deviation)
    elif str(net_name) == "article_convnet":
        trunk, features = article_convnet(channels, height, width, dropout)
        dropout = 0.0
    elif str(net_name) == "simple_cnn":
        trunk, features = simple_cnn(channels, height, width)
    elif str(net_name) == "wrn_28_2":
        trunk, features = wide_resnet(channels)
    else:
        raise ConfigError(
            "This network takes vectors, not images" if net_name.is_vector else "Network is not known", value=name
        )
    net = Classifier(Normalize(mean, deviation), trunk, features, num_classes, dropout)
    return net.to(memory_format=torch.channels_last)


def _vector_net(
    name: str, width: int, num_classes: int, statistics: tuple[list[float], list[float]], dropout: float
) -> Classifier:
    """Return a classifier of vectors (B, D): for frozen features a linear one."""
    normalize = Normalize(*statistics, vectors=True)
    if name == "linear" or NetName.parse(name).is_frozen:
        return linear_classifier(normalize, width, num_classes, dropout)
    if name not in ("auto", "mlp"):
        raise ConfigError("This network takes images, not vectors", value=name, way_out="Choose auto, mlp or linear.")
    trunk, features = mlp(width)
    return Classifier(normalize, trunk, features, num_classes, dropout)
