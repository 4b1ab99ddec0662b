"""Classes that may be none are named with the reason."""

from __future__ import annotations

import pytest

from engine.importers.doubts import class_doubts


@pytest.mark.parametrize(
    ("label", "count", "words"),
    [
        ("fox", 0, "no image"), ("2021-05-03", 9, "date"), ("03.05.2021", 9, "date"), ("2021", 9, "date"),
        ("val", 9, "split"), ("images", 9, "folder"), ("Unlabeled", 9, "folder"), ("lone", 1, "single"),
    ],
)  # fmt: skip
def test_a_class_that_may_be_none_says_why(label: str, count: int, words: str) -> None:
    found = class_doubts({label: count, "cat": 5, "dog": 2})
    assert set(found) == {label}
    assert words in found[label]


def test_twins_name_each_other() -> None:
    found = class_doubts({"Cat": 3, "cat": 4, "dog": 2})
    assert found == {"Cat": "almost the same as “cat”", "cat": "almost the same as “Cat”"}


@pytest.mark.parametrize("label", ["007", "1", "class 12", "route 66", "20210", "data set", "cat"])
def test_an_honest_name_is_not_doubted(label: str) -> None:
    assert class_doubts({label: 2, "dog": 2}) == {}
