"""What `pick` promises of every strategy: exclusion, limits, determinism, ties by id, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.query import QUERY_STRATEGIES, Pool, available, pick, random_order

KEYS = (
    "least_sure", "least_confidence", "margin", "entropy", "random", "core_set", "badge", "typiclust",
    "k_means",
    "bald", "disagreement", "flips",
)  # fmt: skip
NEEDS = {
    "core_set": "features", "badge": "features", "typiclust": "features", "k_means": "features",
    "bald": "bald", "disagreement": "disagreement", "flips": "flips",
}  # fmt: skip


def whole_pool(n: int = 120, seed: int = 3) -> Pool:
    rng = np.random.default_rng(seed)
    return Pool(
        ids=rng.permutation(1000)[:n].astype(np.int64),
        probabilities=rng.dirichlet(np.ones(3), n).astype(np.float32),
        features=rng.normal(size=(n, 4)).astype(np.float16),
        labeled_features=rng.normal(size=(7, 4)).astype(np.float16),
        flips=rng.integers(0, 5, n).astype(np.int16),
        disagreement=rng.random(n).astype(np.float32),
        bald=rng.random(n).astype(np.float32),
        classes=("a", "b", "c"),
    )


def test_the_default_is_first_and_every_strategy_is_there() -> None:
    assert tuple(QUERY_STRATEGIES) == KEYS
    assert {key: next(iter(one.needs)) for key, one in QUERY_STRATEGIES.items() if one.needs} == NEEDS


@pytest.mark.parametrize("key", KEYS)
def test_picks_are_distinct_not_excluded_and_as_many_as_asked_for(key: str) -> None:
    pool = whole_pool()
    out = pool.ids[:50].tolist()
    found = pick(key, pool, 30, exclude=[*out, 5000])
    assert len(set(found.rows.tolist())) == len(found.scores) == len(found.why) == 30
    assert not set(pool.ids[found.rows].tolist()) & set(out)
    assert np.isfinite(found.scores).all()
    assert all(found.why)


@pytest.mark.parametrize("key", KEYS)
def test_a_limit_above_the_pool_gives_every_image_once_and_zero_gives_none(key: str) -> None:
    pool = whole_pool(23)
    assert sorted(pick(key, pool, 99).rows.tolist()) == list(range(23))
    assert sorted(pick(key, pool, 3, exclude=pool.ids[2:].tolist()).rows.tolist()) == [0, 1]
    for none in (pick(key, pool, 0), pick(key, pool, 5, exclude=pool.ids.tolist())):
        assert len(none.rows) == len(none.scores) == len(none.why) == 0


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_pool_gives_none(key: str) -> None:
    pool = whole_pool().subset(np.zeros(0, np.int64))
    assert len(pick(key, pool, 5).rows) == 0


@pytest.mark.parametrize("key", KEYS)
def test_the_same_pool_and_seed_give_the_same_picks_in_whatever_order_its_rows_are(key: str) -> None:
    pool = whole_pool()
    turned = pool.subset(np.arange(len(pool))[::-1])
    first, again, other = pick(key, pool, 20, seed=4), pick(key, pool, 20, seed=4), pick(key, turned, 20, seed=4)
    assert first.rows.tolist() == again.rows.tolist()
    assert first.why == again.why
    assert pool.ids[first.rows].tolist() == turned.ids[other.rows].tolist()
    np.testing.assert_array_equal(first.scores, other.scores)


@pytest.mark.parametrize("key", KEYS)
def test_images_that_are_all_alike_come_by_ascending_id_but_for_random_ones(key: str) -> None:
    ids = np.array([40, 10, 30, 20], np.int64)
    pool = Pool(
        ids, np.full((4, 2), 0.5, np.float32), np.ones((4, 3)), np.zeros((1, 3)),
        np.ones(4), np.ones(4), np.ones(4), ("a", "b"),
    )  # fmt: skip
    found = ids[pick(key, pool, 4).rows].tolist()
    assert found == (sorted(ids, key=lambda i: random_order(np.array([i]))[0]) if key == "random" else [10, 20, 30, 40])


@pytest.mark.parametrize(("key", "need"), NEEDS.items())
def test_a_strategy_without_what_it_needs_is_refused_with_a_way_out(key: str, need: str) -> None:
    pool = replace(whole_pool(), **{need: None})
    with pytest.raises(ConfigError) as caught:
        pick(key, pool, 3)
    assert "choose another order" in caught.value.way_out
    assert available(pool)[key] == f"{caught.value.cause}."
    assert available(pool)["least_sure"] == available(pool)["margin"] == ""
    assert set(available(whole_pool()).values()) == {""}


def test_a_signal_known_of_no_image_counts_as_missing() -> None:
    pool = replace(whole_pool(3), flips=np.full(3, -1), bald=np.full(3, np.nan))
    assert available(pool)["flips"]
    assert available(pool)["bald"]
    with pytest.raises(ConfigError):
        pick("bald", pool, 1)


def test_unknown_strategies_and_negative_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"magic.*least_sure, least_confidence"):
        pick("magic", whole_pool(), 3)
    with pytest.raises(ConfigError, match="-2"):
        pick("margin", whole_pool(), -2)
    with pytest.raises(ConfigError, match="-1"):
        pick("least_sure", whole_pool(), 3, seed=-1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probabilities": np.full((4, 2), np.nan, np.float32)}, "between 0 and 1"),
        ({"probabilities": np.full((4, 2), 1.5, np.float32)}, "between 0 and 1"),
        ({"probabilities": np.full((4, 2), -0.1, np.float32)}, "between 0 and 1"),
        ({"probabilities": np.zeros((4, 0), np.float32)}, "one image id a row"),
        ({"ids": np.arange(3)}, "one image id a row"),
        ({"ids": np.array([1, 2, 2, 3])}, "twice"),
        ({"classes": ("a",)}, "2 and 1"),
        ({"features": np.ones((3, 2))}, "features must have one row an image"),
        ({"features": np.ones(4)}, "features must have one row an image"),
        ({"features": np.array([[0.0, 1.0], [np.nan, 0.0], [0.0, 0.0], [0.0, 0.0]])}, "features is not finite"),
        ({"labeled_features": np.ones((5, 3))}, "labeled_features must have"),
        ({"labeled_features": np.full((1, 2), np.inf)}, "labeled_features is not finite"),
        ({"flips": np.ones(5)}, "flips must have one value an image"),
        ({"bald": np.ones(5)}, "bald must have one value an image"),
        ({"disagreement": np.full(4, np.inf)}, "disagreement must not be infinite"),
        ({"teacher": np.zeros((4, 1))}, "teacher must have one value an image"),
    ],
)
def test_a_pool_that_does_not_fit_together_cannot_be_made(change: dict[str, object], said: str) -> None:
    good = Pool(
        np.arange(4), np.full((4, 2), 0.5, np.float32), np.ones((4, 2)), np.ones((1, 2)),
        classes=("a", "b"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=said):
        replace(good, **change)


def test_a_subset_takes_every_column_along() -> None:
    pool = replace(whole_pool(), teacher=np.arange(120))
    part = pool.subset(np.array([7, 2]))
    for name in ("ids", "probabilities", "flips", "disagreement", "bald", "teacher"):
        np.testing.assert_array_equal(getattr(part, name), getattr(pool, name)[[7, 2]])
    assert part.labeled_features is pool.labeled_features
    np.testing.assert_array_equal(part.described(), pool.features[[7, 2]])
    np.testing.assert_array_equal(part.subset(np.array([1])).described(), pool.features[[2]])


@pytest.mark.parametrize("key", KEYS)
def test_features_of_more_images_are_picked_from_as_those_of_the_pool_alone_are(key: str) -> None:
    pool, rng = whole_pool(), np.random.default_rng(0)
    at = rng.permutation(500)[:120]
    more = np.full((500, 4), np.nan, np.float16)  # of images nobody asks for
    more[at] = pool.features
    found, same = (
        pick(key, replace(pool, features=more, feature_rows=at), 20, exclude=[3]),
        pick(key, pool, 20, exclude=[3]),
    )
    np.testing.assert_array_equal(found.rows, same.rows)
    np.testing.assert_array_equal(found.scores, same.scores)
    assert found.why == same.why


def test_features_of_more_images_are_copied_and_looked_at_only_where_an_order_reads_them() -> None:
    pool = replace(whole_pool(), features=np.full((500, 4), np.nan), feature_rows=np.arange(120))
    assert pool.subset(np.arange(50)).features is pool.features
    assert len(pick("least_confidence", pool, 5).rows) == 5
    with pytest.raises(ConfigError, match="features is not finite"):
        pick("k_means", pool, 5)
    for rows in (np.arange(119), np.full(120, 500), np.full(120, -1)):
        with pytest.raises(ConfigError, match="feature_rows must have one row"):
            replace(pool, feature_rows=rows)
