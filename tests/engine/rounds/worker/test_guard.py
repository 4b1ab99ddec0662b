import pytest

from engine.percent import percent
from engine.records.rounds import HeldoutFigures, Verdict
from engine.rounds.folder.plan import PreviousRound
from engine.rounds.worker import guard
from engine.training.calibrate import accuracy_interval


def figures(correct: int, n: int) -> HeldoutFigures:
    return HeldoutFigures(n, correct, correct / n, *accuracy_interval(correct, n))


def verdict(*given) -> tuple[bool, str]:
    found: Verdict = guard.verdict(*given)
    return found.promoted, found.reason


def test_a_first_round_without_anything_to_compare_with_is_promoted():
    promoted, reason = verdict(figures(8, 10), None, None)
    assert promoted
    assert "8 of 10" in reason
    assert "nothing to compare" in reason


def test_a_round_clearly_below_its_baseline_is_held_back_and_says_both_numbers():
    # 60 of 100: the 95 % interval ends at 0.697, below the baseline's 0.80
    promoted, reason = verdict(figures(60, 100), figures(80, 100), None)
    assert not promoted
    assert percent(0.6) in reason
    assert percent(0.8) in reason


def test_a_round_below_its_baseline_within_its_interval_is_promoted():
    # 7 of 10: the interval reaches 0.933, above the baseline's 0.9
    assert verdict(figures(7, 10), figures(9, 10), None)[0]


def test_the_baselines_point_counts_and_not_its_upper_end():
    # upper end of 75/100 is 0.831: above the baseline's 0.82, whose own interval reaches 0.89
    assert verdict(figures(75, 100), figures(82, 100), None)[0]
    assert not verdict(figures(75, 100), figures(84, 100), None)[0]


def test_a_round_clearly_below_the_round_in_force_is_held_back():
    promoted, reason = verdict(figures(60, 100), None, PreviousRound(4, figures(90, 100)))
    assert not promoted
    assert "round 4" in reason
    assert "stays in force" in reason


def test_the_round_in_force_is_compared_with_both_uncertainties():
    # 75/100 against 84/100: as a baseline it would hold the round back; as another sample,
    # −0.09 + sqrt((0.831−0.75)² + (0.84−0.753)²) = +0.029 does not
    assert not verdict(figures(75, 100), figures(84, 100), None)[0]
    assert verdict(figures(75, 100), None, PreviousRound(1, figures(84, 100)))[0]


def test_without_held_out_images_a_round_comes_into_force_only_when_none_is():
    empty = HeldoutFigures()
    assert verdict(empty, None, None)[0]
    assert not verdict(empty, None, PreviousRound(2, figures(5, 10)))[0]


@pytest.mark.parametrize("baseline", [None, HeldoutFigures()])
def test_a_missing_baseline_is_not_held_against_a_round(baseline):
    assert verdict(figures(1, 100), baseline, None)[0]
