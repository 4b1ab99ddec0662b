"""A file of weights as torchvision would have downloaded it, made here: no network, no real training."""

import io
from functools import cache
from pathlib import Path

import torch
import torchvision

SMALL = "shufflenet_v2_x0_5"
"""A small torchvision classifier with 1,024 features."""


def save_weights(home: Path, seed: int = 0) -> Path:
    """Put random weights of SMALL where torch looks for its weights with TORCH_HOME=home; return the file."""
    url = torchvision.models.get_model_weights(SMALL).DEFAULT.url
    path = home / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_weights(seed))
    return path


@cache
def _weights(seed: int) -> bytes:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        net = torchvision.models.get_model(SMALL, weights=None).train()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # statistics are plain averages: features tell images apart
        for _ in range(4):
            net(torch.nn.functional.interpolate(torch.randn(8, 3, 7, 7), size=(96, 96)))
    out = io.BytesIO()
    torch.save(net.state_dict(), out)
    return out.getvalue()
