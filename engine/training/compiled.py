"""Whether and how torch.compile makes faster code."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

WORTH_COMPILING = 2000
"""Compiling takes about a minute, which a step of some tens of milliseconds has to earn."""
GRAPHS: dict[str, Any] = {"triton.cudagraphs": True, "triton.cudagraph_skip_dynamic_graphs": True}
"""Options of torch.compile: on CUDA a pass is one launch of a recorded graph; batches of changing size are launched
kernel by kernel."""


def compiles(setting: str, device: torch.device, vectors: bool, steps: int) -> bool:
    """Return whether the network of a run of so many steps is compiled by the setting "auto", "off" or "on".

    "auto" does so for networks of images on CUDA where Triton is installed, in runs of `WORTH_COMPILING` steps or more;
    on a CPU it pays too late, and classifiers of vectors are too small.
    """
    if setting != "auto":
        return setting == "on"
    triton = importlib.util.find_spec("triton") is not None
    return device.type == "cuda" and not vectors and steps >= WORTH_COMPILING and triton
