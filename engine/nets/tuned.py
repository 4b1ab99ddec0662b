"""Pretrained networks whose last blocks learn on with the classifier: "tuned:NAME".

What a block is, is seen from how the network is built: the largest parts that its lists (`nn.Sequential`,
`nn.ModuleList`) hold, such as a residual block or a transformer's layer; where they hold none, the network's own parts,
and where these are plain layers, each one with weights. They are counted in the order in which they run. From the first
of the last `blocks` on everything that runs learns, also what stands between and after them, such as a closing
convolution.

Nothing is cut apart: what comes before is the same network, whose weights ask for no gradient. Torch then keeps nothing
of its pass, which costs the time and memory of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from engine.errors import ConfigError
from engine.nets.classifier import Normalize
from engine.nets.folding import folded
from engine.nets.frozen import backbone
from engine.nets.net_name import JOINED, WHOLE, NetName
from engine.nets.weights import Backbone, quiet

RATE_SHARE = 0.1
"""The pretrained blocks learn at this share of the classifier's rate."""
LISTS = (nn.Sequential, nn.ModuleList)


class TunedTrunk(nn.Module):
    """A pretrained network without its last layer, of which the last blocks learn.

    Always in evaluation mode, in training too: normalisation, that of the blocks that learn included, keeps the
    statistics of the weights, which those of a few photos a batch would only blur, and nothing is dropped.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        for module in body.modules():
            if isinstance(module, _DropoutNd):
                module.p = 0.0
        self.train(False)

    def train(self, mode: bool = True) -> TunedTrunk:
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of images (B, 3, H, W) in the network's own normalisation."""
        return cast(Tensor, self.body(x))


def check(name: str) -> Backbone:
    """Return the network that the base of a "tuned:" name means; nothing is loaded or fetched.

    Raises:
        ConfigError: there is none of that name, or it names more than one or a view.
    """
    if JOINED in name or name.endswith(WHOLE):
        raise ConfigError(
            "Only one network can be tuned, and it is shown the centre square",
            value=NetName("tuned", name),
            way_out='Name one, as in "tuned:efficientnet_lite0".',
        )
    return backbone(name)


def tuned_trunk(name: str, shape: tuple[int, int, int], blocks: int) -> tuple[Normalize, TunedTrunk, int]:
    """Return a network's own normalisation, the network with its pretrained weights, and its feature width.

    Batch normalisation in what does not learn is made part of the convolutions where that changes nothing.

    Args:
        name: of one network, as in `FeatureSource.name`.
        shape: (C, H, W) of the images, C 1 or 3: the normalisation repeats grey ones in three channels.
        blocks: how many of the last blocks learn; 0: all weights.

    Raises:
        ConfigError: no network of that name, weights that are not to be had, images that it does not take, or fewer
            blocks than asked for.
    """
    known = check(name)
    whole = cast(nn.Sequential, known.build(known.fetch(quiet))).eval().requires_grad_(False)
    starts, width = _run(whole, shape, known)
    for module in _learning(whole[1], starts, blocks, name):
        module.requires_grad_(True)
    whole = cast(nn.Sequential, folded(whole, known.side)[0])
    return cast(Normalize, whole[0]), TunedTrunk(whole[1]), width


def _run(whole: nn.Sequential, shape: tuple[int, int, int], known: Backbone) -> tuple[dict[str, int], int]:
    """Return when each part of the network first runs in a pass, by its name, and the feature width."""
    starts: dict[str, int] = {}

    def note(name: str) -> Any:
        def hook(*_: Any) -> None:
            starts.setdefault(name, len(starts))

        return hook

    hooks = [part.register_forward_pre_hook(note(name)) for name, part in whole[1].named_modules()]
    try:
        with torch.no_grad():
            features = whole(torch.zeros(1, *shape, dtype=torch.uint8))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"{NetName('tuned', known.name)} does not take images of this size",
            value=f"{shape[1]}×{shape[2]}",
            way_out=f"Leave the image size empty, which takes the network's own, {known.side}.",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return starts, int(features.shape[1])


def _learning(net: nn.Module, starts: dict[str, int], blocks: int, name: str) -> list[nn.Module]:
    """Return the parts of the network that learn: the whole, or what runs from the first of the last blocks on."""
    if not blocks:
        return [net]
    known = sorted((block for block in blocks_of(net) if block in starts), key=lambda block: starts[block])
    if blocks > len(known):
        raise ConfigError(
            f"{NetName('tuned', name)} has fewer blocks than shall be tuned",
            value=f"{blocks} of {len(known)}",
            way_out=f"Choose tuned_blocks of at most {len(known)}, or 0 for all weights.",
        )
    first = starts[known[-blocks]]
    return [module for path, module in net.named_modules() if starts.get(path, -1) >= first]


def blocks_of(net: nn.Module) -> list[str]:
    """Return the names of a network's blocks in the order in which it holds them, see the head of this file."""
    return (
        list(_repeated(net, ""))
        or [name for name, part in net.named_children() if _composed(part)]
        or [name for name, part in net.named_modules() if any(p.ndim > 1 for p in part.parameters(False))]
    )


def _repeated(module: nn.Module, path: str) -> Iterator[str]:
    for name, child in module.named_children():
        here = f"{path}.{name}" if path else name
        if isinstance(child, LISTS) or sum(map(_composed, _listed(child))) > 1:
            yield from _repeated(child, here)
        elif isinstance(module, LISTS) and _composed(child):
            yield here


def _composed(module: nn.Module) -> bool:
    """Return whether it is made of parts with weights; a normalisation with its activation is not."""
    return not isinstance(module, LISTS) and any(p.ndim > 1 for part in module.children() for p in part.parameters())


def _listed(module: nn.Module) -> Iterator[nn.Module]:
    """Yield what the lists of a module hold, those in lists opened."""
    for child in module.children():
        if isinstance(child, LISTS):
            yield from (part for part in child if not isinstance(part, LISTS))
            yield from _listed(child)
