import dataclasses

import pytest

from engine.percent import percent
from engine.records.rounds import HeldoutFigures, Verdict
from engine.rounds.folder.plan import PreviousRound
from engine.rounds.worker import guard
from engine.rounds.worker.guard import Judged
from engine.training.calibrate import accuracy_interval

EVEN = Judged(tuple("abcdefghij"), [50] * 10, [10] * 10, [300] * 10, (0.4, 0.6))
"""Ten classes with ten held-out labels each: always guessing one of them has 10 of 100 right."""
UNMEASURED = dataclasses.replace(EVEN, labels=[1] * 10, heldout_labels=[0] * 10)


def figures(correct: int, n: int) -> HeldoutFigures:
    return HeldoutFigures(n, correct, correct / n, *accuracy_interval(correct, n))


def verdict(own, baseline=None, previous=None, judged=EVEN, passed_over=None) -> tuple[bool, str]:
    found: Verdict = guard.verdict(own, baseline, previous, judged, passed_over)
    return found.promoted, found.reason


def test_a_first_round_without_anything_to_compare_with_is_promoted():
    promoted, reason = verdict(figures(80, 100))
    assert promoted
    assert reason == "Promoted: 80 of 100 held-out labels right; chosen by them, so no measure of accuracy."


@pytest.mark.parametrize(("baseline", "better"), [(81, True), (80, False), (79, False)])
def test_the_labels_alone_are_better_by_one_image_more(baseline, better):
    assert guard.better_alone(figures(80, 100), figures(baseline, 100)) is better


@pytest.mark.parametrize("baseline", [None, HeldoutFigures()])
def test_a_baseline_that_is_not_measured_is_never_better(baseline):
    assert not guard.better_alone(HeldoutFigures(), baseline)
    assert verdict(figures(30, 100), baseline)[0]


def test_a_round_whose_result_is_the_baselines_says_both_numbers_and_whose_predictions_count():
    promoted, reason = verdict(figures(80, 100), figures(80, 100), None, EVEN, figures(60, 100))
    assert promoted
    assert "model of the labels alone" in reason
    assert "80 of 100 held-out labels right. The round's algorithm had 60 of them right" in reason
    assert "left aside" in reason
    assert "measure no accuracy" in reason


@pytest.mark.parametrize(("correct", "promoted"), [(0, False), (10, False), (15, True)])
def test_a_round_must_be_above_always_guessing_the_largest_class(correct, promoted):
    found, reason = verdict(figures(correct, 100))
    assert found is promoted
    if not promoted:
        assert "not above the 10 that always guessing a, the largest class" in reason
        assert "train again" in reason


@pytest.mark.parametrize(("correct", "promoted"), [(6, False), (7, False), (8, False), (9, True)])
def test_a_round_that_luck_reaches_often_is_held_back_in_words(correct, promoted):
    two = dataclasses.replace(EVEN, heldout_labels=[6, 6] + [0] * 8)
    found, reason = verdict(figures(correct, 12), judged=two)
    assert found is promoted
    assert not verdict(figures(9, 12), figures(8, 12), judged=two)[0], "7 of 100 twice"
    assert verdict(figures(10, 12), figures(8, 12), judged=two)[0]
    if correct == 8:  # 794 of the 4,096 ways that 12 coins fall
        assert "luck has as many right in 19 of 100 such rounds" in reason
    if correct == 7:  # 1 586 of the 4 096 ways that 12 coins fall
        assert "hardly above the 6 that always guessing a would have" in reason
        assert "luck has as many right in 39 of 100 such rounds" in reason


def test_of_few_held_out_labels_all_right_is_enough():
    two = dataclasses.replace(EVEN, heldout_labels=[1, 1] + [0] * 8)
    assert verdict(figures(2, 2), judged=two)[0], "luck has as many in 25 of 100"
    assert not verdict(figures(1, 2), judged=two)[0]


def test_the_largest_class_is_the_one_of_the_held_out_labels_and_not_of_all():
    uneven = dataclasses.replace(EVEN, labels=[5, 900] + [5] * 8, heldout_labels=[2, 3, 60, 5, 5, 5, 5, 5, 5, 5])
    assert "guessing c," in verdict(figures(60, 100), judged=uneven)[1]
    assert verdict(figures(67, 100), judged=uneven)[0]


def test_with_labels_of_one_class_held_out_one_right_is_enough():
    one = dataclasses.replace(EVEN, heldout_labels=[4] + [0] * 9)
    assert verdict(figures(1, 4), judged=one)[0]
    assert not verdict(figures(0, 4), judged=one)[0]


@pytest.mark.parametrize("own", [HeldoutFigures(), figures(15, 100)], ids=["unmeasured", "hardly above a guess"])
def test_nearly_one_class_for_all_unlabeled_images_is_held_back_and_named(own):
    judged = dataclasses.replace(EVEN if own.n else UNMEASURED, predicted=[10, 0, 980, 10] + [0] * 6)
    promoted, reason = verdict(own, judged=judged)
    assert not promoted
    assert "980 of the 1,000 unlabeled images are predicted as one class, c." in reason
    # one image fewer is no longer nearly all
    assert verdict(own, judged=dataclasses.replace(judged, predicted=[11, 0, 979, 10] + [0] * 6))[0]


