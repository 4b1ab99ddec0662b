from __future__ import annotations

import numpy as np
import pytest

from engine.live.space import Space


def test_coordinates_have_a_mean_squared_length_of_one_and_fourth_roots_for_the_gaussians() -> None:
    x = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32) * np.linspace(0.1, 2, 20, dtype=np.float32)
    space = Space.fit(x, 0)
    z, u = space.coordinates(x)
    w = space.whitened(z)
    assert float((z**2).sum(1).mean()) == pytest.approx(1, rel=1e-2)
    assert float((w**2).sum(1).mean()) == pytest.approx(1, rel=1e-2)
    np.testing.assert_allclose((u**2).sum(1), 1, rtol=1e-5)
    assert w.var(0)[0] / w.var(0)[9] == pytest.approx(np.sqrt(z.var(0)[0] / z.var(0)[9]), rel=1e-2)
    assert not space.rooted
    assert Space.fit(np.abs(x), 0).rooted
