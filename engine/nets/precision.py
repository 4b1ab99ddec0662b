"""The number format of forward and backward passes: bfloat16 where the hardware is built for it, else float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from engine.errors import ConfigError


def fast_bfloat16(device: torch.device, *, inference: bool = False) -> bool:
    """Return whether bfloat16 is faster than float32 here: recent NVIDIA GPUs, and CPUs with AMX matrix units.

    For a network that only predicts also CPUs with bfloat16 vector units.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or (inference and capabilities.get("avx512_bf16")))


def resolve(name: str, device: torch.device, *, inference: bool = False) -> torch.dtype:
    """Return the type for "auto", "float32" or "bfloat16"; weights, losses and sums stay float32 in any case.

    inference: for a network that only predicts, see `fast_bfloat16`.

    Raises:
        ConfigError: there is no precision of this name.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise ConfigError("Precision is not known", value=name, way_out="Choose auto, float32 or bfloat16.")
    if name == "bfloat16" or (name == "auto" and fast_bfloat16(device, inference=inference)):
        return torch.bfloat16
    return torch.float32


def autocast(name: str, device: torch.device, *, inference: bool = False) -> torch.autocast:
    """Return a context in which matrix products and convolutions run in the precision of this name, see `resolve`.

    Cast the logits to float32 before a loss: bfloat16 has 8 bits of mantissa.
    """
    enabled = resolve(name, device, inference=inference) == torch.bfloat16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def exact_products(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which a GPU's convolutions keep float32's whole mantissa, for small differences of losses.

    cuDNN otherwise rounds the factors of float32 convolutions to 10 bits (TF32).
    """
    if device.type != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
