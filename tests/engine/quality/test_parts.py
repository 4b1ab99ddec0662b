"""Which answers bet for all labels, a class and a source, and which are only looked at."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.betting import Answer, ConfidenceSequence
from engine.quality.parts import ALL, Answered, Part, by_part

CLASSES = {1: "cat", 2: "cat", 3: "dog", 4: "dog", 5: "cat"}
SOURCES = {1: "human", 2: "pseudo", 3: "human", 4: "pseudo", 5: "human"}
CAT, DOG, HUMAN, PSEUDO = Part("class", "cat"), Part("class", "dog"), Part("source", "human"), Part("source", "pseudo")


def kinds(order: Part | None) -> dict[Part, str]:
    parts = by_part([Answered((1,), (True,), order)], CLASSES, SOURCES)
    return {part: answers[0].kind for part, answers in parts.items()}


def test_a_random_one_of_all_labels_is_a_random_one_of_its_class_and_of_its_source() -> None:
    assert kinds(ALL) == {ALL: "random", CAT: "random", HUMAN: "random"}


def test_an_answer_of_a_class_queue_bets_for_its_class_alone() -> None:
    assert kinds(CAT) == {ALL: "look", CAT: "random", HUMAN: "look"}


def test_an_answer_of_a_source_queue_bets_for_its_source_alone() -> None:
    assert kinds(HUMAN) == {ALL: "look", CAT: "look", HUMAN: "random"}


def test_a_look_bets_for_nothing_but_is_counted_everywhere() -> None:
    assert kinds(None) == {ALL: "look", CAT: "look", HUMAN: "look"}


def test_answers_stay_in_order_and_go_only_where_they_belong() -> None:
    answered = [Answered((3,), (False,), ALL), Answered((1,), (True,), None), Answered((2,), (False,), CAT)]
    parts = by_part(answered, CLASSES, SOURCES)
    assert parts[ALL] == [Answer(3, "random", 1, 0.0), Answer(1, "look", 1, 1.0), Answer(2, "look", 1, 0.0)]
    assert parts[CAT] == [Answer(1, "look", 1, 1.0), Answer(2, "random", 1, 0.0)]
    assert parts[DOG] == [Answer(3, "random", 1, 0.0)]
    assert parts[HUMAN] == [Answer(3, "random", 1, 0.0), Answer(1, "look", 1, 1.0)]


def test_of_a_group_each_part_takes_its_own_images_and_bets_only_if_the_drawn_one_is_its_own() -> None:
    parts = by_part([Answered((1, 2, 3, 5), (True, False, True, False), ALL)], CLASSES, SOURCES)
    assert parts[ALL] == [Answer(1, "random", 4, 0.5)]
    assert parts[CAT] == [Answer(1, "random", 3, pytest.approx(1 / 3))]
    assert parts[DOG] == [Answer(3, "look", 1, 1.0)]
    assert parts[HUMAN] == [Answer(1, "random", 3, pytest.approx(2 / 3))]
    assert parts[PSEUDO] == [Answer(2, "look", 1, 0.0)]


def test_a_part_without_an_answer_is_not_named() -> None:
    assert by_part([], CLASSES, SOURCES) == {ALL: []}


@pytest.mark.parametrize(
    "answered",
    [
        [Answered((1,), (True,), ALL), Answered((1,), (True,), None)],
        [Answered((1, 1), (True, True), ALL)],
        [Answered((9,), (True,), ALL)],
        [Answered((1, 2), (True,), ALL)],
        [Answered((), (), ALL)],
    ],
)
def test_answers_that_cannot_be_counted_are_refused(answered: list[Answered]) -> None:
    with pytest.raises(ConfigError):
        by_part(answered, CLASSES, SOURCES)


def test_a_class_queue_counted_as_random_for_all_labels_would_claim_too_much() -> None:
    """A clean class is asked about often: as looks its answers say nothing of the others, as bets they would."""
    rng = np.random.default_rng(1)
    classes = {place: "clean" if place < 500 else "bad" for place in range(1000)}
    sources = dict.fromkeys(range(1000), "pseudo")
    wrong = np.arange(1000) >= 900
    clean = Part("class", "clean")
    answered = [Answered((int(one),), (bool(wrong[one]),), clean) for one in rng.permutation(500)[:100]]
    parts = by_part(answered, classes, sources)
    assert ConfidenceSequence.replay(1000, parts[ALL], 20.0).upper == 900
    claimed = [answer._replace(kind="random") for answer in parts[ALL]]
    assert ConfidenceSequence.replay(1000, claimed, 20.0).upper < wrong.sum()
    assert ConfidenceSequence.replay(500, parts[clean], 20.0).upper < 25
