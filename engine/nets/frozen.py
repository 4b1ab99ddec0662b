"""Frozen pretrained features: networks whose weights never change, without their last layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.nets import packaged, timm_nets
from engine.nets.backbones import torchvision_backbone
from engine.nets.folding import folded
from engine.nets.net_name import JOINED, FeatureSource, NetName
from engine.nets.precision import autocast
from engine.nets.weights import Backbone, quiet
from engine.records.progress import Progress

BATCH = 16
"""Images in one pass on the CPU; small, so that a stop is heard within seconds also with large networks."""
BATCH_GPU = 256
PASS_A_THREAD = 4
"""Images a thread of the CPU in one pass, whose intermediate arrays then stay in its cache."""


@dataclass(frozen=True)
class FrozenTrunk:
    """A network whose weights never change: `body` takes (B, 3, side, side) with values 0..255 and returns (B, width)
    features. `resample` is how Pillow is to bring images to that side."""

    name: str
    body: nn.Module
    width: int
    side: int
    resample: Literal["bicubic", "bilinear"] = "bicubic"


def backbone(name: str) -> Backbone:
    """Return the pretrained network of a name, see `FeatureSource.name`; nothing is loaded or fetched.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == packaged.NAME:
        return packaged.packaged_backbone()
    if name.startswith(timm_nets.PREFIX):
        return timm_nets.timm_backbone(name)
    return torchvision_backbone(name)


def check(net: str) -> tuple[FeatureSource, ...]:
    """Return the sources that a "frozen:" name joins, each known and none named twice; nothing is loaded or fetched.

    Raises:
        ConfigError: one is not known, or named twice.
    """
    sources = NetName.parse(net).sources
    if len(set(sources)) < len(sources):
        raise ConfigError(
            "A network is named twice", value=net, way_out=f'Join different ones, as in "frozen:a{JOINED}b".'
        )
    for source in sources:
        backbone(source.name)
    return sources


def weights_of(name: str, progress: Progress = quiet) -> Path:
    """Return the file of a network's weights, downloading it when it is not there.

    Raises:
        ConfigError: no network of that name, or weights that are not to be had; names the file, its place, its source.
    """
    return backbone(name).fetch(progress)


def load_frozen(name: str, device: torch.device, progress: Progress = quiet) -> FrozenTrunk:
    """Return a network with its pretrained weights on the device, in evaluation mode; never a random start.

    Args:
        name: as in `FeatureSource.name`.
        device: where it computes.
        progress: told of a download.

    Raises:
        ConfigError: no network of that name, or weights that are not to be had.
    """
    known = backbone(name)
    body = known.build(known.fetch(progress)).eval().requires_grad_(False)
    body, width = folded(body, known.side)
    body = body.to(device).to(memory_format=torch.channels_last)
    return FrozenTrunk(name, body, width, known.side, known.resample)


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
    if device.type == "cpu":
        size = min(size, PASS_A_THREAD * torch.get_num_threads())
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
