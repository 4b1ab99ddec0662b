"""The highest scores are found without sorting all of them."""

import numpy as np
import pytest

from engine.query.order import highest


@pytest.mark.parametrize("limit", [0, 1, 20, 499, 500, 1000])
def test_equals_a_full_sort_also_with_many_ties(limit: int) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 60, 500) / 60
    ids = rng.permutation(10_000)[:500]
    expected = sorted(range(500), key=lambda i: (-scores[i], ids[i]))[:limit]
    assert highest(scores, ids, limit).tolist() == expected


def test_a_limit_that_cuts_a_tie_keeps_the_smallest_ids() -> None:
    scores, ids = np.array([0.1, 0.4, 0.25, 0.4, 0.4]), np.array([7, 50, 3, 9, 12])
    assert highest(scores, ids, 2).tolist() == [3, 4]
    assert highest(scores, ids, 5).tolist() == [3, 4, 1, 2, 0]
