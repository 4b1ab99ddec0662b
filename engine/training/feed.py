"""What a step is fed: an endless seeded stream of rows, and where the images lie."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.training.config import TrainConfig
from engine.training.pools import Pools

LEAST_STEPS = 30
"""An automatic epoch has at least this many steps, so that small projects train at all."""


class RowStream:
    """An endless stream of rows in shuffled passes: every row once before any row twice.

    Its state is (order, position, generator), so that a resumed run draws the same rows.
    """

    def __init__(self, rows: Tensor, seed: int) -> None:
        self._rows = rows
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(rows), generator=self._generator)
        self._position = 0

    def take(self, n: int) -> Tensor:
        """Return the next n places (n,) int64 in 0..len(rows)-1; a pass may end in the middle."""
        parts: list[Tensor] = []
        while n > 0:
            if self._position == len(self._order):
                self._order = torch.randperm(len(self._rows), generator=self._generator)
                self._position = 0
            part = self._order[self._position : self._position + n]
            self._position += len(part)
            n -= len(part)
            parts.append(part)
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next draw depends on."""
        return {"order": self._order, "position": self._position, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the stored stream stood."""
        self._order = state["order"]
        self._position = int(state["position"])
        self._generator.set_state(state["generator"])


def steps_per_epoch(train: TrainConfig, pools: Pools) -> int:
    """Return the steps of one epoch: the same for every algorithm on the same data, to compare fairly."""
    if train.steps_per_epoch:
        return train.steps_per_epoch
    labeled = math.ceil(len(pools.train_idx) / train.batch_size)
    unlabeled = math.ceil(len(pools.unlabeled_idx) / (train.batch_size * train.unlabeled_ratio))
    return max(labeled, unlabeled, LEAST_STEPS)


def place_images(images: Tensor, device: torch.device) -> Tensor:
    """Return the images on the device when they fit in a quarter of its free memory, else as they are."""
    if device.type != "cuda":
        return images
    free, _ = torch.cuda.mem_get_info(device)
    return images.to(device) if images.numel() < free // 4 else images
