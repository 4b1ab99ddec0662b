"""The bound, the line that tells it, the thresholds and the sample of an audit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from engine.errors import ConfigError
from engine.quality.audit import (
    accepted,
    class_thresholds,
    draw,
    expected_errors,
    global_threshold,
    joint_level,
    look_level,
    statement,
    upper_bound,
)


@pytest.mark.parametrize(
    ("wrong", "n", "level", "bound"),
    [
        (2, 100, 0.95, 0.0616),
        (0, 59, 0.95, 1 - 0.05 ** (1 / 59)),  # the p at which (1 − p)^59 is 0.05
        (0, 10, 0.975, 1 - 0.025**0.1),
        (9, 10, 0.95, 0.95**0.1),  # the p at which 10 of 10 has the probability 0.95
    ],
)
def test_bound_equals_values_worked_out_by_hand(wrong: int, n: int, level: float, bound: float) -> None:
    assert upper_bound(wrong, n, level) == pytest.approx(bound, abs=5e-5)


@given(st.integers(1, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_at_the_bound_so_few_wrong_ones_have_exactly_the_chance_left(n: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, n - 1))
    assert binom.cdf(wrong, n, upper_bound(wrong, n, 0.9)) == pytest.approx(0.1, abs=1e-6)


def test_nothing_is_known_without_answers_and_with_wrong_ones_only() -> None:
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(7, 7) == 1.0


def test_a_population_audited_as_a_whole_is_counted_not_bounded() -> None:
    assert upper_bound(2, 50, population=50) == 0.04
    assert upper_bound(50, 50, population=50) == 1.0
    assert upper_bound(2, 50, population=51) == upper_bound(2, 50)
    assert upper_bound(0, 0, population=0) == 1.0


@pytest.mark.parametrize(("wrong", "n", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 2, 1.0), (0, 2, 0.0), (0, 2, 95)])
def test_bound_refuses_counts_and_levels_that_cannot_be(wrong: int, n: int, level: float) -> None:
    with pytest.raises(ConfigError):
        upper_bound(wrong, n, level)


@pytest.mark.parametrize("population", [120, 1000, 30_000])
@pytest.mark.parametrize("share", [0.01, 0.03, 0.06, 0.2])
def test_bound_holds_as_often_as_promised_for_samples_without_replacement(population: int, share: float) -> None:
    n, wrong_in_all = 100, round(population * share)
    missed = sum(
        hypergeom.pmf(wrong, population, wrong_in_all, n)
        for wrong in range(n + 1)
        if upper_bound(wrong, n) < wrong_in_all / population
    )
    assert missed <= 0.05 + 1e-9


def test_bound_covers_the_truth_in_drawn_audits_and_is_not_idle() -> None:
    rng = np.random.default_rng(3)
    held, bounds = [], []
    for seed in range(400):
        truly_wrong = rng.random(3000) < rng.choice([0.005, 0.02, 0.05])
        wrong = int(truly_wrong[draw(np.arange(3000), 100, seed)].sum())
        bounds.append(upper_bound(wrong, 100))
        held.append(truly_wrong.mean() <= bounds[-1])
    assert np.mean(held) >= 0.95
    assert np.mean(bounds) < 0.08


def test_later_looks_are_judged_more_strictly() -> None:
    assert look_level(0.95, 1) == pytest.approx(0.95)
    assert look_level(0.95, 2) == pytest.approx(0.975)
    assert look_level(0.9, 4) == pytest.approx(0.975)
    assert upper_bound(2, 100, look_level(0.95, 2)) > upper_bound(2, 100, look_level(0.95, 1))
    assert [round(joint_level(0.95, looks), 4) for looks in (1, 2, 3, 4)] == [0.95, 0.925, 0.9083, 0.8958]
    assert joint_level(0.5, 50) == 0.0
    with pytest.raises(ConfigError):
        look_level(0.95, 0)


def test_statement_reads_as_agreed() -> None:
    assert statement(31_204, 100, 2, upper_bound(2, 100), 0.95) == (
        "31,204 labels, 100 audited, 2 wrong: at most 6.2 % wrong (95 % one-sided, Clopper–Pearson)"
    )


def test_statement_never_claims_more_than_was_shown() -> None:
    assert "at most 6.2 % wrong (98.3 % one-sided" in statement(500, 100, 2, 0.06101, look_level(0.95, 3))
    assert "at most 6.1 % wrong" in statement(500, 100, 2, 0.061, 0.95)
    assert "at most 0.30 % wrong" in statement(50_000, 1000, 0, upper_bound(0, 1000), 0.95)
    assert "at most 1.00 % wrong" in statement(50_000, 1000, 0, 0.00999, 0.95)


def test_statement_says_what_is_missing() -> None:
    assert statement(1, 0, 0, 1.0, 0.95) == "1 label, none audited: nothing is known about how many are wrong"
    assert statement(800, 37, 1, None, 0.95) == (
        "800 labels, 37 audited so far, 1 wrong: no bound before the whole sample has an answer"
    )
    assert statement(40, 40, 1, 0.025, 0.95) == "40 labels, all audited, 1 wrong: 2.5 % wrong, counted"


P = np.array(
    [[0.99, 0.01], [0.95, 0.05], [0.90, 0.10], [0.60, 0.40], [0.30, 0.70], [0.40, 0.60]],
    np.float64,
)


def test_class_thresholds_take_as_many_as_the_target_allows_in_each_class() -> None:
    # class 0: errors .01 .05 .10 .40, running means .01 .03 .0533 .14; class 1: .30 .40, means .30 .35
    assert class_thresholds(P, 0.06).tolist() == [0.90, 2.0]
    assert class_thresholds(P, 0.0299).tolist() == [0.99, 2.0]
    assert class_thresholds(P, 0.35).tolist() == [0.60, 0.60]
    assert class_thresholds(P, 0.0).tolist() == [2.0, 2.0]


def test_global_threshold_lets_sure_classes_pay_for_unsure_ones() -> None:
    # errors .01 .05 .10 .30 .40 .40, running means .01 .03 .0533 .115 .172 .21
    assert global_threshold(P, 0.12) == 0.70
    assert global_threshold(P, 0.18) == 0.70  # the two of 0.60 are taken together or not at all
    assert global_threshold(P, 0.21) == 0.60
    assert global_threshold(P[:0], 0.5) == 2.0


@given(st.integers(0, 10_000), st.floats(0, 0.6))
@settings(max_examples=60, deadline=None)
def test_thresholds_meet_the_target_and_the_next_lower_one_would_not(seed: int, target: float) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(3, 0.4), 60).round(2).astype(np.float32)
    thresholds = class_thresholds(p, target)
    taken = accepted(p, thresholds)
    for label in range(3):
        of_class = p.argmax(axis=1) == label
        confidence = p[of_class].max(axis=1).astype(float)
        inside = taken[of_class]
        assert (1 - confidence[inside]).sum() <= target * inside.sum() + 1e-6
        below = confidence[~inside]
        if len(below):
            wider = confidence >= below.max()
            assert (1 - confidence[wider]).mean() > target


def test_accepted_compares_with_the_threshold_of_the_predicted_class() -> None:
    assert accepted(P, np.array([0.95, 0.65])).tolist() == [True, True, False, False, True, False]
    assert accepted(P, np.array([2.0, 2.0])).sum() == 0
    assert expected_errors(P.max(axis=1)[:3]) == pytest.approx(0.16)
    assert expected_errors(np.zeros(0)) == 0.0


def test_thresholds_refuse_what_is_no_probability_or_target() -> None:
    for wrong in (np.nan, 1.5, -2.0):
        broken = P.copy()
        broken[1] = wrong
        with pytest.raises(ConfigError):
            class_thresholds(broken, 0.1)
    with pytest.raises(ConfigError, match="0 to 1"):
        global_threshold(P, 1.2)
    with pytest.raises(ConfigError, match="threshold a class"):
        accepted(P, np.array([0.5]))


def test_draw_takes_each_image_equally_often_and_none_twice() -> None:
    ids = np.array([3, 7, 20, 21, 50])
    drawn = np.array([draw(ids, 2, seed) for seed in range(3000)])
    assert (drawn[:, 0] != drawn[:, 1]).all()
    for place in (0, 1):  # so the order is random too
        share = np.array([(drawn[:, place] == one).mean() for one in ids])
        assert np.abs(share - 0.2).max() < 4 * math.sqrt(0.2 * 0.8 / 3000)


def test_draw_depends_on_seed_and_ids_alone() -> None:
    ids = np.arange(100, 200)
    assert draw(ids, 10, 5).tolist() == draw(ids[::-1], 10, 5).tolist()
    assert draw(ids, 10, 5).tolist() != draw(ids, 10, 6).tolist()
    assert sorted(draw(ids, 10_000, 1).tolist()) == ids.tolist()


def test_draw_refuses_what_cannot_be_sampled() -> None:
    for ids, size in (([], 5), ([1, 1], 1), ([1, 2], 0)):
        with pytest.raises(ConfigError):
            draw(np.array(ids, np.int64), size, 0)
