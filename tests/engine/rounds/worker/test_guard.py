import pytest

from engine.rounds.worker.guard import verdict
from engine.training.calibrate import accuracy_interval


def figures(correct: int, n: int) -> dict:
    low, high = accuracy_interval(correct, n)
    return {"n": n, "correct": correct, "accuracy": correct / n, "low": low, "high": high}


def report(correct: int, n: int) -> dict:
    return {"heldout": figures(correct, n)}


def test_a_first_round_without_anything_to_compare_with_is_promoted():
    promoted, reason = verdict(report(8, 10), None, None)
    assert promoted
    assert "8 of 10" in reason
    assert "nothing to compare" in reason


def test_a_round_clearly_below_its_baseline_is_held_back_and_says_both_numbers():
    # 60 of 100: the 95 % interval ends at 0.697, below the baseline's 0.80
    promoted, reason = verdict(report(60, 100), figures(80, 100), None)
    assert not promoted
    assert "60.0%" in reason
    assert "80.0%" in reason


def test_a_round_below_its_baseline_within_its_interval_is_promoted():
    # 7 of 10: the interval reaches 0.933, above the baseline's 0.9
    assert verdict(report(7, 10), figures(9, 10), None)[0]


def test_the_baselines_point_counts_and_not_its_upper_end():
    # upper end of 75/100 is 0.831: above the baseline's 0.82, whose own interval reaches 0.89
    assert verdict(report(75, 100), figures(82, 100), None)[0]
    assert not verdict(report(75, 100), figures(84, 100), None)[0]


def test_a_round_clearly_below_the_round_in_force_is_held_back():
    promoted, reason = verdict(report(60, 100), None, {"number": 4, **report(90, 100)})
    assert not promoted
    assert "round 4" in reason
    assert "stays in force" in reason


def test_the_round_in_force_is_compared_with_both_uncertainties():
    # 75/100 against 84/100: as a baseline it would hold the round back; as another sample,
    # −0.09 + sqrt((0.831−0.75)² + (0.84−0.753)²) = +0.029 does not
    assert not verdict(report(75, 100), figures(84, 100), None)[0]
    assert verdict(report(75, 100), None, {"number": 1, **report(84, 100)})[0]


def test_without_held_out_images_a_round_comes_into_force_only_when_none_is():
    empty = {"heldout": {"n": 0, "correct": 0, "accuracy": 0.0, "low": 0.0, "high": 1.0}}
    assert verdict(empty, None, None)[0]
    assert not verdict(empty, None, {"number": 2, **report(5, 10)})[0]


@pytest.mark.parametrize("baseline", [None, {"n": 0}])
def test_a_missing_baseline_is_not_held_against_a_round(baseline):
    assert verdict(report(1, 100), baseline, None)[0]
