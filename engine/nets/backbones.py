"""Any torchvision classifier as a trunk, from scratch or from its ImageNet weights."""

from __future__ import annotations

import os
import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.nets import weights
from engine.nets.classifier import Normalize
from engine.nets.net_name import NetName
from engine.nets.weights import Backbone
from engine.records.progress import Progress

SIDES = (32, 64, 96, 128, 224)
"""Sides tried, in this order, for images too small for a network; the first it accepts is used."""


class TorchvisionTrunk(nn.Module):
    """A torchvision classifier without its last layer; grey images are repeated, small ones enlarged."""

    def __init__(self, body: nn.Module, side: int | None) -> None:
        super().__init__()
        self.body = body
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of normalised images (B, 1 or 3, H, W)."""
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.side is not None:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=False)
        return cast(Tensor, self.body(x)).flatten(1)


def torchvision_trunk(
    name: str, shape: tuple[int, int, int], start: str
) -> tuple[nn.Module, int, tuple[list[float], list[float]] | None]:
    """Return (trunk, feature width, normalisation of the weights or None) of a torchvision classifier.

    Images that the network cannot take as they are (too small, or not its one size) are enlarged to the
    first of 32, 64, 96, 128, 224 that it accepts; this is tried without computing.

    Args:
        name: as in `torchvision.models.get_model`.
        shape: (C, H, W) of the images, C 1 or 3.
        start: "" for a random start, "DEFAULT" for the ImageNet weights.

    Raises:
        ConfigError: no classifier of that name, no last linear layer, or weights that are not to be had.
            There is never a random start in place of weights that were asked for.
    """
    check_name(name)
    side, width = _fit(name, shape)
    own = None
    if start:
        enum = _models().get_model_weights(name).DEFAULT
        fetch_weights(name, enum.url)
        body = _models().get_model(name, weights=enum, progress=False)
        preset = enum.transforms()
        own = (list(preset.mean), list(preset.std))
        for auxiliary in ("aux1", "aux2", "AuxLogits"):
            if getattr(body, auxiliary, None) is not None:
                setattr(body, auxiliary, None)
                body.aux_logits = False
    else:
        body = _bare(name)
    _cut(body, name)
    return TorchvisionTrunk(body, side), width, own


@lru_cache(maxsize=64)
def check_name(name: str) -> None:
    """Raise unless torchvision has a classifier of this name whose last layer can be replaced; computes nothing.

    Raises:
        ConfigError: no classifier of that name, or no last linear layer.
    """
    if name not in _models().list_models(module=_models()):
        raise ConfigError(
            "torchvision has no classifier of this name",
            value=name,
            way_out="Names are as in torchvision.models, for example resnet18, mobilenet_v2 or vit_b_16; frozen: and "
            "tuned: also take efficientnet_lite0 and timm/NAME, frozen: clip/MODEL/PRETRAINED.",
        )
    _cut(_outline(name), name)


def fetch_weights(name: str, url: str, progress: Progress = weights.quiet) -> Path:
    """Return the file of a network's weights in torch's cache, downloading it when it is not there.

    Raises:
        ConfigError: the file cannot be downloaded or is not a file of weights; names the file, its place,
        its source.
    """
    path = weights.folder() / url.rsplit("/", 1)[-1]
    if not path.exists():
        weights.fetch(name, url, path, path.stem.rsplit("-", 1)[-1], progress)
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=os.name == "posix")
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise weights.missing(name, url, path, "are not here: this is not a file of network weights") from error
    return path


def torchvision_backbone(name: str) -> Backbone:
    """Return a torchvision classifier with its ImageNet weights, without its last layer.

    Raises:
        ConfigError: no classifier of that name, or no last linear layer.
    """
    check_name(name)
    enum = _models().get_model_weights(name).DEFAULT
    side = int(enum.transforms().crop_size[0])
    path = weights.folder() / enum.url.rsplit("/", 1)[-1]

    def build(_: Path) -> nn.Module:
        trunk, _width, own = torchvision_trunk(name, (3, side, side), "DEFAULT")
        assert own is not None
        return nn.Sequential(Normalize(*own), trunk)

    return Backbone(
        name=name,
        side=side,
        find=lambda: path if path.exists() else None,
        fetch=lambda progress: fetch_weights(name, enum.url, progress),
        build=build,
    )


def _models() -> Any:
    """Return torchvision's networks; importing them takes longer than many a round that needs none of them."""
    from torchvision import models

    return models


def _bare(name: str) -> Any:
    """Build a torchvision classifier with random weights and without auxiliary outputs."""
    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    return _models().get_model(name, **options)


def _outline(name: str) -> Any:
    """Build a torchvision classifier without memory for its weights, to ask for shapes."""
    try:
        with torch.device("meta"):
            return _bare(name)
    except NotImplementedError:  # RegNet computes its own layout with tensors
        return _bare(name).to("meta")


def _fit(name: str, shape: tuple[int, int, int]) -> tuple[int | None, int]:
    """Return the side to enlarge to (None: as they are) and the feature width, by a pass without data."""
    if shape[0] not in (1, 3):
        raise ConfigError("torchvision networks take grey or colour images", value=f"{shape[0]} channels")
    body = _outline(name).eval()
    width = _cut(body, name)
    with torch.device("meta"):
        for side in (None, *(s for s in SIDES if s >= max(shape[1:]) or s == SIDES[-1])):
            try:
                TorchvisionTrunk(body, side)(torch.empty(2, *shape))
            except (RuntimeError, AssertionError):
                continue
            return side, width
    net = NetName("torchvision", name)
    raise ConfigError(f"{net} does not take images of this size", value=f"{shape[1]}×{shape[2]}")


def _cut(body: Any, name: str) -> int:
    """Replace the last linear layer by nothing and return the width of what it was given."""
    for path, module in reversed(list(body.named_modules())):
        if isinstance(module, nn.Linear) and path.split(".")[0] in ("fc", "classifier", "head", "heads"):
            parent, _, child = path.rpartition(".")
            owner = body.get_submodule(parent) if parent else body
            if isinstance(owner, nn.Sequential):
                owner[int(child) if child.isdigit() else list(owner._modules).index(child)] = nn.Identity()
            else:
                setattr(owner, child, nn.Identity())
            return int(module.in_features)
    raise ConfigError(
        f"{NetName('torchvision', name)} does not end in a linear layer",
        value=name,
        way_out="Choose another network, for example torchvision:resnet18.",
    )
