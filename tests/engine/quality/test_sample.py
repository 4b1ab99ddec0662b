"""The random sample: which rows, that they are unbiased beside error-seeking queues, and the interval."""

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.sample import random_prefix, share


def test_all_decided_rows_before_the_first_undecided_one_in_the_order() -> None:
    order = np.linspace(0, 1, 1000, endpoint=False)[::-1]  # row 999 is the first
    decided = np.zeros(1000, bool)
    decided[[999, 998, 997, 995, 3]] = True
    assert random_prefix(order, decided).tolist() == [999, 998, 997]


def test_a_beginning_that_luck_alone_can_explain_is_no_sample() -> None:
    order = np.arange(10) / 10
    decided = np.arange(10) != 2
    assert len(random_prefix(order, decided)) == 0  # 9/10 · 8/9 = 0.8
    few = np.isin(np.arange(200), [0, 1, 50])
    assert random_prefix(np.arange(200) / 200, few).tolist() == [0, 1]  # 3/200 · 2/199 = 0.0002
    one = np.isin(np.arange(200), [0, 50, 60])
    assert len(random_prefix(np.arange(200) / 200, one)) == 0  # 3/200 is above 1 %


def test_all_decided_is_all_and_none_decided_is_none() -> None:
    order = np.array([0.5, 0.1, 0.9])
    assert random_prefix(order, np.ones(3, bool)).tolist() == [1, 0, 2]
    assert len(random_prefix(order, np.zeros(3, bool))) == 0
    assert len(random_prefix(np.zeros(0), np.zeros(0, bool))) == 0
    with pytest.raises(ConfigError):
        random_prefix(order, np.ones(2, bool))


def replay(
    rng: np.random.Generator, n: int, decisions: int, by_chance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Label by a queue that seeks one kind and the random one in turn; return kind, decided, order, rows by chance."""
    wrong = rng.random(n) < 0.1
    queues = [np.argsort(-rng.normal(size=n) - 3 * wrong), rng.permutation(n)]
    decided, at, drawn = np.zeros(n, bool), [0, 0], []
    for chance in rng.random(decisions) < by_chance:
        queue = queues[int(chance)]
        while decided[queue[at[int(chance)]]]:
            at[int(chance)] += 1
        decided[queue[at[int(chance)]]] = True
        if chance:
            drawn.append(queue[at[1]])
    return wrong, decided, np.argsort(queues[1]), np.array(drawn, np.int64)


@pytest.mark.parametrize(("n", "decisions", "by_chance"), [(1000, 200, 0.2), (1000, 450, 0.1), (400, 250, 0.2)])
def test_the_share_of_a_kind_is_unbiased_beside_a_queue_that_seeks_it_and_its_interval_covers(
    n: int, decisions: int, by_chance: float
) -> None:
    rng = np.random.default_rng(5)
    errors, naive, covered = [], [], []
    for _ in range(700):
        wrong, decided, order, drawn = replay(rng, n, decisions, by_chance)
        rows = random_prefix(order.astype(float), decided)
        truth = 1 - wrong.mean()
        found = share(int((~wrong[rows]).sum()), len(rows), "")
        errors.append(found.value - truth)
        naive.append((~wrong[drawn]).mean() - truth)
        covered.append(found.low <= truth <= found.high)
    assert abs(np.mean(errors)) < 0.004 + 2 * np.std(errors) / np.sqrt(len(errors))
    assert np.mean(naive) > 0.03  # what was decided by chance alone has too few
    assert np.mean(covered) >= 0.94


def test_without_answers_in_the_random_order_hardly_any_sample_is_claimed() -> None:
    rng = np.random.default_rng(6)
    claimed = 0
    for _ in range(300):
        _, decided, order, _ = replay(rng, 400, 250, 0.0)
        claimed += len(random_prefix(order.astype(float), decided)) > 0
    assert claimed <= 9  # promised: 1 %


def test_share_has_the_exact_interval() -> None:
    found = share(10, 10, "ten at random")
    assert (found.right, found.n, found.high, found.how) == (10, 10, 1.0, "ten at random")
    assert found.low == pytest.approx(0.025**0.1)
    assert share(0, 10, "").high == pytest.approx(1 - 0.025**0.1)
    assert (share(0, 0, "").low, share(0, 0, "").high, share(0, 0, "").value) == (0.0, 1.0, 0.0)
    with pytest.raises(ConfigError):
        share(3, 2, "")
