"""Frozen pretrained features: a torchvision classifier with its ImageNet weights, without its last layer."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.nets.backbones import check_name, fetch_weights, torchvision_trunk
from engine.nets.classifier import Normalize
from engine.nets.precision import autocast

BATCH = 16
"""Images in one pass on the CPU; small, so that a stop is heard within seconds also with large networks."""
BATCH_GPU = 256


@dataclass(frozen=True)
class FrozenTrunk:
    """A network whose weights never change: `body` takes (B, 3, side, side) with values 0..255 and returns (B, width)
    features."""

    name: str
    body: nn.Module
    width: int
    side: int


def weights_of(name: str) -> Path:
    """Return the file of a network's ImageNet weights, downloading it when it is not there.

    Raises:
        ConfigError: no classifier of that name, or weights that are not to be had; names the file, its place, its
        source.
    """
    check_name(name)
    return fetch_weights(name, _enum(name).url)


def side_of(name: str) -> int:
    """Return the side in pixels of the images the network's weights were measured with."""
    return int(_enum(name).transforms().crop_size[0])


def load_frozen(name: str, device: torch.device) -> FrozenTrunk:
    """Return a network with its ImageNet weights on the device, in evaluation mode; never a random start.

    Args:
        name: as in `torchvision.models.get_model`.
        device: where it computes.

    Raises:
        ConfigError: no classifier of that name, or weights that are not to be had.
    """
    check_name(name)
    side = side_of(name)
    trunk, width, own = torchvision_trunk(name, (3, side, side), "DEFAULT")
    assert own is not None
    body = folded(nn.Sequential(Normalize(*own), trunk).eval().requires_grad_(False))
    return FrozenTrunk(name, body.to(device).to(memory_format=torch.channels_last), width, side)


def folded(body: nn.Module) -> nn.Module:
    """Return the network in evaluation mode with each batch normalisation that follows a convolution in a sequence made
    part of it: the same features up to rounding, in half the time on a CPU. It is changed in place."""
    for sequence in [module for module in body.modules() if isinstance(module, nn.Sequential)]:
        for (name, first), (after, second) in list(itertools.pairwise(sequence.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(sequence, name, fuse_conv_bn_eval(first, second))
                setattr(sequence, after, nn.Identity())
    return body


def batch_size(device: torch.device) -> int:
    """Return how many images one pass takes on the device."""
    return BATCH if device.type == "cpu" else BATCH_GPU


def features_of(trunk: FrozenTrunk, images: Tensor, device: torch.device, precision: str = "auto") -> Tensor:
    """Return the features (n, D) float32 on the CPU of images (n, C, H, W) uint8.

    Grey images are repeated in three channels; images of another side than the network's are resized to it.
    When the device's memory runs out the batch is halved, down to one image.

    Args:
        trunk: the network, on the device.
        images: C 1 or 3.
        device: where to compute.
        precision: "auto", "float32" or "bfloat16".

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    size = batch_size(device)
    parts: list[Tensor] = [torch.empty(0, trunk.width)]
    done = 0
    while done < len(images):
        try:
            with torch.inference_mode(), autocast(precision, device, inference=True):
                batch = _fit(images[done : done + size].to(device), trunk.side)
                parts.append(trunk.body(batch).float().cpu())
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        done += size
    return torch.cat(parts)


def _fit(images: Tensor, side: int) -> Tensor:
    """Return (B, 3, side, side) of images (B, 1 or 3, H, W), values 0..255."""
    images = images.expand(-1, 3, -1, -1)
    if images.shape[2:] != (side, side):
        images = F.interpolate(images.float(), size=(side, side), mode="bicubic", antialias=True).clamp(0, 255)
    return images


def _enum(name: str) -> Any:
    return torchvision.models.get_model_weights(name).DEFAULT
