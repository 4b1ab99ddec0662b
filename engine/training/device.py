"""Where training runs: choosing the device, naming it, and the number of CPU threads."""

from __future__ import annotations

import os
import platform

import torch

from engine.errors import DeviceMissing

try:
    import psutil
except ImportError:  # a bare machine with little more than torch
    psutil = None  # type: ignore[assignment]


def resolve(name: str) -> torch.device:
    """Return the device for "auto", "cuda", "mps" or "cpu"; auto takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceMissing: the device asked for is not on this machine, or the name is unknown.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name, False):
        raise DeviceMissing(
            "This device is not on this machine",
            value=name,
            way_out=f"Choose auto or one of {', '.join(kind for kind, there in available.items() if there)}.",
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return the device in words, for example "CPU, 2 threads" or "NVIDIA H200"."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def set_threads(threads: int) -> int:
    """Set the number of CPU threads torch computes with, and return it.

    Args:
        threads: 0 takes torch's own default, but at most the physical cores.
    """
    if threads <= 0:
        physical = (psutil.cpu_count(logical=False) if psutil else os.cpu_count()) or torch.get_num_threads()
        threads = max(1, min(torch.get_num_threads(), physical))
    torch.set_num_threads(threads)
    return threads
