"""Core-set and BADGE against distances worked out by hand."""

from math import sqrt

import numpy as np
import pytest

from engine.query import Pool, diversity, pick


def pool_on_a_line(at: list[float], labeled: list[float] | None, p: np.ndarray | None = None) -> Pool:
    n = len(at)
    return Pool(
        np.arange(1, n + 1),
        np.full((n, 2), 0.5, np.float32) if p is None else p.astype(np.float32),
        np.array(at, np.float64)[:, None],
        None if labeled is None else np.array(labeled, np.float64)[:, None],
        classes=("a", "b"),
    )


def test_core_set_takes_the_farthest_from_all_labeled_and_picked_ones() -> None:
    # Labeled at 0 and 10, so 1, 5, 8, 18, 16.5 are 1, 5, 2, 8, 6.5 away. First 18; then 5, as 16.5 is now 1.5 away;
    # then 8 (2 from 10), 16.5 and 1.
    found = pick("core_set", pool_on_a_line([1, 5, 8, 18, 16.5], [0, 10]), 5)
    assert found.rows.tolist() == [3, 1, 2, 4, 0]
    np.testing.assert_allclose(found.scores, [8, 5, 2, 1.5, 1], atol=1e-4)
    assert found.why[0] == "unlike any labeled image: distance 8.00"


def test_core_set_without_labels_starts_at_the_middle() -> None:
    # Mean of 0, 1, 2, 3, 14 is 4: first 3, then 14 (11 away), then 0 (3 away), then 1 and 2 (1 away each).
    found = pick("core_set", pool_on_a_line([0, 1, 2, 3, 14], None), 4)
    assert found.rows.tolist() == [3, 4, 0, 1]
    np.testing.assert_allclose(found.scores, [1, 11, 3, 1], atol=1e-4)
    assert found.why[0] == "the most average image: no label to compare with yet"
    assert found.why[1] == "unlike the images before it: distance 11.00"


def test_core_set_is_exact_far_from_the_origin() -> None:
    found = pick("core_set", pool_on_a_line([5001, 5005, 5008, 5018], [5000, 5010]), 4)
    assert found.rows.tolist() == [3, 1, 2, 0]


def gradients(p: np.ndarray, features: np.ndarray) -> np.ndarray:
    hot = np.eye(p.shape[1])[p.argmax(axis=1)]
    return np.einsum("nk,nd->nkd", p - hot, features).reshape(len(p), -1)


def test_badge_starts_with_the_longest_gradient_and_shows_its_length() -> None:
    # a = (0.4 − 0, 0.6 − 1): |a| = 0.4 √2, |f| = 5 in the second row; the first is sure, the third short.
    p = np.array([[0.99, 0.01], [0.4, 0.6], [0.5, 0.5]])
    pool = Pool(np.arange(3), p.astype(np.float32), np.array([[3.0, 4], [3, 4], [1, 0]]), classes=("a", "b"))
    found = pick("badge", pool, 1)
    assert found.rows.tolist() == [1]
    np.testing.assert_allclose(found.scores, [0.4 * sqrt(2) * 5], rtol=1e-6)
    assert found.why[0] == "doubtful in its own way: “b” at best"


def test_badge_distances_are_those_of_the_whole_gradients() -> None:
    rng = np.random.default_rng(0)
    p, features = rng.dirichlet(np.ones(3), 40), rng.normal(size=(40, 5))
    pool = Pool(np.arange(40), p.astype(np.float32), features, classes=("a", "b", "c"))
    found = pick("badge", pool, 12)
    whole = gradients(p, features)[found.rows]
    for at in range(1, 12):
        by_hand = np.linalg.norm(whole[:at] - whole[at], axis=1).min()
        np.testing.assert_allclose(found.scores[at], by_hand, rtol=1e-3)


def test_badge_never_takes_an_image_whose_gradient_is_picked_while_others_are_left() -> None:
    # Rows 0 to 2 are one point in gradient space, row 3 another: 2 picks must hold row 3, whatever the seed.
    p = np.array([[0.6, 0.4]] * 3 + [[0.4, 0.6]])
    pool = Pool(np.arange(4), p.astype(np.float32), np.ones((4, 1)), classes=("a", "b"))
    for seed in range(20):
        assert pick("badge", pool, 2, seed=seed).rows.tolist() == [0, 3]


def test_badge_draws_far_gradients_in_proportion_to_the_squared_distance() -> None:
    # Slopes ±0.5 on features 4, 3, 1: points at 4, 3, 1 times one direction. After 4 the squared distances are 1 and 9.
    pool = pool_on_a_line([4, 3, 1], None)
    second = [int(pick("badge", pool, 2, seed=seed).rows[1]) for seed in range(400)]
    assert second.count(2) / 400 == pytest.approx(0.9, abs=0.05)


def test_badge_prefers_doubtful_images_where_core_set_does_not() -> None:
    # The farthest image is certain, its gradient is 0. Of the doubtful ones 0.45 × 2 is longer than 0.5 × 1.
    p = np.array([[1.0, 0.0], [0.5, 0.5], [0.55, 0.45]])
    pool = pool_on_a_line([100, 1, 2], [0], p)
    assert pick("core_set", pool, 1).rows.tolist() == [0]
    assert pick("badge", pool, 1).rows.tolist() == [2]


def test_a_large_pool_is_looked_at_in_part_and_says_the_same_for_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "_STEPS", 100)
    pool = pool_on_a_line(list(range(200)), [0])
    one, same, other = (pick("core_set", pool, 2, seed=seed).rows.tolist() for seed in (1, 1, 2))
    assert one == same
    assert one != other
    monkeypatch.setattr(diversity, "_STEPS", 10_000)
    monkeypatch.setattr(diversity, "_PAIRS", 50)
    assert pick("core_set", pool, 2, seed=1).rows.tolist() == one
