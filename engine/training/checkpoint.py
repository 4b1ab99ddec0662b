"""Checkpoints between epochs: everything the next epoch depends on, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import CheckpointCorrupt
from engine.files import PARTIAL, write_atomic
from engine.training.protocol import Algorithm

FORMAT = 1
KEEP = 2


def save(path: Path, algorithm: Algorithm, epoch: int, extra: dict[str, Any]) -> str:
    """Write the state after `epoch` to `path` atomically, and return the SHA-256 of the file.

    The state holds the algorithm, every random generator (torch, NumPy, Python, and CUDA's where the process uses it:
    a run on the CPU leaves CUDA alone) and `extra`. It is
    written beside the target, flushed to the disk, then renamed; when that fails the partial file is removed
    and older checkpoints stay. Afterwards only the two newest files of the same suffix remain in the folder.

    Args:
        path: target; names must sort by age, such as "epoch-003.pt".
        algorithm: its `state_dict` is stored.
        epoch: the last finished epoch, counted from 0.
        extra: plain values (numbers, text, lists, dicts, tensors).

    Raises:
        OSError: the disk is full or cannot be written.
    """
    state = {
        "format": FORMAT,
        "epoch": epoch,
        "torch": str(torch.__version__),
        "algorithm": algorithm.state_dict(),
        "random": _random_state(),
        "extra": extra,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda aside: aside.write_bytes(data))
    _prune(path)
    return hashlib.sha256(data).hexdigest()


def load(path: Path, sha256: str, algorithm: Algorithm) -> tuple[int, dict[str, Any]]:
    """Restore the algorithm and every random generator from `path`; return (last finished epoch, extra).

    Raises:
        CheckpointCorrupt: the file is missing, does not match its hash, or has another format; nothing is
        changed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointCorrupt(
            "The checkpoint is missing", value=path, way_out="Take the one before, or start the round again."
        ) from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise CheckpointCorrupt(
            "The checkpoint differs from what was written",
            value=f"{path} has {actual[:12]}, expected {sha256[:12]}",
            way_out="Take the one before, or start the round again.",
        )
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if state["format"] != FORMAT:
        raise CheckpointCorrupt("The checkpoint has another format", value=state["format"])
    algorithm.load_state_dict(state["algorithm"])
    _set_random_state(state["random"])
    return int(state["epoch"]), dict(state["extra"])


def _prune(path: Path) -> None:
    """Remove all but the newest files of this suffix, and what an interrupted write left."""
    for old in sorted(path.parent.glob(f"*{path.suffix}"))[:-KEEP]:
        if old != path:
            old.unlink()
    for orphan in path.parent.glob(f"*{PARTIAL}"):
        orphan.unlink()


def _random_state() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
        "python": [version, list(words), gauss],
        "numpy": [str(name), torch.from_numpy(np.array(keys, dtype=np.int64)), position, has_gauss, cached],
    }


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_initialized() and len(state["cuda"]) == torch.cuda.device_count():  # type: ignore[no-untyped-call]
        torch.cuda.set_rng_state_all(state["cuda"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
