"""Expected corrections, decisions left, the gain of a round, and the advice."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality import scale
from engine.quality.sample import share
from engine.quality.stopping import (
    Comparison,
    Pool,
    advice,
    decisions_left,
    expected_corrections,
    intervals,
    wrong_between,
)
from engine.records.quality import Between, CurvePoint, Scale


def point(number: int, labels: int, right: int, n: int) -> CurvePoint:
    return CurvePoint(number, "fixmatch", labels, share(right, n, "held out"))


def test_corrections_are_counted_among_the_first_only() -> None:
    confidence = np.array([0.5, 0.75, 0.9])
    assert expected_corrections(confidence, 2) == pytest.approx(0.75)
    assert expected_corrections(confidence, 99) == pytest.approx(0.85)
    assert expected_corrections(confidence, 0) == 0.0
    assert expected_corrections(np.zeros(0), 5) == 0.0


def test_decisions_left_takes_the_least_confident_until_the_rest_is_good_enough() -> None:
    confidence = np.array([0.9, 0.5, 0.99, 0.6])  # expected wrong .1 .5 .01 .4, together 1.01
    assert decisions_left(confidence, 10, 0.89) == 0  # 1.1 allowed
    assert decisions_left(confidence, 10, 0.9) == 1  # 1.0 allowed, .51 left after one
    assert decisions_left(confidence, 10, 0.95) == 2  # 0.5 allowed, .51 would not do
    assert decisions_left(confidence, 10, 1.0) == 4


def test_wrong_labels_elsewhere_use_up_what_is_allowed() -> None:
    confidence = np.array([0.5, 0.5])
    assert decisions_left(confidence, 100, 0.99, wrong_elsewhere=0.5) == 1
    assert decisions_left(confidence, 100, 0.99, wrong_elsewhere=1.0) == 2
    assert decisions_left(confidence, 100, 0.99, wrong_elsewhere=1.1) is None
    assert decisions_left(np.zeros(0), 100, 0.99) == 0


def test_nothing_can_be_said_without_predictions() -> None:
    assert decisions_left(None, 100, 0.99) is None


@given(st.integers(0, 5000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_decisions_left_is_the_smallest_number_that_does(seed: int, target: float) -> None:
    confidence = np.random.default_rng(seed).random(20)
    count = decisions_left(confidence, 25, target)
    assert count is not None
    wrong = np.sort(1 - confidence)[::-1]
    assert wrong[count:].sum() <= (1 - target) * 25 + 1e-6
    assert count == 0 or wrong[count - 1 :].sum() > (1 - target) * 25 - 1e-6


@pytest.mark.parametrize(("total", "target", "elsewhere"), [(0, 0.9, 0.0), (5, 1.1, 0.0), (5, 0.9, -1.0)])
def test_decisions_left_refuses_what_cannot_be(total: int, target: float, elsewhere: float) -> None:
    with pytest.raises(ConfigError):
        decisions_left(np.array([0.5]), total, target, elsewhere)


def test_advice_says_when_there_is_too_little_to_say() -> None:
    assert "too little to say" in advice([], None, 100, None, 0.99)
    few = advice([point(1, 100, 27, 30)], None, 100, 5.0, 0.99)
    assert few.startswith("Only 30 images measure the last round (between 73 and 98 % right): too little")
    assert few.endswith("Go on labeling: about 100 decisions to 99 %, around 5 minutes at your pace.")
    fewer = advice([point(1, 100, 17, 19)], None, None, None, 0.99)
    assert fewer.startswith("Only 19 images measure the last round: too little to say")
    assert "audit" in advice([point(1, 100, 30, 30)], None, 0, 0.0, 0.99)
    assert "done:" not in advice([point(1, 100, 30, 30)], None, 0, 0.0, 0.99)
    assert "shows no trend" in advice([point(1, 100, 900, 1000)], None, 100, None, 0.99)
    assert "cannot be said" in advice([point(1, 100, 900, 1000)], None, None, None, 0.99)


def test_advice_calls_a_round_better_or_worse_only_by_strong_evidence() -> None:
    curve = [point(1, 100, 800, 1000), point(2, 160, 900, 1000)]
    better = advice(curve, Comparison(1000, 110, 10, 1e6), 420, 12.4, 0.995)
    assert better.startswith("Another round is expected to help: the last one, with 60 more labels, is better")
    assert "of the same 1,000 random images it alone has 110 right, that one 10" in better
    assert better.endswith("Go on labeling: about 420 decisions to 99.5 %, around 12 minutes at your pace.")
    same = advice(curve, Comparison(1000, 25, 15, 2.0), 420, None, 0.995)
    assert same.startswith("The last two rounds cannot be told apart")
    worse = advice(curve, Comparison(1000, 10, 110, 1e6), 1, 0.2, 0.995)
    assert worse.startswith("The last round is worse than the one before")
    assert worse.endswith("about 1 decision to 99.5 %, less than a minute.")
    assert "shows no trend" in advice(curve[:1], None, None, None, 0.995)


def test_advice_sends_to_audit_and_export_when_the_target_is_met() -> None:
    assert advice([point(1, 100, 990, 1000)], None, 0, 0.0, 0.99) == (
        "Going by recalibrated confidence, 99 % right labels are expected already. "
        "You are done: audit what is left, then export."
    )


def measured_scale(n: int, wrong_each: int) -> Scale:
    """The scale of n answers spread over the confidences, one in `wrong_each` wrong."""
    return scale.of_answers(np.linspace(0.5, 0.99, n), np.arange(n) % wrong_each > 0)


def pool_of(undecided: NDArray[np.float64], **others: Any) -> Pool:
    given: dict[str, Any] = {"accepted": np.zeros(0), "blank": 0, "elsewhere": 0.0, "target": 0.95, "first": 10}
    return Pool(undecided, total=len(undecided), **{**given, **others})


def test_intervals_hold_what_is_told_and_narrow_with_answers() -> None:
    pool = pool_of(np.linspace(0.5, 0.99, 400))
    widths = []
    for n in (100, 400, 1600):
        written = measured_scale(n, 10)
        sure = scale.recalibrated(written, pool.undecided)
        told = expected_corrections(sure, 10), pool.errors(sure, np.zeros(0)), pool.decisions(sure, np.zeros(0))
        between = intervals(written, pool)
        assert all(value is not None and one.low <= value <= one.high for value, one in zip(told, between, strict=True))
        assert wrong_between(written, pool.undecided).low <= told[1] <= wrong_between(written, pool.undecided).high
        widths.append([one.high - one.low for one in between])
    assert widths[0][1] > widths[1][1] > widths[2][1]
    assert widths[0][2] > widths[1][2] > widths[2][2]


def test_intervals_count_what_only_a_person_can_label_and_what_is_wrong_elsewhere() -> None:
    written, undecided = measured_scale(200, 10), np.linspace(0.5, 0.99, 400)
    plain = intervals(written, pool_of(undecided))
    more = intervals(written, pool_of(undecided, blank=30, elsewhere=5.0))
    assert (more[0], more[1]) == (plain[0], Between(plain[1].low + 35, plain[1].high + 35))
    assert more[2].low > plain[2].low + 30
    hopeless = intervals(written, pool_of(undecided, elsewhere=400.0))[2]
    assert hopeless == Between(400, 400), "all of them, where all would not do"


def test_no_predictions_are_wrong_among_none() -> None:
    assert wrong_between(measured_scale(100, 10), np.zeros(0)) == Between(0, 0)
