"""The default queue: the least sure, and typical images before anything is known."""

from dataclasses import replace

import numpy as np

from engine.query import Pool, pick


def random_pool(n: int) -> Pool:
    rng = np.random.default_rng(2)
    return Pool(
        rng.permutation(5 * n)[:n], rng.dirichlet(np.ones(4), n).astype(np.float32), rng.normal(size=(n, 6)),
        classes=tuple("abcd"),
    )  # fmt: skip


def test_the_least_sure_come_in_order_and_none_of_them_at_random() -> None:
    pool = random_pool(300)
    found = pick("least_sure", pool, 60)
    assert found.rows.tolist() == np.lexsort((pool.ids, pool.probabilities.max(1)))[:60].tolist()
    np.testing.assert_allclose(found.scores, 1.0 - pool.probabilities.max(1)[found.rows], atol=1e-6)


def test_a_live_models_own_sureness_goes_before_what_is_shown() -> None:
    sure = np.random.default_rng(0).random(300)
    found = pick("least_sure", replace(random_pool(300), sureness=sure), 60)
    assert found.rows.tolist() == np.argsort(sure)[:60].tolist()


def test_before_any_round_and_in_a_young_pool_typical_images_of_every_group_come() -> None:
    at = np.repeat([0.0, 100.0, 200.0], [14, 9, 7])
    pool = Pool(np.arange(1, 31), np.ones((30, 1), np.float32), at[:, None], classes=("a",), trained=False)
    found = pick("least_sure", pool, 3)
    assert at[found.rows].tolist() == [0, 100, 200]
    assert found.why[0] == "typical of a group of 14 images without label"
    young = replace(random_pool(300), young=True)
    assert pick("least_sure", young, 20).rows.tolist() == pick("typiclust", young, 20).rows.tolist()
