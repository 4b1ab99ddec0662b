"""Frozen features: of pretrained networks, whose weights never change, without their last layer; and of gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.nets import clip_nets, packaged, timm_nets, weights
from engine.nets.backbones import torchvision_backbone
from engine.nets.folding import folded
from engine.nets.hog import WIDTH, Gradients, Hog
from engine.nets.net_name import GRADIENTS, JOINED, TEXT_IMAGE, FeatureSource, NetName
from engine.nets.precision import autocast
from engine.nets.weights import Backbone, quiet
from engine.records.progress import Progress

BATCH = 16
"""Images taken at once on the CPU; few, so that a stop is heard within seconds also with large networks."""
BATCH_GPU = 256
PASS_A_THREAD = 4
"""Images in one pass of a thread of the CPU, whose intermediate arrays then stay in its cache."""
BATCH_LIGHT = 256
"""Of what takes less time than decoding the images."""


@dataclass(frozen=True)
class FrozenTrunk:
    """A network whose weights never change: `body` takes (B, channels, side, side) with values 0..255 and returns
    (B, width) features. `resample` is how Pillow is to bring images to that side. `light`: takes less time than
    decoding."""

    name: str
    body: nn.Module
    width: int
    side: int
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    channels: int = 3
    light: bool = False


def source_of(name: str) -> Backbone | Gradients:
    """Return what gives the features of a name, see `FeatureSource.name`; nothing is loaded or fetched.

    Raises:
        ConfigError: there is none of that name.
    """
    return Gradients() if name == GRADIENTS else backbone(name)


def backbone(name: str) -> Backbone:
    """Return the pretrained network of a name, see `FeatureSource.name`; nothing is loaded or fetched.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == packaged.NAME:
        return packaged.packaged_backbone()
    if name.startswith(timm_nets.PREFIX):
        return timm_nets.timm_backbone(name)
    if name.startswith(TEXT_IMAGE):
        return clip_nets.clip_backbone(name)
    return torchvision_backbone(name)


def weights_here(name: str) -> bool:
    """Return whether the weights of a network that there is are on this machine; quick where they are not."""
    others = timm_nets.PREFIX, TEXT_IMAGE
    of_torchvision = name not in (GRADIENTS, packaged.NAME) and not name.startswith(others)
    if of_torchvision and not any(weights.folder().glob(f"{name.partition('_')[0]}*")):
        return False  # torchvision takes seconds to import; its files' names begin with the network's family
    return source_of(name).here


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
        source_of(source.name)
    return sources


def load_frozen(name: str, device: torch.device, progress: Progress = quiet) -> FrozenTrunk:
    """Return a network with its pretrained weights on the device, in evaluation mode; never a random start.

    Args:
        name: as in `FeatureSource.name`.
        device: where it computes.
        progress: told of a download.

    Raises:
        ConfigError: no network of that name, or weights that are not to be had.
    """
    known = source_of(name)
    if isinstance(known, Gradients):
        return FrozenTrunk(name, Hog(), WIDTH, known.side, known.resample, known.channels, light=True)
    body = known.build(known.fetch(progress)).eval().requires_grad_(False)
    body, width = folded(body, known.side)
    body = body.to(device).to(memory_format=torch.channels_last)
    return FrozenTrunk(name, body, width, known.side, known.resample)


def batch_size(device: torch.device, *, light: bool) -> int:
    """Return how many images are best taken at once on the device. light: see `FrozenTrunk.light`."""
    if light:
        return BATCH_LIGHT
    return max(BATCH, PASS_A_THREAD * torch.get_num_threads()) if device.type == "cpu" else BATCH_GPU


def features_of(trunk: FrozenTrunk, images: Tensor, device: torch.device, precision: str = "auto") -> Tensor:
    """Return the features (n, D) float32 on the CPU of images (n, C, H, W) uint8.

    Grey images are repeated in three channels; images of another side than the network's are resized to it.
    When the device's memory runs out the batch is halved, down to one image.

    Args:
        trunk: the network, on the device.
        images: C 1, or as many channels as the network takes.
        device: where to compute.
        precision: "auto", "float32" or "bfloat16".

    Raises:
        torch.OutOfMemoryError: not even one image fits.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or trunk.light or threads == 1:
        return _passes(trunk, images, device, precision, batch_size(device, light=trunk.light))
    # a pass of its own on each thread takes two thirds of the time of one pass on all
    chunks = [images[first : first + PASS_A_THREAD] for first in range(0, len(images), PASS_A_THREAD)]
    if not chunks:
        return torch.empty(0, trunk.width)
    try:
        with ThreadPoolExecutor(threads, "features", initializer=lambda: torch.set_num_threads(1)) as pool:
            each = list(pool.map(lambda chunk: _passes(trunk, chunk, device, precision, PASS_A_THREAD), chunks))
    finally:
        torch.set_num_threads(threads)  # it is the default of threads to come, too
    return torch.cat(each)


def _passes(trunk: FrozenTrunk, images: Tensor, device: torch.device, precision: str, size: int) -> Tensor:
    """Return the features of images in passes of `size`, which is halved when memory runs out."""
    parts: list[Tensor] = [torch.empty(0, trunk.width)]
    done = 0
    while done < len(images):
        try:
            with torch.inference_mode(), autocast(precision, device, inference=True):
                batch = _fit(images[done : done + size].to(device), trunk)
                parts.append(trunk.body(batch).float().cpu())
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        done += size
    return torch.cat(parts)


def _fit(images: Tensor, trunk: FrozenTrunk) -> Tensor:
    """Return (B, channels, side, side) of images (B, 1 or channels, H, W), values 0..255."""
    images, side = images.expand(-1, trunk.channels, -1, -1), trunk.side
    if images.shape[2:] != (side, side):
        images = F.interpolate(images.float(), size=(side, side), mode=trunk.resample, antialias=True).clamp(0, 255)
    return images
