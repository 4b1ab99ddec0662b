"""TypiClust and k-means on groups that can be counted by hand."""

import numpy as np
import pytest

from engine.query import Pool, pick
from engine.query.clusters import k_means_groups, nearest, squared
from engine.query.cold_start import typicality


def pool_of(features: np.ndarray, labeled: np.ndarray | None = None) -> Pool:
    n = len(features)
    return Pool(np.arange(n), np.ones((n, 1), np.float32), features, labeled, classes=("a",), trained=False)


def three_groups() -> np.ndarray:
    """8, 5 and 3 images around (0, 0), (100, 0), (0, 100); the last of each group lies exactly in its middle."""
    rng = np.random.default_rng(5)
    parts = []
    for middle, count in (((0, 0), 8), ((100, 0), 5), ((0, 100), 3)):
        turn = 2 * np.pi * np.arange(count - 1) / (count - 1) + rng.random()
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        parts.append(np.concatenate([ring, np.zeros((1, 2))]) + middle)
    return np.concatenate(parts)


def test_typicality_is_one_over_the_mean_distance_to_the_nearest() -> None:
    # Distances from 0: 1, 3; from 1: 1, 2; from 3: 3, 2.
    found = typicality(np.array([[0.0], [1.0], [3.0]], np.float32))
    np.testing.assert_allclose(found, [1 / 2, 1 / 1.5, 1 / 2.5], rtol=1e-4)
    assert typicality(np.array([[4.0]], np.float32)).tolist() == [0.0]


def test_typicality_looks_at_twenty_neighbours_only() -> None:
    near = np.zeros((21, 1), np.float32)
    near[1:] = 1.0
    with_far = np.concatenate([near, np.full((5, 1), 1000, np.float32)])
    assert typicality(with_far)[0] == pytest.approx(1.0, rel=1e-4)


def test_typiclust_takes_the_middle_of_each_group_largest_first() -> None:
    found = pick("typiclust", pool_of(three_groups()), 3)
    assert found.rows.tolist() == [7, 12, 15]
    assert found.why[0] == "typical of a group of 8 images without label"
    # All 7 of its neighbours lie at distance 1.
    np.testing.assert_allclose(found.scores[0], 1.0, rtol=1e-3)


def test_typiclust_leaves_out_groups_that_have_a_label() -> None:
    pool = pool_of(three_groups(), np.array([[0.5, 0.5]]))
    # 1 label + 2 picks = 3 groups; the largest is labeled.
    found = pick("typiclust", pool, 2)
    assert found.rows.tolist() == [12, 15]


def test_typiclust_goes_round_again_when_groups_run_out() -> None:
    same = np.repeat(np.array([[0.0], [50.0]]), 3, axis=0)
    found = pick("typiclust", pool_of(same), 4)
    assert sorted(found.rows.tolist()[:2]) == [0, 3]
    assert len(set(found.rows.tolist())) == 4
    labeled = pick("typiclust", pool_of(np.zeros((3, 1)), np.zeros((1, 1))), 2)
    assert labeled.why[0] == "typical of a group of 3 images with 1 label"


def test_k_means_takes_the_image_nearest_to_each_centre_largest_group_first() -> None:
    found = pick("k_means", pool_of(three_groups()), 3)
    assert found.rows.tolist() == [7, 12, 15]
    np.testing.assert_allclose(found.scores, 0.0, atol=1e-4)
    assert found.why == (
        "centre of a group of 8 images",
        "centre of a group of 5 images",
        "centre of a group of 3 images",
    )


def test_k_means_fills_up_when_equal_images_leave_groups_empty() -> None:
    found = pick("k_means", pool_of(np.zeros((6, 2))), 4)
    assert found.rows.tolist() == [0, 1, 2, 3]


def test_distances_and_nearest_rows() -> None:
    x, y = np.array([[0, 0], [3, 4]], np.float32), np.array([[0, 0], [6, 8], [3, 4]], np.float32)
    np.testing.assert_allclose(squared(x, y), [[0, 100, 25], [25, 25, 0]], atol=1e-4)
    index, gap = nearest(x, y)
    assert index.tolist() == [0, 2]
    assert gap.tolist() == [0, 0]


def test_groups_are_found_from_a_part_and_hold_for_all_rows() -> None:
    x = np.repeat(np.array([[0.0], [10.0]], np.float32), 500, axis=0)
    group, centres = k_means_groups(x, 2, 0, fit_on=40)
    assert len(set(group[:500].tolist())) == len(set(group[500:].tolist())) == 1
    assert sorted(centres[:, 0].tolist()) == [0.0, 10.0]


def test_groups_too_large_to_compare_all_pairs_still_give_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.query.cold_start._MOST_MEMBERS", 5)
    monkeypatch.setattr("engine.query.cold_start._MOST_GROUPS", 2)
    found = pick("typiclust", pool_of(np.arange(40.0)[:, None]), 30)
    assert len(set(found.rows.tolist())) == 30
    assert (found.scores[:10] > 0).all()
