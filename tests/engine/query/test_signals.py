"""Queues by one number an image, and the fixed random order."""

import numpy as np
import pytest

from engine.query import Pool, pick, random_order

P = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.5, 0.5]], np.float32)
IDS = np.array([7, 50, 3, 9], np.int64)
CLASSES = ("3", "8")


def test_probability_strategies_take_the_highest_score_and_show_it() -> None:
    pool = Pool(IDS, P, classes=CLASSES)
    found = pick("margin", pool, 3)
    assert found.rows.tolist() == [3, 1, 2]
    np.testing.assert_allclose(found.scores, [1.0, 0.9, 0.4], atol=1e-6)
    assert found.why[1] == "close call: “3” or “8”"


@pytest.mark.parametrize("key", ["least_confidence", "margin", "entropy", "random", "least_sure"])
def test_before_any_round_the_random_order_comes_and_says_so(key: str) -> None:
    pool = Pool(IDS, np.full((4, 2), 0.5, np.float32), classes=CLASSES, trained=False)
    found = pick(key, pool, 3)
    assert IDS[found.rows].tolist() == sorted(IDS, key=lambda i: random_order(np.array([i]))[0])[:3]
    assert set(found.why) == {"no round yet: a random image"}


def test_the_random_strategy_takes_a_prefix_of_one_order() -> None:
    n = 200
    ids = np.arange(1, n + 1)
    pool = Pool(ids, np.full((n, 1), 1.0, np.float32), classes=("a",))
    first = pick("random", pool, 50)
    after = pick("random", pool, 50, exclude=ids[first.rows].tolist())
    whole = pick("random", pool, 100)
    assert (
        [*first.rows.tolist(), *after.rows.tolist()]
        == whole.rows.tolist()
        == np.argsort(random_order(ids))[:100].tolist()
    )
    np.testing.assert_array_equal(whole.scores, np.sort(random_order(ids))[:100])
    assert whole.why[0] == "picked at random, predicted “a”"
    assert pick("random", pool, 100, seed=9).rows.tolist() == whole.rows.tolist()


def test_bald_takes_the_highest_value_leaves_unknown_images_out_and_breaks_ties_by_id() -> None:
    pool = Pool(IDS, P, bald=np.array([0.2, np.nan, 0.2, 0.65]), classes=CLASSES)
    found = pick("bald", pool, 4)
    assert IDS[found.rows].tolist() == [9, 3, 7]
    np.testing.assert_allclose(found.scores, [0.65, 0.2, 0.2])
    assert found.why[0] == "dropout masks differ: 0.650 nats"


def test_disagreement_names_teacher_and_student_where_they_differ() -> None:
    signal = np.array([0.5, 0.4, 0.3, np.nan])
    plain = pick("disagreement", Pool(IDS, P, disagreement=signal, classes=CLASSES), 4)
    assert plain.rows.tolist() == [0, 1, 2]
    assert plain.why[0] == "teacher and student differ: 0.500 nats"
    known = Pool(IDS, P, disagreement=signal, classes=CLASSES, teacher=np.array([1, 0, -1, 0]))
    assert pick("disagreement", known, 4).why == (
        "teacher says “8”, student “3”",
        "teacher and student differ: 0.400 nats",
        "teacher and student differ: 0.300 nats",
    )


def test_flips_take_the_most_changes_then_the_closest_call() -> None:
    pool = Pool(IDS, P, flips=np.array([1, 0, 5, 1]), classes=CLASSES)
    found = pick("flips", pool, 4)
    assert found.rows.tolist() == [2, 3, 0, 1]
    assert found.scores.tolist() == [5, 1, 1, 0]
    assert found.why[0] == "its pseudo-label changed 5 times"
    assert found.why[1] == "its pseudo-label changed 1 time"
    assert found.why[3] == "its pseudo-label never changed"
    unknown = Pool(IDS, P, flips=np.array([-1, 0, 5, -1]), classes=CLASSES)
    assert pick("flips", unknown, 4).rows.tolist() == [2, 1]
