"""Groups of like images: who lies together, in which order, and that it is always the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.query.likeness import EACH, PART, like_groups


def heaps(centres: list[float], each: int, seed: int = 0) -> np.ndarray:
    """Images on a line around these places, one of each heap after the other: (centres · each, 3)."""
    x = np.random.default_rng(seed).normal(0, 0.01, (len(centres) * each, 3)).astype(np.float32)
    x[:, 0] += np.tile(centres, each)
    return x


def test_images_of_a_heap_lie_together_and_like_heaps_are_neighbours() -> None:
    centres = [0.0, 50.0, 10.0, 40.0, 20.0]
    groups = like_groups(heaps(centres, EACH))
    order = np.argsort(groups.place)
    assert sorted(groups.place.tolist()) == list(range(5 * EACH))
    runs = [centres[row % 5] for row in order]
    seen = [runs[0], *[here for before, here in pairwise(runs) if here != before]]
    assert seen in ([0.0, 10.0, 20.0, 40.0, 50.0], [50.0, 40.0, 20.0, 10.0, 0.0])
    assert groups.group[order].tolist() == sorted(groups.group.tolist()), "a group is not in one piece"


def test_nearest_to_the_centre_comes_first_in_a_group() -> None:
    x = np.zeros((5, 2), np.float32)
    x[:, 0] = [4, -4, 1, 0, -1]
    groups = like_groups(x)
    assert groups.group.tolist() == [0] * 5
    assert np.argsort(groups.place).tolist() == [3, 2, 4, 0, 1]


def test_same_features_give_the_same_groups_also_where_the_set_is_divided() -> None:
    x = np.random.default_rng(1).normal(size=(2 * PART + 100, 4)).astype(np.float32)
    one, two = like_groups(x), like_groups(x.copy())
    assert (one.group == two.group).all()
    assert (one.place == two.place).all()
    assert sorted(one.place.tolist()) == list(range(len(x)))
    order = np.argsort(one.place)
    assert set(np.diff(one.group[order]).tolist()) == {0, 1}
    assert len(x) / EACH / 2 < one.group.max() + 1 <= len(x) / EACH + 2


def test_equal_images_are_one_group_and_none_are_no_group() -> None:
    assert like_groups(np.ones((30, 3), np.float32)).group.tolist() == [0] * 30
    assert len(like_groups(np.zeros((0, 3), np.float32)).group) == 0
