from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import files
from engine.errors import CheckpointCorrupt
from engine.training import checkpoint


class Holder:
    """The part of an algorithm that checkpoints see."""

    def __init__(self, value: float) -> None:
        self.tensor = torch.full((3,), value)

    def state_dict(self) -> dict[str, Any]:
        return {"tensor": self.tensor, "count": 4}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tensor = state["tensor"]


def holder(value: float) -> Any:
    return Holder(value)


def test_state_and_extra_come_back(tmp_path: Path) -> None:
    digest = checkpoint.save(tmp_path / "epoch-004.pt", holder(2.5), 4, {"seq": 17})
    empty = holder(0.0)
    assert checkpoint.load(tmp_path / "epoch-004.pt", digest, empty) == (4, {"seq": 17})
    assert empty.tensor.tolist() == [2.5] * 3


def test_every_random_generator_continues_where_it_stood(tmp_path: Path) -> None:
    def draws() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.rand()), random.random()

    draws()
    random.gauss()
    digest = checkpoint.save(tmp_path / "a.pt", holder(0), 0, {})
    wanted = draws()
    draws()
    checkpoint.load(tmp_path / "a.pt", digest, holder(0))
    assert draws() == wanted


def test_a_run_on_the_cpu_leaves_cuda_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*args: Any) -> Any:
        raise AssertionError("CUDA was touched")

    for name in ("_lazy_init", "is_available", "device_count", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, touched)
    digest = checkpoint.save(tmp_path / "a.pt", holder(1.0), 0, {})
    assert checkpoint.load(tmp_path / "a.pt", digest, holder(0)) == (0, {})


def test_a_flipped_byte_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    digest = checkpoint.save(path, holder(1.0), 0, {})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    target = holder(5.0)
    with pytest.raises(CheckpointCorrupt, match="differs"):
        checkpoint.load(path, digest, target)
    assert target.tensor.tolist() == [5.0] * 3


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorrupt, match="missing"):
        checkpoint.load(tmp_path / "gone.pt", "0" * 64, holder(0))


def test_the_two_newest_are_kept_and_leftovers_swept(tmp_path: Path) -> None:
    (tmp_path / ".epoch-000.pt.7f.partial").write_bytes(b"half")
    for epoch in range(4):
        checkpoint.save(tmp_path / f"epoch-{epoch:03d}.pt", holder(epoch), epoch, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-002.pt", "epoch-003.pt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    digest = checkpoint.save(path, holder(1.0), 0, {})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, holder(2.0), 1, {})
    assert [found.name for found in tmp_path.iterdir()] == ["a.pt"]
    back = holder(0)
    checkpoint.load(path, digest, back)
    assert back.tensor.tolist() == [1.0] * 3
