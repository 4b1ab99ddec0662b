"""The measured set: its order and size, the evidence between two models, the share right among undecided images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality import measured_set
from engine.quality.measured_set import evidence, order, share_by_order, undecided_share, upcoming, wanted
from engine.quality.people import Slips
from engine.quality.sample import share
from engine.query.order import random_order


@pytest.mark.parametrize(
    ("answers", "due"),
    [(0, 0), (4, 0), (5, 1), (100, 20), (499, 99), (500, 100), (509, 100), (510, 101), (2500, 300), (10**6, 300)],
)
def test_one_in_five_then_one_in_ten(answers: int, due: int) -> None:
    assert wanted(answers) == due


def test_the_order_depends_on_salt_and_ids_alone_and_has_one_image_of_each_group() -> None:
    ids, groups = np.arange(1, 401), np.repeat(np.arange(100), 4)
    first = order(ids, groups, 7)
    assert len(first) == 100
    assert len(np.unique(groups[first - 1])) == 100
    shuffled = np.random.default_rng(0).permutation(400)
    assert order(ids[shuffled], groups[shuffled], 7).tolist() == first.tolist()
    assert order(ids, groups, 8).tolist() != first.tolist()
    alone = order(ids, np.arange(400), 7)
    assert [i for i in alone.tolist() if i in set(first.tolist())] == first.tolist(), (
        "of a group the first in the order"
    )


def test_orders_with_different_salts_are_independent() -> None:
    ids = np.arange(1, 20_001)
    here, there = random_order(ids, 3), random_order(ids, 4)
    assert abs(np.corrcoef(here, there)[0, 1]) < 0.03
    assert abs(np.corrcoef(here, random_order(ids))[0, 1]) < 0.03
    assert abs(here.mean() - 0.5) < 0.01


def test_each_image_is_as_likely_to_come_first() -> None:
    ids, groups = np.arange(1, 11), np.arange(10)
    firsts = np.bincount([order(ids, groups, salt)[0] for salt in range(1, 4001)], minlength=11)[1:]
    assert ((firsts - 400) ** 2 / 400).sum() < 27.9, "χ² with 9 degrees of freedom, p = .001"


def test_each_order_is_measured_for_itself() -> None:
    assert (wanted(10**6, 2), wanted(509, 2)) == (600, 100)


def test_imports_that_were_measured_unequally_often_are_weighed_by_their_size() -> None:
    rng, sizes, asked = np.random.default_rng(0), [1000, 10_000], [200, 100]
    truth = (0.9 * 1000 + 0.6 * 10_000) / 11_000
    covered, plainly, off = [], [], []
    for _ in range(2000):
        right = [int(rng.hypergeometric(900, 100, 200)), int(rng.hypergeometric(6000, 4000, 100))]
        one, plain = share_by_order(right, asked, sizes, ""), share(sum(right), 300, "")
        covered.append(one.low <= truth <= one.high)
        plainly.append(plain.low <= truth <= plain.high)
        off.append(one.value - truth)
    assert np.mean(covered) > 0.94, "95 %, less two standard errors"
    assert np.mean(plainly) < 0.05
    assert abs(np.mean(off)) < 0.01


def test_imports_measured_equally_often_are_one_sample_and_one_without_answers_may_be_anything() -> None:
    assert share_by_order([18, 170], [20, 200], [100, 1000], "") == share(188, 220, "")
    unknown = share_by_order([90, 0], [100, 0], [1000, 1000], "")
    assert (unknown.value, unknown.n) == (0.9, 100)
    assert unknown.low < 0.5
    assert unknown.high > 0.94
    assert share_by_order([0, 0], [0, 0], [5, 5], "") == share(0, 0, "")


@given(st.integers(0, 200), st.integers(0, 200))
def test_evidence_is_a_fair_bet_on_the_next_image(b: int, c: int) -> None:
    assert evidence(b, c) == evidence(c, b)
    assert (evidence(b + 1, c) + evidence(b, c + 1)) / 2 == pytest.approx(evidence(b, c), rel=1e-9)


def test_evidence_seldom_reaches_twenty_by_luck_and_mostly_does_where_a_model_is_better() -> None:
    assert evidence(0, 0) == pytest.approx(1)
    assert evidence(9, 0) > measured_set.ENOUGH_EVIDENCE > evidence(6, 0)
    rng = np.random.default_rng(0)
    for better, least, most in ((0.5, 0.0, 0.05), (0.7, 0.95, 1.0)):
        wins = (rng.random((400, 150)) < better).cumsum(1)
        reached = [
            any(evidence(int(b), n + 1 - int(b)) >= measured_set.ENOUGH_EVIDENCE for n, b in enumerate(row))
            for row in wins
        ]
        assert least <= np.mean(reached) <= most


def _world(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    confidence = rng.beta(3, 1, n)
    return confidence, rng.random(n) < confidence**1.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 200))
def test_shares_stay_within_their_intervals_and_0_to_1(seed: int, n: int, undecided: int) -> None:
    rng = np.random.default_rng(seed)
    for right in (np.ones(n, np.bool_), np.zeros(n, np.bool_)):
        one = undecided_share(rng.random(n), right, rng.random(undecided))
        assert 0.0 <= one.low <= one.value <= one.high <= 1.0


def test_share_among_undecided_images_of_lower_confidence_is_covered() -> None:
    rng = np.random.default_rng(0)
    inside, plain = [], []
    for _ in range(300):
        confidence, right = _world(rng, 200)
        others, truth = _world(rng, 2000)
        doubtful = rng.random(2000) > others**4
        share = undecided_share(confidence, right, others[doubtful])
        expected = truth[doubtful].mean()
        inside.append(share.low <= expected <= share.high)
        plain.append(abs(right.mean() - expected) < 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 200))
    assert np.mean(inside) > 0.92
    assert np.mean(plain) < 0.7, "the share of the measured set itself is another"


def test_undecided_images_that_are_surer_within_their_band_count_as_surer() -> None:
    rng = np.random.default_rng(0)
    off = []
    for _ in range(200):
        confidence, others = rng.uniform(0.4, 1, 300), 1 - 0.6 * rng.random(2000) ** 3
        right = rng.random(300) < confidence
        off.append(undecided_share(confidence, right, others).value - others.mean())
    assert abs(np.mean(off)) < 0.005, "by the bands alone it would be 2 points too low"


def test_slips_are_taken_out_of_the_share_and_its_upper_end_alone() -> None:
    rng = np.random.default_rng(0)
    confidence, others = rng.uniform(0.4, 1, 100), rng.uniform(0.4, 1, 500)
    right = rng.random(100) < 0.6
    plain, mended = (undecided_share(confidence, right, others, one) for one in (Slips(0, 0), Slips(0.1, 0.1)))
    assert mended.low == plain.low
    assert mended.value == pytest.approx(plain.value / 0.9)
    assert mended.high == pytest.approx(plain.high / 0.9)


def test_how_little_is_known_of_slips_widens_the_upper_end_alone() -> None:
    rng = np.random.default_rng(0)
    confidence, others = rng.uniform(0.4, 1, 100), rng.uniform(0.4, 1, 500)
    right = rng.random(100) < 0.6
    sure, careful = (undecided_share(confidence, right, others, one) for one in (Slips(0.1, 0.1), Slips(0.1, 0.2)))
    assert (careful.low, careful.value) == (sure.low, sure.value)
    moved = sure.value * 0.9 * (1 / 0.8 - 1 / 0.9)
    assert careful.high == pytest.approx(sure.value + np.hypot(sure.high - sure.value, moved))


def test_a_small_pool_is_less_sure_than_a_large_one() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, 300)
    right = rng.random(300) < confidence
    few, many = (undecided_share(confidence, right, np.linspace(0.4, 1, n)) for n in (50, 5000))
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_few_answers_make_one_band_and_none_make_no_share() -> None:
    right = np.array([True, True, False, True])
    confidence = np.array([0.2, 0.4, 0.6, 0.8])
    assert undecided_share(confidence, right, confidence).value == pytest.approx(0.75)
    assert undecided_share(confidence, right, np.array([0.1, 0.1])).value < 0.75, "these are less sure"
    with pytest.raises(ConfigError, match="nothing to estimate"):
        undecided_share(np.empty(0), np.empty(0, bool), np.array([0.5]))


def test_images_imported_later_catch_up_and_then_take_turns() -> None:
    old, new = np.arange(1, 41), np.arange(41, 61)
    following = list(upcoming([old, new], [40, 20], taken=old[:20].tolist(), passed_over=[45]))
    assert following[:9] == [41, 42, 43, 44, 46, 47, 48, 49, 50], "a half of the new ones first"
    assert sorted(following) == sorted({*range(21, 41), *range(41, 61)} - {45})
    assert sum(one > 40 for one in following[9:15]) in (2, 3)
