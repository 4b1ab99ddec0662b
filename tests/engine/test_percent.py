"""Shares as people read them."""

from __future__ import annotations

import pytest

from engine.percent import at_least, at_most, percent, short


@pytest.mark.parametrize(
    ("share", "written"), [(0.062, "6.2 %"), (0.0004, "0.04 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.01, "1.0 %")]
)
def test_a_share_has_one_digit_and_two_below_one_percent(share: float, written: str) -> None:
    assert percent(share) == written


def test_the_digits_can_be_asked_for() -> None:
    assert (percent(0.936, 0), percent(0.98765, 2)) == ("94 %", "98.77 %")


def test_what_a_person_set_is_written_with_the_digits_it_needs() -> None:
    assert (short(0.99), short(0.995), short(0.9999), short(1.0)) == ("99 %", "99.5 %", "99.99 %", "100 %")


def test_bounds_are_rounded_up_and_levels_down() -> None:
    assert (at_most(0.06101), at_most(0.002345), at_most(0.061)) == ("6.2 %", "0.24 %", "6.1 %")
    assert (at_least(0.98666), at_least(0.95), at_least(0.975)) == ("98.6 %", "95 %", "97.5 %")
