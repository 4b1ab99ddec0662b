"""Turns an exception of a worker into what the person is told: cause and way out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import torch

from engine.errors import StarlingError, first_line
from engine.rounds.folder.failure import Words, failure, own_words
from engine.rounds.folder.files import RESUME

OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "_ALLOC_FAILED", "_ALLOCATION_FAILED")
"""What torch, CUDA, cuBLAS, cuDNN and MPS write into plain RuntimeErrors when an allocation fails."""
FULL_BYTES = 1024 * 1024
"""Less free space than this next to a failed write counts as a full disk."""


def describe(error: BaseException, folder: Path) -> dict[str, Any]:
    """Return kind, cause, way_out, traceback, and retry: whether a fresh process may well succeed.

    Args:
        error: what ended the work.
        folder: the round's folder, whose disk is looked at.
    """
    words = _words(error, folder)
    return failure(error, words) | {"retry": words[0] == "DeviceError"}


def _words(error: BaseException, folder: Path) -> Words:
    if isinstance(error, StarlingError):
        return own_words(error)
    if is_out_of_memory(error):
        return (
            "OutOfMemory",
            f"Memory ran out ({first_line(error)})",
            "Choose a smaller labeled batch, unlabeled ratio, image size or network.",
        )
    if is_disk_full(error, folder):
        return (
            "DiskFull",
            f"The disk is full ({first_line(error)}); the last checkpoint is kept",
            f"Free some space. {RESUME}",
        )
    if _is_device_error(error):
        return "DeviceError", f"The device failed ({first_line(error)})", RESUME
    return (
        type(error).__name__,
        f"{type(error).__name__}: {first_line(error)}",
        f"The log tells more. {RESUME}",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, on the device or in the process."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )


def is_disk_full(error: BaseException, folder: Path) -> bool:
    """Return whether a write failed for want of space; torch and Arrow say so in errors of their own."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    if "No space left" in str(error):
        return True
    if isinstance(error, RuntimeError | OSError) and folder.is_dir():
        return shutil.disk_usage(folder).free < FULL_BYTES
    return False


def _is_device_error(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(name in str(error) for name in ("CUDA", "cuDNN", "MPS"))
