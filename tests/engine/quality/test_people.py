"""What two blind looks come to, and how often people are found to err."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.people import PeopleError, Settled, Slips, people_error, settled, slips


def test_an_answer_that_agrees_settles_a_label() -> None:
    assert settled("cat", "cat") == Settled(False, "cat")


def test_a_slip_is_taken_back_by_the_second_look() -> None:
    assert settled("cat", "dog", "cat") == Settled(False, "cat")


def test_two_looks_that_differ_from_the_label_make_it_wrong_and_the_second_counts() -> None:
    assert settled("cat", "dog", "dog") == Settled(True, "dog")
    assert settled("cat", "dog", "cow") == Settled(True, "cow")


def test_until_the_second_look_a_label_counts_as_wrong_and_stays() -> None:
    assert settled("cat", "dog") == Settled(True, "cat", open=True)


def test_people_err_half_as_often_as_two_looks_differ() -> None:
    disagreed = np.zeros(200, np.bool_)
    disagreed[[20, 60, 100, 140]] = True
    measured = people_error(disagreed.tolist(), 5000)
    assert measured.share == pytest.approx(0.01)
    assert 0.02 < measured.upper < 0.035
    assert measured.asked == 200


def test_with_no_human_label_asked_again_nothing_is_known() -> None:
    assert people_error([], 100) == PeopleError(0.0, 0.5, 0)


def test_all_human_labels_asked_again_are_counted() -> None:
    assert people_error([True, False, False, False], 4) == PeopleError(0.125, 0.125, 4)
    with pytest.raises(ConfigError):
        people_error([True, False], 1)


def test_the_limit_holds_where_two_people_slip_independently() -> None:
    rng = np.random.default_rng(2)
    held, shares = [], []
    for _ in range(300):
        slips = rng.random((2, 200)) < 0.02
        measured = people_error((slips[0] ^ slips[1]).tolist(), 20_000)
        held.append(measured.upper >= 0.0196)  # half of 2 · .02 · .98
        shares.append(measured.share)
    assert float(np.mean(held)) >= 0.95
    assert float(np.mean(shares)) == pytest.approx(0.0196, abs=0.002)
    assert float(np.std(shares)) == pytest.approx(0.007, abs=0.0015)


def test_before_a_label_was_asked_again_people_are_supposed_to_slip_in_2_percent() -> None:
    assert slips().expected == pytest.approx(0.02)
    # The 97.5 % quantile of Beta(1, 24) is 1 − 0.025^(1/24) = 14.2 % of differences.
    assert slips().careful == pytest.approx((1 - 0.025 ** (1 / 24)) / 2)


def test_labels_asked_again_move_what_is_supposed_and_make_it_surer() -> None:
    none, often = slips(75, 0), slips(75, 9)
    assert none.expected == pytest.approx(0.005)  # 1 of 100, halved
    assert often.expected == pytest.approx(0.05)  # 10 of 100, halved
    assert none.careful < slips().careful < often.careful
    assert slips(7500, 300).careful < 0.023


def test_slips_outside_their_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ"):
        slips(3, 4)
    with pytest.raises(ConfigError, match="slips"):
        Slips(0.1, 0.05)
    with pytest.raises(ConfigError, match="slips"):
        Slips(0.1, 1.0)
