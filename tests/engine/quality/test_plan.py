"""Labels wrong now, and the plan to a goal: against brute force, and against projects played to their end."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.audit_length import audit_answers, looks_to_goal
from engine.quality.betting import ConfidenceSequence
from engine.quality.learning import Learning
from engine.quality.plan import Plan, best_plan, scale, wrong_now


def test_scale_starts_at_one_and_follows_the_answers() -> None:
    assert scale(0, 0.0) == 1.0
    assert scale(8, 2.0) == 2.0
    assert scale(0, 4.0) == 0.5
    for wrong, suspected in ((-1, 1.0), (1, -1.0), (1, float("nan"))):
        with pytest.raises(ConfigError):
            scale(wrong, suspected)


def test_wrong_now_is_scaled_suspicion_of_the_unseen_and_peoples_error_of_the_others() -> None:
    suspicion = np.array([0.1, 0.2, 0.9, 0.5])
    looked = np.array([False, False, False, True])
    source = np.array(["pseudo", "human", "pseudo", "human"], object)
    now = wrong_now(suspicion, looked, source, 1.5, people=0.02)
    assert now.wrong == pytest.approx(0.15 + 0.3 + 1.0 + 0.02)  # nothing is wrong more than surely
    assert now.by_source == pytest.approx({"human": 0.32, "pseudo": 1.15})


def test_wrong_now_is_clipped_into_what_the_audit_has_shown() -> None:
    suspicion, looked, source = np.full(100, 0.05), np.zeros(100, np.bool_), np.full(100, "pseudo", object)
    assert wrong_now(suspicion, looked, source, 1.0, interval=(7.0, 12.0)).wrong == 7.0
    assert wrong_now(suspicion, looked, source, 1.0, interval=(0.0, 3.0)).wrong == 3.0
    assert wrong_now(suspicion[:0], looked[:0], source[:0], 1.0).wrong == 0.0


def test_the_scale_makes_the_estimate_better_where_the_model_is_too_sure() -> None:
    """1.8 times as many are wrong as suspected; 50 random answers."""
    rng = np.random.default_rng(0)
    errors, plain = [], []
    for _ in range(200):
        suspicion = rng.beta(0.3, 6, 4000)
        wrong = rng.random(4000) < 1.8 * suspicion
        drawn = rng.permutation(4000)[:50]
        looked = np.zeros(4000, np.bool_)
        looked[drawn] = True
        scaled = scale(int(wrong[drawn].sum()), float(suspicion[drawn].sum()))
        source = np.full(4000, "pseudo", object)
        errors.append(wrong_now(suspicion, looked, source, scaled).wrong / 4000 - wrong[~looked].mean())
        plain.append(wrong[drawn].mean() - wrong[~looked].mean())
    root = [float(np.sqrt(np.mean(np.square(one)))) for one in (errors, plain)]
    assert root[0] < 0.75 * root[1]


def test_a_plan_within_an_audit_counts_its_answers_and_ends_at_the_goal() -> None:
    suspicion = np.full(2000, 0.003)
    looked = np.arange(2000) < 180
    anew = best_plan(suspicion, looked, 0.01, people=0.0)
    within = best_plan(suspicion, looked, 0.01, people=0.0, audit=half_way(wrong=()))
    assert anew is not None
    assert within is not None
    assert within.low <= within.looks < 0.8 * anew.looks
    assert best_plan(suspicion, looked, 0.01, people=0.0, audit=half_way(700)) == Plan(0, 0, 0, 0)


def half_way(answers: int = 150, wrong: tuple[int, ...] = (40, 90)) -> ConfidenceSequence:
    """An audit of 2,000 labels: random answers, by default two of them wrong, and 30 looks, one wrong."""
    sequence = ConfidenceSequence(2000)
    for n in range(answers):
        sequence.add(n, "random", 1, float(n in wrong))
    for n in range(30):
        sequence.add(1000 + n, "look", 1, float(n == 3))
    return sequence


def suspected(rng: np.random.Generator, n: int = 3000) -> np.ndarray:
    return rng.beta(0.15, 4, n)


def test_plan_looks_at_the_doubtful_first_where_they_hold_most_wrong_ones() -> None:
    suspicion = np.where(np.arange(3000) < 300, 0.5, 0.001)
    plan = best_plan(suspicion, np.zeros(3000, np.bool_), 0.01, people=0.0)
    assert plan is not None
    assert 270 <= plan.first <= 300
    assert plan.low <= plan.looks <= plan.high
    assert plan.audit < 1000


def test_plan_has_no_first_part_where_little_is_wrong_or_nothing_is_doubtful() -> None:
    plan = best_plan(np.full(3000, 0.0001), np.zeros(3000, np.bool_), 0.01, people=0.0)
    assert plan is not None
    assert (plan.first, plan.audit) == (0, audit_answers(0.0001, 30, 3000))


def test_plan_costs_no_more_than_other_first_parts() -> None:
    suspicion = np.sort(suspected(np.random.default_rng(3)))[::-1]
    plan = best_plan(suspicion, np.zeros(3000, np.bool_), 0.01, people=0.0)
    assert plan is not None
    totals = {
        first: first + audit_answers(float(suspicion[first:].sum()) / 3000, 30, 3000)
        for first in range(400, 1600, 20)
    }  # fmt: skip
    assert plan.first + audit_answers(float(suspicion[plan.first :].sum()) / 3000, 30, 3000) <= 1.02 * min(
        totals.values()
    )


def test_where_people_err_more_often_than_the_goal_allows_the_audit_finds_the_rest() -> None:
    """Of 3,000 labels that people gave 60 are wrong and 30 may be: about half of them have to be asked again."""
    looked = np.ones(3000, np.bool_)
    plan = best_plan(np.full(3000, 0.02), looked, 0.01, people=0.02)
    assert plan is not None
    assert (plan.first, 1500 < plan.audit < 2700) == (0, True)
    assert best_plan(np.full(30_000, 0.02), np.ones(30_000, np.bool_), 0.01, people=0.05) is None  # 1,500 of 300


def test_answers_taken_as_the_truth_are_not_audited_again() -> None:
    """All but 40 are labeled by people: nothing but these can be wrong, and 30 may be."""
    looked = np.arange(3000) >= 40
    plan = best_plan(np.full(3000, 0.5), looked, 0.01, people=None)
    assert plan is not None
    assert plan.looks <= 15
    asked_anew = best_plan(np.full(3000, 0.5), looked, 0.01, people=0.001)
    assert asked_anew is not None
    assert asked_anew.looks > 300


def test_answers_that_found_more_than_suspected_make_the_plan_longer() -> None:
    suspicion, looked = suspected(np.random.default_rng(3)), np.zeros(3000, np.bool_)
    few = best_plan(suspicion, looked, 0.01, (2, 8.0), people=0.0)
    many = best_plan(suspicion, looked, 0.01, (16, 8.0), people=0.0)
    assert few is not None
    assert many is not None
    assert many.looks > 1.1 * few.looks
    assert many.first > 1.3 * few.first


@pytest.mark.parametrize("truth", [0.6, 1.0, 1.8])
def test_the_interval_of_a_plan_contains_what_projects_take(truth: float) -> None:
    """`truth` times as many are wrong as suspected; the plan is made after 100 random answers."""
    rng = np.random.default_rng(5)
    inside = []
    for seed in range(40):
        suspicion, looked = suspected(rng), np.zeros(3000, np.bool_)
        wrong = rng.random(3000) < truth * suspicion
        drawn = rng.permutation(3000)[:100]
        looked[drawn] = True
        answers = int(wrong[drawn].sum()), float(suspicion[drawn].sum())
        plan = best_plan(suspicion, looked, 0.01, answers, people=0.0, seed=seed)
        assert plan is not None
        rest = wrong[~looked][np.argsort(-suspicion[~looked])][plan.first :]
        known = np.zeros(100 + plan.first, np.bool_)
        took = plan.first + looks_to_goal(rest, known, max(1, plan.first // 5), 30, 20.0, rng)
        inside.append(plan.low <= took <= plan.high)
    assert np.mean(inside) >= 0.8


def test_columns_that_do_not_fit_are_refused() -> None:
    looked = np.zeros(3, np.bool_)
    for suspicion in (np.zeros(2), np.array([0.1, 1.2, 0.0]), np.array([0.1, np.nan, 0.0])):
        with pytest.raises(ConfigError):
            best_plan(suspicion, looked, 0.01)
    with pytest.raises(ConfigError):
        wrong_now(np.zeros(3), looked, np.full(2, "human", object), 1.0)


def test_a_model_that_learns_fast_is_given_labels_before_any_look() -> None:
    suspicion, looked = np.random.default_rng(0).beta(0.8, 2.5, 2000), np.zeros(2000, np.bool_)
    static = best_plan(suspicion, looked, 0.02, (10, 10.0), people=0.02)
    slow, fast = (
        best_plan(suspicion, looked, 0.02, (10, 10.0), people=0.02, learning=Learning(50, exponent, 0.1, 0.2, 0.8))
        for exponent in (0.2, 1.5)
    )
    assert static is not None
    assert slow is not None
    assert fast is not None
    assert (static.label, static.looks) == (0, static.first + static.audit)
    assert fast.label > 0
    assert fast.looks == fast.label + fast.first + fast.audit
    assert fast.looks < slow.looks <= static.looks
    assert fast.low < fast.looks < fast.high


def test_a_model_that_learns_nothing_more_changes_no_plan() -> None:
    suspicion, looked = np.random.default_rng(0).beta(0.8, 2.5, 1000), np.zeros(1000, np.bool_)
    static = best_plan(suspicion, looked, 0.02, (10, 10.0), people=0.02)
    assert (
        best_plan(suspicion, looked, 0.02, (10, 10.0), people=0.02, learning=Learning(500, 0.0, 0.0, 0.2, 0.8))
        == static
    )


def test_answers_that_measure_take_no_doubt_away() -> None:
    suspicion, looked = np.random.default_rng(0).beta(0.8, 2.5, 1000), np.zeros(1000, np.bool_)
    few, many = (
        best_plan(
            suspicion, looked, 0.02, (10, 10.0), people=0.02, learning=Learning(50, 1.0, 0.1, measuring, 1 - measuring)
        )
        for measuring in (0.0, 0.5)
    )
    assert few is not None
    assert many is not None
    assert few.looks < many.looks


def test_how_unsure_it_is_how_a_model_learns_widens_the_plan() -> None:
    suspicion, looked = np.random.default_rng(0).beta(0.8, 2.5, 2000), np.zeros(2000, np.bool_)
    sure, unsure = (
        best_plan(suspicion, looked, 0.02, (400, 400.0), people=0.02, learning=Learning(50, 1.0, spread, 0.2, 0.8))
        for spread in (0.0, 0.8)
    )
    assert sure is not None
    assert unsure is not None
    assert sure.label == unsure.label > 0
    assert unsure.high - unsure.low > 1.2 * (sure.high - sure.low)
