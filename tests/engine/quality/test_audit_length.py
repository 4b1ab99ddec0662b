"""Random answers to a goal, expected and simulated, against the bound itself answer by answer."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.audit_length import audit_answers, looks_to_goal, too_many, under_way
from engine.quality.betting import ConfidenceSequence, threshold


def slow_answers(rate: float, at_most: int, population: int, needed: float = 20.0) -> int:
    sequence, x = ConfidenceSequence(population, needed), 0
    for n in range(1, population + 1):
        y = int(rate * n + 1 / 3) - x
        sequence.add(n, "random", 1, float(y))
        x += y
        if sequence.e_value(at_most + x + 1) >= needed:
            return n
    raise AssertionError


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.006, 0.0095, 0.02, 0.3])
@pytest.mark.parametrize(("at_most", "population"), [(20, 2000), (0, 60), (3, 60)])
def test_answers_to_a_goal_are_those_of_the_bound_itself(rate: float, at_most: int, population: int) -> None:
    assert audit_answers(rate, at_most, population) == slow_answers(rate, at_most, population)


def test_a_later_audit_takes_more_answers() -> None:
    assert audit_answers(0.004, 20, 2000, threshold(audit=3)) == slow_answers(0.004, 20, 2000, 120.0)
    assert audit_answers(0.004, 20, 2000, 120.0) > audit_answers(0.004, 20, 2000)


@pytest.mark.parametrize(("rate", "answers"), [(0.0, 354), (0.002, 689)])
def test_answers_to_one_percent_in_a_million_labels(rate: float, answers: int) -> None:
    assert audit_answers(rate, 10_000, 1_000_000) == answers


def test_a_goal_that_allows_everything_needs_no_answer() -> None:
    assert audit_answers(0.5, 100, 100) == 0
    for rate, at_most in ((1.1, 3), (-0.1, 3), (0.1, -1)):
        with pytest.raises(ConfigError):
            audit_answers(rate, at_most, 10)


def half_way(answers: int = 150, wrong: tuple[int, ...] = (40, 90)) -> ConfidenceSequence:
    """An audit of 2,000 labels: random answers, by default two of them wrong, and 30 looks, one wrong."""
    sequence = ConfidenceSequence(2000)
    for n in range(answers):
        sequence.add(n, "random", 1, float(n in wrong))
    for n in range(30):
        sequence.add(1000 + n, "look", 1, float(n == 3))
    return sequence


@pytest.mark.parametrize("rate", [0.0, 0.004, 0.02])
def test_answers_left_of_an_audit_under_way_are_those_of_the_bound_itself(rate: float) -> None:
    sequence, x = half_way(), 0
    left = audit_answers(rate, 20, sequence.unseen, 20.0, under_way(sequence, 20))
    for n in range(1, left + 1):
        assert sequence.e_value(20 + sequence.found + 1) < 20.0
        y = int(rate * n + 1 / 3) - x
        x += y
        sequence.add(5000 + n, "random", 1, float(y))
    assert sequence.e_value(20 + sequence.found + 1) >= 20.0


def test_a_simulated_audit_goes_on_from_the_answers_given() -> None:
    sequence = half_way()
    labels = np.arange(sequence.unseen) < 9
    known, rng = np.zeros(0, np.bool_), np.random.default_rng(3)
    left = looks_to_goal(labels, known, 0, 20, 20.0, rng, under_way(sequence, 20))
    for place in np.random.default_rng(3).permutation(sequence.unseen):
        sequence.add(5000 + int(place), "random", 1, float(labels[place]))
        if sequence.e_value(20 + sequence.found + 1) >= 20.0:
            break
    assert left == sequence.looked - 180


@pytest.mark.parametrize("rate", [0.0, 0.004, 0.02])
def test_a_simulated_audit_stops_where_the_bound_reaches_the_goal(rate: float) -> None:
    labels = np.arange(1500) < round(rate * 1500)
    stop = looks_to_goal(labels, np.zeros(0, np.bool_), 0, 15, 20.0, np.random.default_rng(6))
    sequence = ConfidenceSequence(1500)
    for n, place in enumerate(np.random.default_rng(6).permutation(1500), 1):
        sequence.add(n, "random", 1, float(labels[place]))
        if sequence.unseen <= 15 or sequence.e_value(15 + sequence.found + 1) >= 20.0:
            break
    assert stop == sequence.looked


def test_more_doubtful_ones_are_looked_at_where_too_many_are_wrong() -> None:
    """A set with 3 % wrong, all among the 200 most doubtful: random answers alone would need most of it."""
    rest = np.arange(4000) < 120
    rng = np.random.default_rng(1)
    alone = [looks_to_goal(rest, np.zeros(0, np.bool_), 0, 40, 20.0, rng) for _ in range(10)]
    helped = [looks_to_goal(rest, np.zeros(0, np.bool_), 60, 40, 20.0, rng) for _ in range(10)]
    assert np.median(helped) < 0.7 * np.median(alone)


@pytest.mark.parametrize(
    ("wrong", "answered", "more"), [(5, 149, False), (1, 150, False), (2, 150, True), (1, 100, False), (3, 380, False)]
)
def test_more_is_looked_at_after_150_answers_above_four_fifths_of_the_goal(
    wrong: int, answered: int, more: bool
) -> None:
    assert too_many(wrong, answered, 0.01) is more
