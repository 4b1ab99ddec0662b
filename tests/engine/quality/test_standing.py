"""What answers come to: verdicts of two looks, bounds by part, the words for them, and what is frozen."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.audit import bound, none_wrong, seen
from engine.quality.betting import Answer, ConfidenceSequence
from engine.quality.frozen import along, frozen_digest, order_salt
from engine.quality.parts import ALL, Part
from engine.quality.people import PeopleError
from engine.quality.standing import (
    ASSUMED_MISS,
    PartStanding,
    Verdict,
    bets,
    error_of_people,
    judge,
    missed_by,
)
from engine.records.quality import AuditAnswer

RIGHT, WRONG = Verdict(wrong=False, settled=True), Verdict(wrong=True, settled=True)
OPEN, SECOND = Verdict(wrong=True, settled=False), Verdict(wrong=True, settled=False, second=True)
CAT, DOG, COW = (("label", name, True) for name in ("cat", "dog", "cow"))
SEEN_CAT, SEEN_DOG = ("label", "cat", False), ("correct", "dog", False)
UNSURE, REJECT = ("unsure", "cat", True), ("reject", "cat", True)


@pytest.mark.parametrize(
    ("given", "drawn", "looked"),
    [
        ([], OPEN, OPEN),
        ([CAT], RIGHT, RIGHT),
        ([SEEN_CAT], OPEN, RIGHT),  # who saw the label was not asked blind
        ([DOG], SECOND, SECOND),
        ([DOG, CAT], RIGHT, RIGHT),
        ([DOG, DOG], WRONG, WRONG),
        ([DOG, COW], WRONG, WRONG),
        ([DOG, SEEN_CAT], SECOND, SECOND),  # a second look is blind
        ([SEEN_DOG], SECOND, SECOND),
        ([SEEN_DOG, CAT], RIGHT, RIGHT),
        ([CAT, SEEN_DOG], SECOND, SECOND),  # whatever would change a label
        ([CAT, SEEN_DOG, DOG], WRONG, WRONG),
        ([DOG, DOG, CAT], WRONG, WRONG),
        ([UNSURE], OPEN, OPEN),
        ([UNSURE, CAT], RIGHT, RIGHT),
        ([CAT, UNSURE], OPEN, OPEN),
        ([DOG, UNSURE], SECOND, SECOND),
        ([REJECT], SECOND, SECOND),
        ([REJECT, REJECT], WRONG, WRONG),
        ([REJECT, CAT], RIGHT, RIGHT),
    ],
)
def test_a_label_is_wrong_only_where_no_second_blind_look_agrees(
    given: list[tuple[str, str | None, bool]], drawn: Verdict, looked: Verdict
) -> None:
    assert judge("cat", given, drawn=True) == drawn
    assert judge("cat", given, drawn=False) == looked


def answers(*orders: str | None) -> list[AuditAnswer]:
    return [
        AuditAnswer(number, order, "cat", "human" if number % 2 else "pseudo", (), number == 0, True)
        for number, order in enumerate(orders)
    ]


def test_answers_count_for_the_parts_whose_order_drew_them() -> None:
    found = bets(answers("all", "class:cat", None, "source:human"))
    kinds = {part: [bet.kind for bet in of_part] for part, of_part in found.items()}
    assert kinds[ALL] == ["random", "look", "look", "look"]
    assert kinds[Part("class", "cat")] == ["random", "random", "look", "look"]
    assert kinds[Part("source", "human")] == ["look", "random"]
    assert [bet.y for bet in found[ALL]] == [1.0, 0.0, 0.0, 0.0]


def standing(random: int, wrong: int = 0, labels: int = 500, missed: float = 0.0, **more: int) -> PartStanding:
    given = tuple(Answer(number, "random", 1, float(number < wrong)) for number in range(random))
    return PartStanding(ALL, labels, given, 20.0, missed, **more)


def test_people_and_changes_add_to_what_is_left_wrong() -> None:
    plain, passed = standing(100, 2), standing(100, 2, missed=0.1, changed=7)
    sequence = ConfidenceSequence.replay(500, plain.bets, 20.0)
    assert plain.left_wrong == sequence.upper - 2
    assert passed.left_wrong == int(sequence.upper / 0.9 + 1e-9) - 2 + 7
    assert passed.reached(passed.left_wrong / 500)
    assert not passed.reached((passed.left_wrong - 1) / 500)
    low, high = plain.interval()
    assert 0 <= low <= plain.left_wrong <= high
    both = ConfidenceSequence.replay(500, plain.bets, 40.0)
    assert passed.interval() == (both.lower - 2, int(both.upper / 0.9 + 1e-9) - 2 + 7)


def test_a_bound_of_a_table_needs_as_many_times_the_evidence_as_it_has_bounds_and_a_goal_does_not() -> None:
    alone, tabled = standing(100, 1), standing(100, 1, table=7)
    assert tabled.tabled.upper == ConfidenceSequence.replay(500, alone.bets, 140.0).upper
    assert tabled.tabled_left > tabled.left_wrong == alone.left_wrong == alone.tabled_left
    assert tabled.reached(alone.left_wrong / 500)


def test_a_goal_is_a_share_of_the_labels_taken_as_right_too() -> None:
    plain, beside = standing(100, 0), standing(100, 0, trusted=500)
    rate = plain.left_wrong / 1000
    assert (plain.reached(rate), beside.reached(rate), beside.whole) == (False, True, 1000)


def test_only_what_is_settled_is_taken_off_what_is_left_wrong() -> None:
    for missed in (0.0, 0.1):
        plain, waiting = standing(100, 2, missed=missed), standing(100, 2, missed=missed, unsettled=2)
        assert waiting.left_wrong == plain.left_wrong + 2
    assert standing(20, 20, labels=20, unsettled=20).left_wrong == 20, "all skipped: all may be wrong"
    assert standing(20, 20, labels=20).left_wrong == 0, "all found wrong and put right"


def test_below_twenty_answers_no_bound_is_told_and_no_goal_reached() -> None:
    early, shown = standing(7, 1), standing(20)
    assert (seen(early), bound(early, 0.95)) == ("7 of the first 20, 1 wrong", "no bound yet")
    assert not early.reached(1.0)
    assert shown.reached(1.0)
    assert seen(shown) == "20 answered, 0 wrong"
    assert seen(standing(61, 1)) == "61 answered, 1 wrong (1.6 %)"
    assert standing(7, labels=7).shown


def test_a_bound_never_claims_more_than_was_shown() -> None:
    part = standing(50)
    assert part.left_wrong == 32
    assert bound(part, 0.95) == "at most 32 of 500 left wrong (6.4 %), 95 % sure"
    assert bound(standing(50, labels=499), 0.98333).endswith("98.3 % sure")
    assert none_wrong(500, 50, 20.0, 0.0) == 32 / 500


def test_people_are_taken_to_pass_a_tenth_until_twenty_of_their_labels_were_asked_again() -> None:
    assert missed_by(PeopleError(0.0, 0.08, 19)) == ASSUMED_MISS
    assert missed_by(PeopleError(0.0, 0.08, 20)) == 0.08
    human = answers(*["all"] * 4, "source:human", "source:human", None, None)
    differs = [False, False, True, None, False, False, True, True]
    found = error_of_people(human, 50, differs)
    assert (found.asked, found.share) == (3, pytest.approx(1 / 6)), "without an answer counts as a difference"


def test_parts_are_written_and_read() -> None:
    for part in (ALL, Part("class", "a: b"), Part("source", "human")):
        assert Part.parse(str(part)) == part
    for wrong in ("", "open", "class:", "colour:red", "all:x"):
        with pytest.raises(ConfigError, match="no such part"):
            Part.parse(wrong)


def test_what_is_frozen_has_one_digest_and_each_part_an_order_of_its_own() -> None:
    lines = "3\tabc\tcat\thuman\n12\tdef\tKätzchen\tpseudo\n"
    given = [(3, "abc", "cat", "human"), (12, "def", "Kätzchen", "pseudo")]
    assert frozen_digest(given) == hashlib.sha256(lines.encode()).hexdigest()
    expected = hashlib.sha256(f"{'0' * 64} audit 3 class:cat".encode()).hexdigest()[:15]
    assert order_salt("0" * 64, 3, Part("class", "cat")) == int(expected, 16)
    salts = {order_salt("0" * 64, audit, part) for audit in (1, 2) for part in (ALL, Part("class", "cat"))}
    ids = np.arange(100, 200)
    orders = [ids[along(ids, salt)].tolist() for salt in salts]
    assert all(sorted(order) == ids.tolist() for order in orders)
    assert len({tuple(order[:5]) for order in orders}) == 4
