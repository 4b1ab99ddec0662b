"""Train, val and test of an export."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.exporters.collect import ExportOptions
from engine.exporters.rows import ExportRow
from engine.exporters.split import with_splits

SHARES = (0.8, 0.1, 0.1)


def rows(labels: list[str | None]) -> list[ExportRow]:
    return [ExportRow(at, f"{at}.png", "0" * 64, "PNG", label) for at, label in enumerate(labels)]


def splits(labels: list[str | None], groups: np.ndarray | None = None, seed: int = 0) -> list[str]:
    numbers = np.arange(len(labels)) if groups is None else groups
    return [row.split for row in with_splits(rows(labels), numbers, SHARES, seed)]


def test_each_class_is_spread_by_the_shares() -> None:
    labels = ["cat"] * 50 + ["dog"] * 30
    given = splits(labels)
    assert Counter(zip(labels, given, strict=True)) == {
        ("cat", "train"): 40, ("cat", "val"): 5, ("cat", "test"): 5,
        ("dog", "train"): 24, ("dog", "val"): 3, ("dog", "test"): 3,
    }  # fmt: skip
    assert given == splits(labels)
    assert given != splits(labels, seed=1)


def test_no_group_is_in_two_splits_and_the_shares_are_met_as_far_as_groups_allow() -> None:
    groups = np.repeat(np.arange(100), 6)
    labels = ["cat" if group % 2 else "dog" for group in groups]
    given = np.array(splits(labels, groups))
    assert all(len(set(given[groups == group])) == 1 for group in range(100))
    assert Counter(given.tolist()) == {"train": 480, "val": 60, "test": 60}


def test_many_small_classes_fill_all_splits_together() -> None:
    labels = [f"class {number // 3}" for number in range(120)]
    assert Counter(splits(labels)) == {"train": 96, "val": 12, "test": 12}


def test_images_without_a_label_are_in_no_split() -> None:
    assert splits(["cat", None, "cat"])[1] == ""
    assert splits([None, None]) == ["", ""]


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_that_make_no_whole_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match=r"0\.8, 0\.1"):
        ExportOptions(split=shares)
