"""The default queue: its quotas, class balance and variety, by hand."""

from dataclasses import replace

import numpy as np

from engine.query import Pool, pick
from engine.query.mixture import quotas, scarcity


def two_classes(n: int, doubt: np.ndarray, predicted: np.ndarray, features: np.ndarray | None = None) -> Pool:
    """Probabilities with 1 − (p₁ − p₂) = doubt for the predicted class 0 or 1."""
    best = 1.0 - doubt / 2.0
    p = np.stack([np.where(predicted == 0, best, 1 - best), np.where(predicted == 0, 1 - best, best)], axis=1)
    return Pool(np.arange(1, n + 1), p.astype(np.float32), features, classes=("a", "b"))


def random_pool(n: int, features: bool = True) -> Pool:
    rng = np.random.default_rng(2)
    return Pool(
        rng.permutation(5 * n)[:n], rng.dirichlet(np.ones(4), n).astype(np.float32),
        rng.normal(size=(n, 6)) if features else None, class_counts=np.array([5, 5, 5, 5]), classes=tuple("abcd"),
    )  # fmt: skip


def test_quotas_go_by_largest_remainders() -> None:
    # 10 × (0.5, 0.3, 0.2) exactly; 7 × the same = 3.5, 2.1, 1.4: remainders give the missing one to the first.
    many = np.array([100, 100, 100])
    assert quotas(np.array([5.0, 3.0, 2.0]), many, 10).tolist() == [5, 3, 2]
    assert quotas(np.array([5.0, 3.0, 2.0]), many, 7).tolist() == [4, 2, 1]
    assert quotas(np.array([1.4, 2.6]), many[:2], 4).tolist() == [1, 3]
    assert quotas(np.array([1.0, 1.0, 1.0]), many, 4).tolist() == [2, 1, 1]


def test_what_a_full_class_cannot_take_goes_to_the_others() -> None:
    assert quotas(np.array([8.0, 1.0, 1.0]), np.array([2, 100, 100]), 10).tolist() == [2, 4, 4]
    assert quotas(np.array([1.0, 0.0]), np.array([3, 5]), 6).tolist() == [3, 3]
    assert quotas(np.array([1.0, 1.0]), np.array([3, 1]), 9).tolist() == [3, 1]
    assert quotas(np.array([1.0, 1.0]), np.array([3, 1]), 0).tolist() == [0, 0]


def test_scarcity_is_the_root_of_mean_over_count_within_bounds() -> None:
    # Mean 5: √(6/3), √(6/6), √(6/9).
    np.testing.assert_allclose(scarcity(np.array([2, 5, 8])), [2**0.5, 1.0, (2 / 3) ** 0.5])
    assert scarcity(np.array([0, 1000, 1000])).tolist()[0] == 2.0
    assert scarcity(np.array([0, 0, 0])).tolist() == [1.0, 1.0, 1.0]


def test_the_class_with_more_doubt_gets_more_picks() -> None:
    # Class a: 20 images of doubt 0.8, class b: 20 of 0.4. Shares 2 : 1 of the 18 picks.
    doubt = np.where(np.arange(40) < 20, 0.8, 0.4)
    pool = two_classes(40, doubt, (np.arange(40) >= 20).astype(int))
    found = pick("mixture", pool, 18)
    assert len(found.rows) == 18
    assert int((found.rows < 20).sum()) == 12


def test_the_class_with_few_labels_gets_more_picks() -> None:
    # Equal doubt; labels 1 and 7: mean 4, factors √(5/2) and √(5/8): 2 : 1, so 12 and 6 of 18.
    pool = two_classes(40, np.full(40, 0.8), (np.arange(40) >= 20).astype(int))
    found = pick("mixture", replace(pool, class_counts=np.array([1, 7])), 18)
    assert [int((found.rows < 20).sum()), int((found.rows >= 20).sum())] == [12, 6]


def test_without_features_the_most_uncertain_of_each_class_come_by_falling_doubt() -> None:
    doubt = np.linspace(0.1, 0.9, 40)
    pool = two_classes(40, doubt, np.arange(40) % 2)
    found = pick("mixture", pool, 4)
    assert found.rows.tolist() == [39, 38, 37, 36]
    np.testing.assert_allclose(found.scores, doubt[[39, 38, 37, 36]], atol=1e-6)
    assert found.why[0] == "close call: “b” or “a”"


def test_near_duplicates_compete_for_one_place_and_the_most_uncertain_wins() -> None:
    # Three spots of one class: 20 images at 0, 5 at 100, 5 at 200. By doubt alone all three picks would lie at 0.
    at = np.repeat([0.0, 100.0, 200.0], [20, 5, 5])
    doubt = np.where(at == 0, 0.9, 0.5) + 0.001 * np.arange(30)
    pool = two_classes(30, doubt, np.zeros(30, int), at[:, None])
    found = pick("mixture", pool, 3)
    assert found.rows.tolist() == [19, 29, 24]
    assert found.why[0].endswith("; stands for 20 doubtful images like it")
    assert pick("margin", pool, 3).rows.tolist() == [19, 18, 17]


def test_images_beyond_the_candidates_are_not_taken_however_different_they_are() -> None:
    n = 700
    doubt = np.where(np.arange(n) < 600, 0.8, 0.01)
    features = np.where(np.arange(n) < 600, 0.0, 1.0 * np.arange(n))[:, None]
    found = pick("mixture", two_classes(n, doubt, np.zeros(n, int), features), 40)
    assert (found.rows < 600).all()


def test_before_any_round_typical_images_of_every_group_come() -> None:
    at = np.repeat([0.0, 100.0, 200.0], [14, 9, 7])
    pool = Pool(np.arange(1, 31), np.ones((30, 1), np.float32), at[:, None], classes=("a",), trained=False)
    found = pick("mixture", pool, 3)
    assert at[found.rows].tolist() == [0, 100, 200]
    assert found.why[0] == "typical of a group of 14 images without label"


def test_what_images_like_it_are_said_to_be_has_no_part_in_an_images_doubt() -> None:
    # Two groups by direction: 0..29 are said to be a, 30..59 b; image 0 is said to be b as surely as all others.
    rng = np.random.default_rng(0)
    group = np.arange(60) // 30
    features = np.where(group == 0, -1.0, 1.0)[:, None] * np.array([10.0, 0.0]) + rng.normal(size=(60, 2))
    predicted = group.copy()
    predicted[0] = 1
    pool = two_classes(60, np.full(60, 0.1), predicted, features)
    np.testing.assert_allclose(pick("mixture", pool, 5).scores, 0.1, atol=1e-6)


def test_the_least_sure_come_in_order_and_none_of_them_at_random() -> None:
    pool = random_pool(300)
    found = pick("least_sure", pool, 60)
    assert found.rows.tolist() == np.lexsort((pool.ids, pool.probabilities.max(1)))[:60].tolist()
    sure = np.random.default_rng(0).random(300)
    live = pick("least_sure", replace(pool, sureness=sure), 60)
    assert live.rows.tolist() == np.argsort(sure)[:60].tolist()
    untrained = pick("least_sure", replace(pool, trained=False), 20)
    assert untrained.rows.tolist() == pick("typiclust", replace(pool, trained=False), 20).rows.tolist()
