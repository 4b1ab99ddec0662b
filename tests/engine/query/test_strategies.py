"""Acquisition scores against values worked out by hand."""

from math import log

import numpy as np
import pytest

from engine.query import QUERY_STRATEGIES, random_order, uncertainty

IDS = np.array([10, 20, 30, 40], np.int64)
P = np.array(
    [
        [0.5, 0.25, 0.25],
        [0.5, 0.5, 0.0],
        [1.0, 0.0, 0.0],
        [0.4, 0.3, 0.3],
    ],
    np.float32,
)


def test_least_confidence_is_one_minus_the_highest_probability() -> None:
    scores = uncertainty.least_confidence(P, IDS)
    np.testing.assert_allclose(scores, [0.5, 0.5, 0.0, 0.6], atol=1e-6)


def test_margin_is_one_minus_the_gap_between_the_two_highest() -> None:
    scores = uncertainty.margin(P, IDS)
    np.testing.assert_allclose(scores, [0.75, 1.0, 0.0, 0.9], atol=1e-6)


def test_margin_of_a_single_class_is_one_minus_its_probability() -> None:
    scores = uncertainty.margin(np.array([[1.0], [0.25]], np.float32), IDS[:2])
    np.testing.assert_allclose(scores, [0.0, 0.75])


def test_entropy_is_in_nats_and_a_certain_row_has_none() -> None:
    scores = uncertainty.entropy(P, IDS)
    by_hand = [1.5 * log(2), log(2), 0.0, -0.4 * log(0.4) - 0.6 * log(0.3)]
    np.testing.assert_allclose(scores, by_hand, atol=1e-6)
    assert not np.signbit(scores[2])


def test_random_scores_depend_on_the_image_alone() -> None:
    whole = random_order(IDS)
    np.testing.assert_array_equal(random_order(IDS[[3, 1]]), whole[[3, 1]])


def test_random_scores_are_spread_evenly_and_unrelated_to_the_order_of_ids() -> None:
    n = 20_000
    scores = random_order(np.arange(1, n + 1))
    assert scores.min() >= 0
    assert scores.max() < 1
    counts = np.histogram(scores, bins=10, range=(0, 1))[0]
    assert np.abs(counts - n / 10).max() < 5 * np.sqrt(n / 10)
    assert abs(np.corrcoef(scores, np.arange(n))[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("key", list(QUERY_STRATEGIES))
def test_every_strategy_has_the_words_a_page_needs(key: str) -> None:
    strategy = QUERY_STRATEGIES[key]
    assert strategy.key == key
    assert strategy.title
    assert strategy.summary.endswith(".")


def test_why_names_the_numbers_that_ranked_the_image() -> None:
    row = np.array([0.25, 0.34, 0.41], np.float32)
    classes = ["4", "7", "9"]
    assert uncertainty.why_least_confidence(row, classes) == "least confident: “9” at best"
    assert uncertainty.why_margin(row, classes) == "close call: “9” or “7”"
    sure = np.array([0.99, 0.01, 0], np.float32)
    assert uncertainty.why_margin(sure, classes) == "little in doubt: “4” before “7”"
    # 0.25 ln 4 + 0.34 ln(1/0.34) + 0.41 ln(1/0.41) = 0.3466 + 0.3668 + 0.3656
    assert uncertainty.why_entropy(row, classes) == "undecided between classes: “9” at best"


def test_why_of_a_single_class_has_no_second() -> None:
    assert uncertainty.why_margin(np.array([0.8], np.float32), ["cat"]) == "least confident: “cat” at best"
