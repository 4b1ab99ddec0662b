"""Small pools of images that a network can learn in a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine.training.pools import Pools

MakePools = Callable[..., Pools]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_pools() -> MakePools:
    """Class k of 4 has a bright quadrant k; a little noise; 8×8 grey. Image i is of class i % classes."""

    def make(labeled: int = 12, heldout: int = 8, unlabeled: int = 64, classes: int = 4) -> Pools:
        generator = torch.Generator().manual_seed(7)
        n = labeled + heldout + unlabeled
        y = torch.arange(n) % classes
        images = torch.randint(0, 60, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
        for k in range(classes):
            images[y == k, 0, 4 * (k // 2) : 4 * (k // 2) + 4, 4 * (k % 2) : 4 * (k % 2) + 4] += 180
        rows = torch.arange(n)
        train, held, rest = rows.split([labeled, heldout, unlabeled])
        return Pools(images, train, y[train], held, y[held], rest, classes)

    return make
