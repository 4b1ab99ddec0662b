"""Order, ties, limits and refusals of `rank`, and the line `why` gives."""

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.query import QUERY_STRATEGIES, rank, why

P = np.array([[0.9, 0.1], [0.6, 0.4], [0.75, 0.25], [0.6, 0.4], [0.6, 0.4]], np.float32)
IDS = np.array([7, 50, 3, 9, 12], np.int64)


def test_least_certain_come_first_and_ties_go_by_id() -> None:
    assert rank("least_confidence", P, IDS, 5).tolist() == [3, 4, 1, 2, 0]


def test_a_limit_that_cuts_a_tie_keeps_the_smallest_ids() -> None:
    assert rank("least_confidence", P, IDS, 2).tolist() == [3, 4]


def test_excluded_images_are_left_out_and_rows_still_point_into_the_whole() -> None:
    assert rank("least_confidence", P, IDS, 2, exclude={9, 999}).tolist() == [4, 1]


def test_a_limit_above_the_pool_gives_the_pool_and_zero_gives_none() -> None:
    assert len(rank("margin", P, IDS, 100)) == 5
    assert len(rank("margin", P, IDS, 0)) == 0
    assert len(rank("margin", P, IDS, 3, exclude=IDS.tolist())) == 0
    assert len(rank("random", np.zeros((0, 1), np.float32), np.zeros(0, np.int64), 3)) == 0


@pytest.mark.parametrize("strategy", list(QUERY_STRATEGIES))
@pytest.mark.parametrize("limit", [1, 20, 499, 500, 1000])
def test_equals_a_full_sort_also_with_many_ties(strategy: str, limit: int) -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(4), 500).astype(np.float32)[rng.integers(0, 60, 500)]
    ids = rng.permutation(10_000)[:500]
    scores = QUERY_STRATEGIES[strategy].score(p, ids)
    expected = sorted(range(500), key=lambda i: (-scores[i], ids[i]))[:limit]
    assert rank(strategy, p, ids, limit).tolist() == expected


def test_random_order_is_unchanged_by_what_was_labeled_meanwhile() -> None:
    ids = np.arange(100)
    before = ids[rank("random", np.zeros((100, 1), np.float32), ids, 100)]
    left = np.setdiff1d(ids, before[:10])
    after = left[rank("random", np.zeros((90, 1), np.float32), left, 100)]
    assert after.tolist() == before[10:].tolist()
    assert after.tolist() != sorted(after.tolist())


def test_refuses_what_is_not_a_probability() -> None:
    for wrong in (np.nan, -0.1, 1.5, np.inf):
        p = P.copy()
        p[1, 0] = wrong
        with pytest.raises(ConfigError, match="between 0 and 1"):
            rank("entropy", p, IDS, 2)


def test_refuses_unknown_strategies_negative_limits_and_ids_of_other_images() -> None:
    with pytest.raises(ConfigError, match=r"magic.*least_confidence, margin, entropy, random"):
        rank("magic", P, IDS, 1)
    with pytest.raises(ConfigError, match="-1"):
        rank("margin", P, IDS, -1)
    with pytest.raises(ConfigError, match=r"\(5, 2\) and \(3,\)"):
        rank("margin", P, IDS[:3], 1)


def test_why_names_the_numbers_that_ranked_the_image() -> None:
    row = np.array([0.25, 0.34, 0.41], np.float32)
    classes = ["4", "7", "9"]
    assert why("least_confidence", row, classes) == "least confident: 0.41 for “9”"
    assert why("margin", row, classes) == "close call: 0.41 for “9”, 0.34 for “7”"
    # 0.25 ln 4 + 0.34 ln(1/0.34) + 0.41 ln(1/0.41) = 0.3466 + 0.3668 + 0.3656
    assert why("entropy", row, classes) == "undecided: entropy 1.08 nats, best 0.41 for “9”"
    assert why("random", row, classes) == "picked at random: 0.41 for “9”"


def test_why_of_a_single_class_has_no_second() -> None:
    assert why("margin", np.array([0.8], np.float32), ["cat"]) == "least confident: 0.80 for “cat”"


def test_why_refuses_names_of_another_round() -> None:
    with pytest.raises(ConfigError, match="2 and 3"):
        why("margin", P[0], ["a", "b", "c"])
