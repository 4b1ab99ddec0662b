"""The bound of wrong labels by betting without replacement: exact chances, invariants, figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from engine.benchmarks.fixed_audit import upper_bound
from engine.errors import ConfigError
from engine.quality.betting import FEWER, MORE, Answer, Bets, ConfidenceSequence, allowed, threshold


def after(population: int, answers: str, needed: float = 20.0) -> ConfidenceSequence:
    """Answers as letters: r right and w wrong at random, R and W as looks."""
    sequence = ConfidenceSequence(population, needed)
    for place, letter in enumerate(answers):
        sequence.add(place, "random" if letter.islower() else "look", 1, float(letter in "wW"))
    return sequence


def ever_given_up(population: int, wrong: int, bets: Bets, needed: float) -> float:
    """The chance, over all orders, that E of the true number of wrong labels ever reaches what is needed."""
    log_money, found, chance, lost = np.zeros((1, len(bets.stakes))), np.zeros(1), np.ones(1), 0.0
    for n in range(population - 1):
        p = (wrong - found) / (population - n)
        branches = []
        for y in (0.0, 1.0):
            q = p if y else 1.0 - p
            on = q > 1e-12
            with np.errstate(divide="ignore"):
                money = log_money[on] + np.log(bets.factors(p[on], np.full(on.sum(), y)))
            branches.append((money, found[on] + y, chance[on] * q[on]))
        log_money, found, chance = (np.concatenate(parts) for parts in zip(*branches, strict=True))
        up = bets.mixed(log_money) >= math.log(needed)
        lost += float(chance[up].sum())
        log_money, found, chance = log_money[~up], found[~up], chance[~up]
    return lost


@pytest.mark.parametrize(("population", "worst"), [(12, 0.0325), (16, 0.0329)])
def test_over_all_orders_the_bound_ever_fails_less_often_than_promised(population: int, worst: float) -> None:
    chances = [ever_given_up(population, wrong, FEWER, 20.0) for wrong in range(population + 1)]
    assert max(chances) == pytest.approx(worst, abs=5e-5)
    assert max(ever_given_up(population, wrong, MORE, 20.0) for wrong in range(population + 1)) <= 0.05


@pytest.mark.parametrize("bets", [FEWER, MORE])
def test_a_bet_is_fair_where_the_supposed_number_is_true(bets: Bets) -> None:
    assert np.exp(bets.log_weights).sum() == pytest.approx(1.0)
    p = np.array([0.001, 0.2, 0.97])
    mean = (1 - p)[:, None] * bets.factors(p, np.zeros(3)) + p[:, None] * bets.factors(p, np.ones(3))
    assert mean == pytest.approx(np.ones_like(mean))


def test_e_value_is_the_mixture_written_out() -> None:
    """Ten labels, K = 4: right (p = 4/10), a look finds one wrong, wrong (p = 3/8)."""
    stakes = [0.0, *((j - 0.5) / 20 for j in range(1, 21))]
    shares = [stake**-0.5 for stake in stakes[1:]]
    weights = [0.25, *(0.75 * share / sum(shares) for share in shares)]
    first = [1 + (1 - stake) * 0.4 / 0.6 for stake in stakes]
    second = [1 + (1 - stake) * (3 / 8 - 1) / (5 / 8) for stake in stakes]
    by_hand = sum(w * a * b for w, a, b in zip(weights, first, second, strict=True))
    assert after(10, "rWw").e_value(4) == pytest.approx(by_hand)


def test_numbers_that_the_answers_rule_out_have_an_infinite_e_value() -> None:
    sequence = after(10, "rWw")
    assert sequence.e_value(1) == math.inf  # two were found
    assert sequence.e_value(10) == math.inf  # one is right
    assert sequence.e_value(9) < math.inf


@pytest.mark.parametrize(("answers", "percent"), [(20, 16.2), (50, 6.8), (100, 3.5), (300, 1.2)])
def test_bound_without_a_wrong_answer_in_ten_thousand_labels(answers: int, percent: float) -> None:
    assert 100 * after(10_000, "r" * answers).upper / 10_000 == pytest.approx(percent, abs=0.05)


def test_a_wider_bound_than_that_of_one_look_is_the_price_of_watching() -> None:
    rng = np.random.default_rng(4)
    for n in (50, 200, 800):
        y = rng.random(n) < 0.03
        fixed = upper_bound(int(y.sum()), n)
        assert 1.0 < after(100_000, "".join("rw"[int(one)] for one in y)).upper / 100_000 / fixed < 2.0


def test_two_sided_intervals_are_about_half_as_wide_again_as_clopper_pearsons() -> None:
    rng = np.random.default_rng(8)
    ratios = []
    for _ in range(40):
        y = rng.random(200) < 0.1
        x = int(y.sum())
        sequence = after(100_000, "".join("rw"[int(one)] for one in y), threshold(sides=2))
        fixed = beta.ppf(0.975, x + 1, 200 - x) - beta.ppf(0.025, x, 201 - x)
        ratios.append((sequence.upper - sequence.lower) / 100_000 / fixed)
    assert 1.3 < float(np.mean(ratios)) < 1.7


def test_nothing_is_known_before_the_first_answer() -> None:
    sequence = ConfidenceSequence(50)
    assert (sequence.upper, sequence.lower, sequence.left_wrong(), sequence.unseen) == (50, 0, 50, 50)
    assert (sequence.e_value(3), ConfidenceSequence(0).upper) == (1.0, 0)


def test_a_set_looked_at_as_a_whole_is_counted() -> None:
    for letters in ("rwrrRWrwRR", "RRRRRRRRRR", "WWWWWWWWWW", "wwwwwwwwww", "rrrrrrrrrr"):
        sequence = after(10, letters)
        wrong = sum(letter in "wW" for letter in letters)
        assert (sequence.upper, sequence.lower, sequence.left_wrong(), sequence.unseen) == (wrong, wrong, 0, 0)


def test_a_look_alone_bounds_what_is_left_and_bets_nothing() -> None:
    sequence = after(100, "R" * 30 + "W" * 5)
    assert (sequence.upper, sequence.lower, sequence.left_wrong()) == (70, 5, 65)
    assert sequence.e_value(40) == 1.0


def test_looks_that_found_wrong_ones_are_taken_from_what_a_bet_expects() -> None:
    """After the looks, 60 supposed wrong ones are 50 of 80."""
    sequence = after(100, "W" * 10 + "R" * 10 + "r")
    only = ConfidenceSequence(80)
    only.add(0, "random")
    assert sequence.e_value(60) == pytest.approx(only.e_value(50))
    assert sequence.e_value(60) != pytest.approx(after(100, "r").e_value(60))


def test_a_group_is_one_bet_of_its_share_and_many_looked_at() -> None:
    sequence = ConfidenceSequence(60)
    sequence.add(0, "random", 6, 4 / 6)
    p = 30 / 60
    by_hand = np.exp(FEWER.log_weights) @ (1 + (1 - FEWER.stakes) * (p - 4 / 6) / (1 - p))
    assert sequence.e_value(30) == pytest.approx(float(by_hand))
    assert (sequence.looked, sequence.found, sequence.answered, sequence.unseen) == (6, 4, 1, 54)
    singles = after(60, "wwwwrr")
    assert sequence.upper >= singles.upper


LETTERS = st.text("rrrrrrwRRWW", min_size=1, max_size=80)


@given(LETTERS, st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_e_value_grows_with_the_supposed_number(letters: str, more: int) -> None:
    sequence = after(len(letters) + more, letters)
    possible = range(sequence.found, sequence.found + sequence.unseen + 1)
    e_values = np.array([sequence.e_value(wrong) for wrong in possible])
    assert (np.diff(e_values) >= -1e-9 * e_values[1:]).all()


@given(LETTERS, st.integers(0, 200), st.sampled_from([5.0, 20.0, 60.0]))
@settings(max_examples=60, deadline=None)
def test_bounds_only_ever_tighten_and_contain_what_was_found(letters: str, more: int, needed: float) -> None:
    population = len(letters) + more
    sequence = ConfidenceSequence(population, needed)
    last = (population, 0)
    for place, letter in enumerate(letters):
        sequence.add(place, "random" if letter.islower() else "look", 1, float(letter in "wW"))
        upper, lower = sequence.upper, sequence.lower
        assert sequence.found <= lower <= upper <= sequence.found + sequence.unseen
        assert upper <= max(last[0], sequence.found)
        assert lower >= min(last[1], upper)
        last = (upper, lower)


@given(LETTERS, st.integers(0, 200), st.sampled_from([5.0, 20.0]))
@settings(max_examples=60, deadline=None)
def test_bound_is_the_largest_number_that_no_answer_so_far_gave_up(letters: str, more: int, needed: float) -> None:
    """By trying every number after every answer, without bisection."""
    population = len(letters) + more
    kept = np.ones(population + 1, np.bool_)
    for n in range(1, len(letters) + 1):
        sequence = after(population, letters[:n], needed)
        if letters[n - 1].islower():
            kept &= np.array([sequence.e_value(wrong) < needed for wrong in range(population + 1)])
    low, high = sequence.found, sequence.found + sequence.unseen
    by_hand = max((wrong for wrong in np.flatnonzero(kept) if low <= wrong <= high), default=low)
    assert after(population, letters, needed).upper == by_hand


@given(LETTERS, st.integers(0, 10_000), st.sampled_from([2.0, 20.0]))
@settings(max_examples=60, deadline=None)
def test_a_replay_from_the_list_finds_the_bounds_that_were_watched(letters: str, more: int, needed: float) -> None:
    population = len(letters) + more
    answers = [
        Answer(7 * place, "random" if letter.islower() else "look", 1, float(letter in "wW"))
        for place, letter in enumerate(letters)
    ]
    watched = ConfidenceSequence(population, needed)
    for answer in answers:
        watched.add(*answer)
        _ = watched.upper, watched.lower
    again = ConfidenceSequence.replay(population, [tuple(answer) for answer in answers], needed)
    assert (again.upper, again.lower, again.left_wrong()) == (watched.upper, watched.lower, watched.left_wrong())


@given(st.text("rw", min_size=2, max_size=40), st.randoms())
@settings(max_examples=40, deadline=None)
def test_names_of_the_images_and_the_order_of_looks_in_a_row_change_nothing(letters: str, random: object) -> None:
    looks = list("RRRWRW")
    first = after(200, letters + "".join(looks) + "rr")
    second = after(200, letters + "".join(sorted(looks)) + "rr")
    assert (first.upper, first.lower) == (second.upper, second.lower)
    assert first.e_value(60) == pytest.approx(second.e_value(60))


def test_the_last_images_of_a_set_do_not_break_the_arithmetic() -> None:
    """p comes to 1 where all that is left is supposed to be wrong, and to 0 where nothing is."""
    assert after(3, "ww").lower == 2
    assert after(40, "w" * 39).upper == 40
    assert after(40, "r" * 39).upper == 0
    assert after(40, "r" * 20 + "W" * 19).lower == 19
    assert np.isfinite(FEWER.factors(np.array([1.0]), np.array([0.0]))).all()
    assert np.isfinite(MORE.factors(np.array([0.0]), np.array([1.0]))).all()


def test_many_answers_in_a_large_set_neither_overflow_nor_lose_the_truth() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(100_000) < 0.4
    order = rng.permutation(100_000)[:4000]
    answers = [Answer(int(one), "random", 1, float(wrong[one])) for one in order]
    sequence = ConfidenceSequence.replay(100_000, answers, threshold(sides=2))
    assert sequence.lower <= wrong.sum() <= sequence.upper
    assert sequence.upper - sequence.lower < 8_000
    assert sequence.e_value(99_000) == math.inf


def test_what_people_pass_and_what_a_model_changed_is_added_to_what_is_left() -> None:
    sequence = after(1000, "r" * 200 + "w" + "r" * 100)
    upper = sequence.upper
    assert sequence.left_wrong() == upper - 1
    assert sequence.left_wrong(missed=0.3) == math.floor(upper / 0.7) - 1
    assert sequence.left_wrong(changed=12) == upper - 1 + 12
    assert after(20, "r" * 10).left_wrong(changed=10) == 10  # no more than there are
    for wrong in ({"missed": 1.0}, {"missed": -0.1}, {"changed": 700}, {"changed": -1}):
        with pytest.raises(ConfigError):
            sequence.left_wrong(**wrong)  # type: ignore[arg-type]


def test_a_goal_is_reached_at_the_answer_that_gives_up_one_more_than_it_allows() -> None:
    sequence = ConfidenceSequence(10_000)
    first = None
    for place in range(500):
        sequence.add(place, "random")
        assert sequence.reached(100) == (sequence.e_value(101) >= 20.0)
        first = place + 1 if first is None and sequence.reached(100) else first
    assert first == 345


@pytest.mark.parametrize(("rate", "labels", "count"), [(0.01, 100, 1), (0.29, 100, 29), (0.015, 100, 1), (0.0, 9, 0)])
def test_goal_in_labels_is_rounded_down_but_for_the_arithmetic(rate: float, labels: int, count: int) -> None:
    assert allowed(rate, labels) == count


def test_later_audits_and_tables_need_stronger_evidence() -> None:
    assert [threshold(audit=j) for j in (1, 2, 3, 4)] == pytest.approx([20, 60, 120, 200])
    assert threshold(sides=2) == pytest.approx(40)
    assert threshold(statements=12) == pytest.approx(240)
    assert sum(1 / threshold(audit=j) for j in range(1, 10_000)) == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"audit": 0}, {"sides": 3}, {"statements": 0}])
def test_threshold_refuses_what_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        threshold(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        (1, "random", 0, 0.0), (1, "random", 3, 0.5), (1, "random", 1, 1.5), (1, "seen", 1, 0.0),
        (1, "random", 1, math.nan), (1, "random", 9, 0.0), (0, "random", 1, 0.0),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_is_refused_and_changes_nothing(answer: tuple[int, str, int, float]) -> None:
    sequence = after(9, "r")
    with pytest.raises(ConfigError):
        sequence.add(*answer)  # type: ignore[arg-type]
    assert (sequence.looked, sequence.found, sequence.answered) == (1, 0, 1)


def test_populations_and_goals_out_of_range_are_refused() -> None:
    for wrong in ((-1, 20.0), (10, 1.0), (10, math.nan)):
        with pytest.raises(ConfigError):
            ConfidenceSequence(*wrong)
    for rate, labels in ((1.1, 10), (-0.1, 10), (0.1, -1)):
        with pytest.raises(ConfigError):
            allowed(rate, labels)


@pytest.mark.speed
def test_bound_after_each_of_five_thousand_answers_in_a_million_labels_is_quick() -> None:
    import time

    y = np.random.default_rng(0).random(5000) < 0.005
    sequence = ConfidenceSequence(1_000_000)
    began = time.process_time()
    for place, wrong in enumerate(y):
        sequence.add(place, "random", 1, float(wrong))
        _ = sequence.upper
    assert (time.process_time() - began) / 5000 < 0.005
