"""Every strategy picks 100 of 50,000 images, and like ones are grouped, fast enough to wait for."""

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from engine.query import QUERY_STRATEGIES, Pool, pick
from engine.query.likeness import like_groups

pytestmark = pytest.mark.speed

_SECONDS = 15.0  # at most 2 s on idle cores; the rest is for busy machines


@cache
def large_pool() -> Pool:
    """50,000 images in 10 classes with 128 features, 1,000 of them labeled."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(10, 128))
    features = (middles[rng.integers(0, 10, 51_000)] + rng.normal(size=(51_000, 128))).astype(np.float16)
    logits = features[:50_000].astype(np.float32) @ middles.T.astype(np.float32) / 20
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    n = 50_000
    return Pool(
        rng.permutation(n) + 1, (p / p.sum(axis=1, keepdims=True)).astype(np.float32), features[:n], features[n:],
        rng.integers(0, 9, n), rng.random(n), rng.random(n), tuple("0123456789"),
    )  # fmt: skip


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("key", list(QUERY_STRATEGIES))
def test_picks_100_of_50000(key: str, trained: bool) -> None:
    pool = replace(large_pool(), trained=trained)
    start = time.perf_counter()
    found = pick(key, pool, 100)
    seconds = time.perf_counter() - start
    assert len(set(found.rows.tolist())) == 100
    assert seconds <= _SECONDS


@pytest.mark.parametrize(("images", "most"), [(900, 1.0), (50_000, _SECONDS)])
def test_like_groups(images: int, most: float) -> None:
    features = large_pool().features
    assert features is not None
    start = time.perf_counter()
    like_groups(features[:images].astype(np.float32))
    assert time.perf_counter() - start < most
