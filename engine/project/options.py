"""What a person can choose for a round, for pages and the command line. Imports torch only when first asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.nets.net_name import IMAGE_NETS, NetName
from engine.training.config import TrainConfig

if TYPE_CHECKING:
    from engine.algorithms import AlgorithmSpec

TRAIN_CONFIG = TrainConfig
NETS = (
    *IMAGE_NETS,
    *(
        str(NetName("frozen", name))
        for name in (
            "efficientnet_lite0",
            "efficientnet_lite0@whole",
            "efficientnet_lite0+mobilenet_v2",
            "hog",
            "hog+efficientnet_lite0",
            "mobilenet_v2",
            "resnet18",
            "timm/vit_small_patch14_dinov2.lvd142m",
            "timm/convnext_tiny.in12k_ft_in1k",
            "clip/ViT-B-32/laion2b_s34b_b79k",
        )
    ),
    *(str(NetName("torchvision", name)) for name in ("resnet18", "mobilenet_v2", "efficientnet_b0")),
    *(
        str(NetName("tuned", name))
        for name in ("efficientnet_lite0", "mobilenet_v2", "resnet18", "timm/convnext_tiny.in12k_ft_in1k")
    ),
)
"""Networks to suggest; any other torchvision classifier, and frozen or tuned any timm model, can be named too.

"hog" are gradients, for small grey images such as digits; "clip/" are text-image networks, which need the extra `clip`.
"""


def algorithms() -> Mapping[str, AlgorithmSpec]:
    """Return the algorithms by key, in the order they are offered."""
    from engine.algorithms import ALGORITHMS

    return ALGORITHMS


def title(key: str) -> str:
    """Return an algorithm's name as shown; the key itself for one that is no longer known."""
    spec = algorithms().get(key)
    return spec.title if spec is not None else key


def whole_settings(key: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {"algorithm", "train"} with every field, so that a round's record stays true when defaults change.

    Raises:
        ConfigError: a value is outside its range.
    """
    from engine.training.settings import settings_from, settings_to

    spec = algorithms()[key]
    return {
        "algorithm": settings_to(settings_from(spec.config, config)),
        "train": settings_to(settings_from(TRAIN_CONFIG, train)),
    }


def describe_device(name: str = "auto") -> str:
    """Return which device a choice means on this machine, in words."""
    from engine.training import device

    return device.describe(device.resolve(name))
