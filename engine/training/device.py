"""Where training runs: choosing the device, telling and naming devices, copying to them, the number of CPU threads."""

from __future__ import annotations

import os
import platform

import torch
from torch import Tensor

from engine.errors import DeviceMissing

try:
    import psutil
except ImportError:  # a bare machine with little more than torch
    psutil = None  # type: ignore[assignment]


def resolve(name: str) -> torch.device:
    """Return the device for "auto", "cuda", "mps" or "cpu", with its index; auto takes CUDA, then MPS, then the CPU.

    For "cpu" no other device is looked for, so that CUDA stays untouched.

    Raises:
        DeviceMissing: the device asked for is not on this machine, or the name is unknown.
    """
    if name == "cpu":
        return torch.device("cpu")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name, False):
        raise DeviceMissing(
            "This device is not on this machine",
            value=name,
            way_out=f"Choose auto or one of {', '.join(kind for kind, there in available.items() if there)}.",
        )
    return indexed(torch.device(name))


def indexed(device: torch.device) -> torch.device:
    """Return the device as its tensors name it: "cuda" is the current CUDA device, "mps" is "mps:0", "cpu" has none."""
    if device.type == "cpu":
        return torch.device("cpu")
    if device.index is not None:
        return device
    if device.type == "cuda" and torch.cuda.is_initialized():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device.type, 0)  # what is current where nothing has asked CUDA for anything yet


def same(one: torch.device, other: torch.device) -> bool:
    """Return whether both are one device, with or without an index; `==` takes "cuda" and "cuda:0" for two."""
    return indexed(one) == indexed(other)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device: itself where it lies there, else a copy that the host does not wait for.

    From the CPU to CUDA it goes through pinned memory. A tensor on a GPU can not be pinned: torch raises.
    """
    if same(tensor.device, device):
        return tensor
    if device.type == "cuda" and tensor.device.type == "cpu" and tensor.numel():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


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
