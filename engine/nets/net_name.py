"""The name of a network, as `TrainConfig.net` has it: one of ours, or pretrained ones after a prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

IMAGE_NETS = ("auto", "article_convnet", "simple_cnn", "wrn_28_2")
"""Our networks for images; "auto" chooses among them by the images."""
VECTOR_NETS = ("linear", "mlp")
"""Our networks for vectors."""
FROZEN, TORCHVISION, TUNED = "frozen:", "torchvision:", "tuned:"
JOINED, WHOLE = "+", "@whole"
GRADIENTS = "hog"
"""Among the frozen ones, what needs no network: histograms of oriented gradients, see `engine.nets.hog`."""
TEXT_IMAGE, TEXT_IMAGE_MODULE = "clip/", "open_clip"
"""How names of text-image networks begin, see `engine.nets.clip_nets`, and the module of the extra they need."""


@dataclass(frozen=True)
class FeatureSource:
    """A frozen network and how it is shown an image.

    Attributes:
        name: "efficientnet_lite0", a torchvision classifier, a timm model as "timm/NAME", the image
            tower of a text-image network as "clip/MODEL/PRETRAINED", or "hog".
        whole: it sees the whole image squeezed to its square; otherwise the centre square.
    """

    name: str
    whole: bool = False

    def __str__(self) -> str:
        return self.name + (WHOLE if self.whole else "")


@dataclass(frozen=True)
class NetName:
    """Which network is meant.

    Attributes:
        kind: "torchvision" is a torchvision classifier trained whole; "frozen" one of which only a linear classifier on
            its pretrained features is trained; "tuned" one whose last blocks are trained too; "own" a network of this
            engine, or no known one.
        base: the name without its prefix, for example "mobilenet_v2"; of frozen ones several may be joined by "+", each
            with "@whole" after it if it sees whole images.
    """

    kind: Literal["own", "frozen", "torchvision", "tuned"]
    base: str

    @classmethod
    def parse(cls, text: str) -> NetName:
        """Return what a text such as "frozen:mobilenet_v2" names; any text names something, see `is_known`."""
        if text.startswith(FROZEN):
            return cls("frozen", text.removeprefix(FROZEN))
        if text.startswith(TORCHVISION):
            return cls("torchvision", text.removeprefix(TORCHVISION))
        if text.startswith(TUNED):
            return cls("tuned", text.removeprefix(TUNED))
        return cls("own", text)

    def __str__(self) -> str:
        return {"own": "", "frozen": FROZEN, "torchvision": TORCHVISION, "tuned": TUNED}[self.kind] + self.base

    @property
    def words(self) -> str:
        """Return it in words for a person, for example "features of efficientnet_lite0 (centre and whole image)"."""
        if self.is_tuned:
            return f"{self.base}, its last blocks tuned"
        if not self.is_frozen:
            return self.base
        seen: dict[str, list[str]] = {}
        for source in self.sources:
            seen.setdefault(source.name, []).append("whole" if source.whole else "centre")
        views = {"centre": "", "whole": " (whole image)", "centre and whole": " (centre and whole image)"}
        names = ["gradients" if name == GRADIENTS else name + views[" and ".join(sorted(seen[name]))] for name in seen]
        return "features of " + " and ".join(names)

    @property
    def file_name(self) -> str:
        """Return the base as a part of a file's name."""
        return re.sub(r"[^A-Za-z0-9_.]", "_", self.base)

    @property
    def is_frozen(self) -> bool:
        """Return whether only a linear classifier on pretrained features is trained: a quick round."""
        return self.kind == "frozen"

    @property
    def sources(self) -> tuple[FeatureSource, ...]:
        """Return the frozen networks whose features are joined, in this order; none where nothing is frozen."""
        if not self.is_frozen:
            return ()
        return tuple(FeatureSource(one.removesuffix(WHOLE), one.endswith(WHOLE)) for one in self.base.split(JOINED))

    @property
    def has_gradients(self) -> bool:
        """Return whether gradients are among the frozen features: what they describe are characters, not photos."""
        return any(source.name == GRADIENTS for source in self.sources)

    @property
    def is_torchvision(self) -> bool:
        """Return whether a torchvision classifier is trained whole."""
        return self.kind == "torchvision"

    @property
    def is_tuned(self) -> bool:
        """Return whether the last blocks of a pretrained network are trained with a classifier."""
        return self.kind == "tuned"

    @property
    def is_vector(self) -> bool:
        """Return whether it is one of our networks that take vectors alone."""
        return self.kind == "own" and self.base in VECTOR_NETS

    @property
    def is_known(self) -> bool:
        """Return whether we have it; of pretrained ones the prefix alone is looked at."""
        return self.kind != "own" or self.base in IMAGE_NETS + VECTOR_NETS
