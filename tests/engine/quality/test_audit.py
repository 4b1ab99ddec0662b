"""Which predictions a rule accepts, and how many of them are expected to be wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.quality.audit import accepted, class_thresholds, expected_errors, global_threshold

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
