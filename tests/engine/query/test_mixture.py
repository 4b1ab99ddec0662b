"""The default queue: its random slice, quotas, class balance and variety, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from engine.query import Pool, pick, random_order
from engine.query.mixture import quotas, scarcity

RANDOM = "picked at random: such images tell how common each class is"


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


@pytest.mark.parametrize("trained", [True, False])
def test_the_marked_slice_is_the_prefix_of_the_random_order_of_the_undecided(trained: bool) -> None:
    pool = replace(random_pool(1000), trained=trained)
    found = pick("mixture", pool, 100)
    first = np.argsort(random_order(pool.ids))[:5]
    assert found.rows[found.random].tolist() == first.tolist()
    assert all(text == RANDOM for text, random in zip(found.why, found.random, strict=True) if random)
    assert not any(text == RANDOM for text, random in zip(found.why, found.random, strict=True) if not random)
    assert np.flatnonzero(found.random).tolist() == list(range(15, 100, 20))


def test_the_slice_stays_one_in_twenty_and_a_prefix_when_a_page_asks_for_three_at_a_time() -> None:
    pool = random_pool(300)
    held: list[int] = []
    marks: list[bool] = []
    for _ in range(30):
        found = pick("mixture", pool, 3, exclude=held)
        held += pool.ids[found.rows].tolist()
        marks += found.random.tolist()
    shown = [held[at] for at in np.flatnonzero(marks)]
    assert len(shown) == 4
    assert np.diff(np.flatnonzero(marks)).tolist() == [20] * 3
    # An image of the order that another part of the mixture has shown meanwhile is passed over, no other.
    order = pool.ids[np.argsort(random_order(pool.ids))].tolist()
    last = order.index(shown[-1])
    assert set(order[: last + 1]) <= set(held)


def test_decided_images_move_the_slice_on_as_held_ones_do() -> None:
    pool = random_pool(305)
    assert pick("mixture", pool, 1).random.tolist() == [True]
    left = pool.subset(np.arange(1, 305))
    assert pick("mixture", left, 1).random.tolist() == [False]
    assert pick("mixture", pool, 1, exclude=[int(pool.ids[0])]).random.tolist() == [False]


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
    # Class a: 20 images of doubt 0.8, class b: 20 of 0.4. Shares 2 : 1 of the 18 picks that are not random.
    doubt = np.where(np.arange(40) < 20, 0.8, 0.4)
    pool = two_classes(40, doubt, (np.arange(40) >= 20).astype(int))
    found = pick("mixture", pool, 19)
    main = found.rows[~found.random]
    assert len(main) == 18
    assert int((main < 20).sum()) == 12


def test_the_class_with_few_labels_gets_more_picks() -> None:
    # Equal doubt; labels 1 and 7: mean 4, factors √(5/2) and √(5/8): 2 : 1, so 12 and 6 of 18.
    pool = two_classes(40, np.full(40, 0.8), (np.arange(40) >= 20).astype(int))
    found = pick("mixture", replace(pool, class_counts=np.array([1, 7])), 19)
    main = found.rows[~found.random]
    assert [int((main < 20).sum()), int((main >= 20).sum())] == [12, 6]


def test_without_features_the_most_uncertain_of_each_class_come_by_falling_doubt() -> None:
    doubt = np.linspace(0.1, 0.9, 40)
    pool = two_classes(40, doubt, np.arange(40) % 2)
    found = pick("mixture", pool, 4)
    assert not found.random.any()
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
    assert (found.rows[~found.random] < 600).all()


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


def test_the_least_sure_come_in_order_with_the_random_slice_between_them() -> None:
    pool = random_pool(300)
    found = pick("least_sure", pool, 60)
    assert found.random.sum() == 3
    assert found.rows[found.random].tolist() == np.argsort(random_order(pool.ids))[:3].tolist()
    rest = np.setdiff1d(np.arange(300), found.rows[found.random])
    order = rest[np.lexsort((pool.ids[rest], pool.probabilities[rest].max(1)))]
    assert found.rows[~found.random].tolist() == order[:57].tolist()
    untrained = pick("least_sure", replace(pool, trained=False), 20)
    assert untrained.rows.tolist() == pick("mixture", replace(pool, trained=False), 20).rows.tolist()
