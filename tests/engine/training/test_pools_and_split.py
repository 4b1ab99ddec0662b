from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.training.pools import Pools, heldout_total, split_labeled


def pools() -> Pools:
    images = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    images[1] = 255
    images[3:] = 77
    return Pools(
        images, torch.tensor([0]), torch.tensor([0]), torch.tensor([3, 4]), torch.tensor([1, 0]), torch.tensor([1]), 2
    )


def test_statistics_come_from_labeled_and_unlabeled_images_never_from_held_out_ones() -> None:
    assert pools().statistics() == ([pytest.approx(0.5)], [pytest.approx(0.5)])


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    constant = replace(pools(), unlabeled_idx=torch.tensor([2]))
    assert constant.statistics() == ([0.0], [1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unlabeled_idx": torch.tensor([1, 4])}, "overlap"),
        ({"unlabeled_idx": torch.tensor([0])}, "overlap"),
        ({"unlabeled_idx": torch.tensor([6])}, "outside the images"),
        ({"train_y": torch.tensor([2])}, "outside the classes"),
        ({"train_y": torch.tensor([0, 1])}, "differ in number"),
        ({"images": torch.zeros(6, 1, 4, 4)}, "uint8"),
        ({"train_idx": torch.tensor([0.0])}, "int64"),
    ],
)
def test_pools_that_contradict_themselves_are_refused(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(pools(), **change)


def test_the_split_is_exact_where_classes_do_not_divide_evenly() -> None:
    # 1000 labels over 9 classes: int(1000 / 9) * 9 would lose one
    labels = np.arange(1000) % 9
    train, held = split_labeled(np.arange(1000), labels, 0.2, seed=0)
    assert (len(train), len(held)) == (800, 200)
    counts = np.bincount(labels[held])
    assert counts.sum() == 200
    assert set(counts) == {22, 23}


def test_classes_with_five_labels_or_fewer_train_on_all_of_them_and_the_others_still_hold_out() -> None:
    labels = np.repeat([0, 1, 2, 3], [6, 5, 1, 10])
    train, held = split_labeled(np.arange(22), labels, 0.25, seed=0)
    assert np.bincount(labels[held], minlength=4).tolist() == [1, 0, 0, 3]  # round(16 / 4), by largest remainder
    assert len(train) == 18


def test_nothing_is_held_out_where_only_one_class_has_enough_labels() -> None:
    train, held = split_labeled(np.arange(26), np.repeat([0, 1, 2], [20, 5, 1]), 0.5, seed=0)
    assert (len(train), len(held)) == (26, 0)


@pytest.mark.parametrize(("counts", "total"), [([10, 6, 5, 0], 3), ([5, 5], 0), ([20, 5], 0), ([6, 6], 2), ([], 0)])
def test_the_number_held_out_is_known_beforehand(counts: list[int], total: int) -> None:
    assert heldout_total(counts, 0.2) == total
    labels = np.repeat(np.arange(len(counts)), counts)
    assert len(split_labeled(np.arange(len(labels)), labels, 0.2, seed=3)[1]) == total


def test_of_classes_too_small_to_be_held_out_each_a_random_sample_is() -> None:
    # 30 classes of 6, a tenth: 18 of the 180 are held out, at most one a class
    ids, labels = np.arange(180), np.arange(180) % 30
    chosen = [set(labels[split_labeled(ids, labels, 0.1, seed)[1]].tolist()) for seed in range(8)]
    assert [len(classes) for classes in chosen] == [18] * 8
    assert set.union(*chosen) == set(range(30))
    assert chosen[0] != chosen[1]


def test_the_split_depends_on_seed_not_on_order() -> None:
    ids, labels = np.arange(60) * 3, np.arange(60) % 4
    first = split_labeled(ids, labels, 0.25, seed=1)
    shuffle = np.random.default_rng(0).permutation(60)
    again = split_labeled(ids[shuffle], labels[shuffle], 0.25, seed=1)
    other = split_labeled(ids, labels, 0.25, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.floats(0.0, 0.9), st.integers(0, 5))
def test_every_split_is_a_partition_that_leaves_each_class_an_image(
    labels: list[int], fraction: float, seed: int
) -> None:
    ids, y = np.arange(len(labels)) + 100, np.array(labels)
    train, held = split_labeled(ids, y, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([train, held])), ids)
    assert set(y[train - 100]) == set(labels)
    large = [count for count in np.bincount(labels).tolist() if count > 5]
    large = large if len(large) > 1 else []
    assert len(held) == min(round(fraction * sum(large)), sum(large) - len(large))


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="held-out share"):
        split_labeled(np.arange(4), np.zeros(4, dtype=int), fraction, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=80), st.floats(0.0, 0.9))
def test_no_group_is_on_both_sides_and_each_class_keeps_an_image(
    images: list[tuple[int, int]], fraction: float
) -> None:
    groups, y = (np.array(column) for column in zip(*images, strict=True))
    ids = np.arange(len(y)) + 100
    train, held = split_labeled(ids, y, fraction, 0, groups)
    assert np.array_equal(np.sort(np.concatenate([train, held])), ids)
    assert not set(groups[train - 100]) & set(groups[held - 100])
    assert set(y[train - 100]) == set(y)


def test_a_share_of_the_groups_of_each_class_is_held_out() -> None:
    groups, y = np.repeat(np.arange(60), 6), np.repeat(np.arange(60) % 2, 6)
    _, held = split_labeled(np.arange(360), y, 0.2, 3, groups)
    assert len(held) == 72
    assert np.bincount(y[held]).tolist() == [36, 36]


def test_a_class_of_five_groups_trains_on_all_of_its_images() -> None:
    groups, y = np.repeat(np.arange(25), 6), np.repeat([0, 0, 0, 0, 1], 30)
    _, held = split_labeled(np.arange(150), y, 0.5, 0, groups)
    assert len(held) == 0


def test_groups_of_one_image_change_nothing() -> None:
    ids, y = np.arange(90) * 2, np.arange(90) % 4
    plain, alone = split_labeled(ids, y, 0.3, 5), split_labeled(ids, y, 0.3, 5, ids[::-1].copy())
    assert all(np.array_equal(a, b) for a, b in zip(plain, alone, strict=True))


def test_groups_that_are_not_of_all_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="groups differ"):
        replace(pools(), groups=torch.zeros(2, dtype=torch.int64))
