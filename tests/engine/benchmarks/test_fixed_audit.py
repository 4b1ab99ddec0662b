"""The bound and the sample of an audit of fixed size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from engine.benchmarks.fixed_audit import draw, look_level, upper_bound
from engine.errors import ConfigError


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
    with pytest.raises(ConfigError):
        look_level(0.95, 0)


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
