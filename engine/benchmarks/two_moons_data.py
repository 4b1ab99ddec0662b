"""Two moons: points in the plane in two interlocking half circles, of which six carry a label."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import Tensor

from engine.training.pools import Pools

TEST = 2000


def two_moons(n: int = 2000, labeled: int = 6, seed: int = 0, noise: float = 0.1) -> tuple[Pools, Tensor, Tensor]:
    """Return (pools, test_x, test_y): vectors to train on, and 2,000 more of another draw to test with.

    The pools have `labeled // 2` random labeled points a moon, n - labeled unlabeled ones and none held out; test_x is
    (2000, 2) float32, test_y (2000,) int64. Raw coordinates: the network normalises them.

    Args:
        n: points in the pools.
        labeled: how many of them carry a label, even.
        seed: of the points and of the choice of the labeled.
        noise: deviation of the points about their half circle, in its radii.
    """
    rng = np.random.RandomState(seed)
    x, y = (torch.from_numpy(part) for part in make_moons(n, noise=noise, random_state=rng))
    test_x, test_y = (torch.from_numpy(part) for part in make_moons(TEST, noise=noise, random_state=rng))
    order = torch.from_numpy(rng.permutation(n))
    train = torch.cat([order[y[order] == moon][: labeled // 2] for moon in (0, 1)])
    rest = torch.ones(n, dtype=torch.bool)
    rest[train] = False
    none = torch.empty(0, dtype=torch.int64)
    pools = Pools(x.float(), train, y[train], none, none, rest.nonzero().flatten(), 2)
    return pools, test_x.float(), test_y
