"""Rare classes, and which images lie near one, by hand."""

import numpy as np

from engine.quality import rare
from engine.quality.rare import near_rare, rare_classes


def test_a_class_below_a_third_of_an_even_share_is_rare_and_one_without_images_is_none() -> None:
    # 90 of three classes that have any: an even share is 30, a third of it 10.
    assert rare_classes(np.array([9, 41, 40, 0])).tolist() == [True, False, False, False]
    assert rare_classes(np.array([10, 40, 40, 0])).tolist() == [False, False, False, False]
    assert rare_classes(np.array([0, 0])).tolist() == [False, False]


def line() -> tuple[np.ndarray, np.ndarray]:
    """Images of class 0 at 0, 1, …, 39 on a line, and two of class 1 at 41 and 60."""
    at = np.r_[np.arange(40), 41, 60].astype(np.float32)[:, None]
    return at, np.r_[np.zeros(40, int), 1, 1]


def test_what_has_a_rare_one_among_its_ten_nearest_comes_first_and_is_at_most_one() -> None:
    features, called = line()
    found = near_rare(features, called, np.array([False, True]), np.arange(40))
    # From 39 the rare one at 41 is 2 away, its tenth nearest 9 (38 … 31, and 41 itself is among them).
    assert found.rows[:4].tolist() == [39, 38, 37, 36]
    np.testing.assert_allclose(found.closeness[:2], [2 / 9, 3 / 8], rtol=1e-4)
    within = found.rows[found.closeness <= 1]
    nearer = [int((np.abs(features[:, 0] - row) < 41 - row).sum()) - 1 for row in within.tolist()]
    assert max(nearer) < 10
    assert set(found.rare.tolist()) == {1}


def test_nothing_lies_near_where_no_class_is_rare_or_nothing_is_asked() -> None:
    features, called = line()
    assert not len(near_rare(features, called, np.array([False, False]), np.arange(40)).rows)
    assert not len(near_rare(features, called, np.array([False, True]), np.empty(0, np.int64)).rows)


def test_of_many_images_the_tenth_nearest_is_looked_for_among_some(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 3)).astype(np.float32)
    called = np.zeros(3000, int)
    called[:20] = 1
    whole = near_rare(features, called, np.array([False, True]), np.arange(20, 3000))
    monkeypatch.setattr(rare, "MOST", 1500)
    some = near_rare(features, called, np.array([False, True]), np.arange(20, 3000))
    first, second = set(whole.rows[:100].tolist()), set(some.rows[:100].tolist())
    assert len(first & second) >= 60
    assert 0.5 < (some.closeness <= 1).sum() / (whole.closeness <= 1).sum() < 2