def test_nearly_one_class_is_no_fault_where_held_out_images_or_the_labels_bear_it_out_or_few_are_left():
    judged = dataclasses.replace(EVEN, predicted=[1000] + [0] * 9)
    assert verdict(figures(30, 100), judged=judged)[0]  # 30 of 100: the interval begins at .21, above the guess's .1
    assert verdict(HeldoutFigures(), judged=dataclasses.replace(UNMEASURED, predicted=[19] + [0] * 9))[0]
    labeled = dataclasses.replace(UNMEASURED, labels=[91] + [1] * 9, predicted=[1000] + [0] * 9)
    assert verdict(HeldoutFigures(), judged=labeled)[0]


def test_pseudo_labels_hardly_used_all_the_way_are_held_back_unless_the_labels_alone_are_no_better():
    starved = dataclasses.replace(EVEN, used=(0.0, 0.009, 0.0))
    promoted, reason = verdict(figures(80, 100), judged=starved)
    assert not promoted
    assert f"at most {percent(0.009)} of the pseudo-labels were used" in reason
    assert not verdict(HeldoutFigures(), judged=dataclasses.replace(UNMEASURED, used=(0.0,)))[0]
    promoted, reason = verdict(figures(80, 100), figures(80, 100), judged=starved)
    assert promoted
    assert "hardly used" in reason
    assert verdict(figures(80, 100), judged=dataclasses.replace(EVEN, used=(0.0, 0.01)))[0]
    assert verdict(figures(80, 100), judged=dataclasses.replace(EVEN, used=()))[0]


@pytest.mark.parametrize("before", [figures(90, 100), figures(100, 100), figures(10, 100), HeldoutFigures()])
@pytest.mark.parametrize("passed_over", [None, figures(50, 100)])
def test_held_out_labels_of_other_images_make_no_round_better_or_worse_than_another(before, passed_over):
    promoted, reason = verdict(figures(60, 100), figures(60, 100), PreviousRound(4, before), EVEN, passed_over)
    assert promoted
    assert reason.endswith("Whether it is better or worse than round 4 is told by random images asked blind.")
    assert f"{before.correct} of {before.n}" not in reason


def test_held_out_labels_are_counted_and_never_told_as_a_share_with_an_interval():
    for own, baseline, passed_over in (
        (figures(80, 100), None, None), (figures(80, 100), figures(70, 100), None),
        (figures(80, 100), figures(80, 100), figures(60, 100)), (figures(5, 100), None, None),
        (figures(11, 100), None, None), (scenes(20, 30), None, None), (scenes(8, 12), None, None),
    ):  # fmt: skip
        reason = verdict(own, baseline, PreviousRound(1, figures(40, 50)), EVEN, passed_over)[1]
        assert f"{own.correct} of {own.n} held-out" in reason
        assert "%" not in reason
        assert "interval" not in reason


@pytest.mark.parametrize("previous", [None, PreviousRound(2, HeldoutFigures()), PreviousRound(2, figures(90, 100))])
def test_without_held_out_images_a_sound_round_comes_into_force_unmeasured(previous):
    promoted, reason = verdict(HeldoutFigures(), None, previous, UNMEASURED)
    assert promoted
    assert reason.startswith("Promoted unmeasured: no label was held out")
    assert ("place of round 2 without a comparison" in reason) is (previous is not None)
    assert "Random images" in reason
    assert "%" not in reason


def test_classes_of_which_nothing_was_held_out_are_counted():
    judged = dataclasses.replace(EVEN, heldout_labels=[50, 50] + [0] * 8)
    assert "Of 8 of the 10 classes nothing was held out" in verdict(figures(80, 100), judged=judged)[1]
    assert "nothing was held out" not in verdict(figures(80, 100))[1]


SCENES = Judged(("a", "b"), [180, 180], [6, 6], [30, 30])


def scenes(correct: int, n: int) -> HeldoutFigures:
    return dataclasses.replace(figures(correct, n), images=6 * n)


def test_of_few_scenes_it_says_how_many_were_right_and_compares_nothing():
    before = PreviousRound(1, figures(199, 200))
    promoted, reason = verdict(scenes(10, 12), scenes(7, 12), before, SCENES)
    assert promoted
    assert "10 of 12 held-out scenes right (one image of each is counted, 72 have a label)" in reason
    assert "cannot be told with fewer than 30 scenes" in reason
    assert "worse than the" not in reason
    assert "round 1" not in reason


@pytest.mark.parametrize(("n", "own", "baseline", "better"), [(12, 5, 8, True), (12, 8, 8, False), (2, 0, 1, True)])
def test_of_few_scenes_too_the_one_with_more_right_is_the_result(n, own, baseline, better):
    assert scenes(own, n).few
    assert guard.better_alone(scenes(own, n), scenes(baseline, n)) is better


def test_of_few_scenes_the_words_set_the_result_beside_no_baseline():
    reason = verdict(scenes(10, 12), scenes(7, 12), None, SCENES)[1]
    assert reason.startswith("In force: 10 of 12 held-out scenes right")
    assert "7 of" not in reason
    assert "labels alone" not in reason


def test_of_few_scenes_it_still_says_whose_model_is_the_result():
    promoted, reason = verdict(scenes(10, 12), scenes(10, 12), None, SCENES, scenes(5, 12))
    assert promoted
    assert "model of the labels alone; the round's algorithm had 5 of them right" in reason
