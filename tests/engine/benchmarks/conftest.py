"""Small sets in MNIST's format, so that every benchmark runs for real in a second."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.benchmarks import data


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.benchmarks.command.devices.set_threads", lambda threads: 1)
    torch.set_num_threads(1)


def small_set(n: int, channels: int, side: int, seed: int) -> tuple[Tensor, Tensor]:
    """Class k of 10 has a bright row of pixels k; image i is of class i % 10."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 40, (n, channels, side, side), generator=generator, dtype=torch.uint8)
    y = torch.arange(n) % 10
    images[torch.arange(n), :, 2 * y] += 200
    return images, y


TRAIN_IMAGES = {"MNIST": 1500, "CIFAR10": 4500}
"""Training images of the small sets."""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put small sets in the place of torchvision's and tell which split was opened when."""
    found: list[str] = []

    def read_split(name: str, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
        found.append(f"{name} {'train' if train else 'test'}")
        shape = (1, 28) if name == "MNIST" else (3, 32)
        return small_set(TRAIN_IMAGES[name] if train else 50, *shape, seed=int(train))

    def photo_features(root: Path, net: str) -> tuple[Tensor, Tensor]:
        y = torch.arange(120) % 4
        return 4 * torch.eye(8)[y] + torch.rand(120, 8, generator=torch.Generator().manual_seed(0)), y

    monkeypatch.setattr(data, "read_split", read_split)
    monkeypatch.setattr(data, "photo_features", photo_features)
    data.training.cache_clear()
    yield found  # type: ignore[misc]
    data.training.cache_clear()
