"""Single and batch decisions, their speed and agreement."""

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.pace import paces
from engine.records.quality import Pace

Row = tuple[str, float, str, str | None]


def told(rows: list[Row]) -> list[Pace]:
    actor, seconds, action, batch = zip(*rows, strict=True) if rows else ((), (), (), ())
    times = [f"2026-01-01T00:00:{place:02d}Z" for place in range(len(rows))]
    columns = (np.array(column, object) for column in (actor, action, batch, times))
    names, actions, batches, when = columns
    return paces(names, np.array(seconds, float), actions, batches, when)


def test_speed_is_the_median_of_timed_decisions_and_a_pause_counts_as_a_minute() -> None:
    found = told([("a", 2.0, "label", "1"), ("a", 4.0, "accept", "2"), ("a", 900.0, "correct", "3")])
    assert found[0].seconds == 4.0
    assert told([("a", 900.0, "label", "1")])[0].seconds == 60.0
    assert told([("a", np.nan, "label", "1"), ("a", -1.0, "label", "2")])[0].seconds is None


def test_batches_count_apart_and_say_nothing_about_agreement() -> None:
    rows: list[Row] = [("a", np.nan, "accept", "page")] * 50
    rows += [("a", 1.0, "accept", "x"), ("a", 1.0, "correct", "y"), ("a", 1.0, "accept", "z"), ("a", 1.0, "label", "w")]
    (found,) = told(rows)
    assert (found.decisions, found.batch_decisions) == (4, 50)
    assert found.agreement == pytest.approx(2 / 3)


def test_timed_decisions_sent_together_are_single_and_a_batch_of_one_too() -> None:
    (found,) = told([("a", 1.0, "label", "q"), ("a", 3.0, "label", "q"), ("a", np.nan, "label", "alone")])
    assert (found.decisions, found.batch_decisions, found.seconds) == (3, 0, 2.0)
    assert told([("a", np.nan, "label", None), ("a", np.nan, "label", None)])[0].decisions == 2


def test_people_come_busiest_first_and_imports_are_nobodys_decisions() -> None:
    found = told([("b", 1.0, "label", "1"), ("z", 1.0, "reject", "2"), ("z", 1.0, "skip", "3"),
                  ("a", 1.0, "unsure", "4"), ("import", np.nan, "import", "5")])  # fmt: skip
    assert [pace.actor for pace in found] == ["z", "a", "b"]
    assert found[0].last == "2026-01-01T00:00:02Z"
    assert all(pace.agreement is None for pace in found)
    assert told([]) == []


def test_columns_of_different_length_are_refused() -> None:
    one = np.array(["a"], object)
    with pytest.raises(ConfigError):
        paces(one, np.zeros(2), one, one, one)
