"""What must not be torn apart by a split, and one image of each group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.groups import first_of_each, some_shared, units


def test_units_stand_in_the_order_of_their_first_images_with_their_most_frequent_class() -> None:
    found = units(np.array([9, 4, 9, 9, 4, 2]), np.array([1, 0, 0, 1, 3, 5]))
    assert found.of.tolist() == [0, 1, 0, 0, 1, 2]
    assert found.first.tolist() == [0, 1, 5]
    assert found.label.tolist() == [1, 0, 5]  # of 0 and 3, equally frequent, the first
    assert len(found) == 3


@pytest.mark.parametrize("groups", [None, np.array([30, 10, 20])])
def test_images_by_themselves_are_units_in_their_order(groups: np.ndarray | None) -> None:
    found = units(groups, np.array([2, 0, 1]))
    assert found.of.tolist() == found.first.tolist() == [0, 1, 2]
    assert found.label.tolist() == [2, 0, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 100))
def test_of_each_group_the_first_in_the_order_is_taken(names: list[int], seed: int) -> None:
    groups, order = np.array(names), np.random.default_rng(seed).random(len(names))
    rows = first_of_each(groups, order)
    assert rows.tolist() == sorted(rows.tolist())
    assert sorted(groups[rows].tolist()) == sorted(set(names))
    for row in rows.tolist():
        assert order[row] == order[groups == groups[row]].min()


def test_whether_any_two_share_a_group() -> None:
    assert some_shared(np.array([1, 2, 1]))
    assert not some_shared(np.array([1, 2, 3]))
