"""Train, val and test of an export."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.exporters.collect import ExportOptions
from engine.exporters.rows import ExportRow
from engine.exporters.split import shares_of, usual, with_splits

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


def test_a_split_that_images_came_in_is_kept_with_its_groups_and_counts_among_the_shares() -> None:
    came = [ExportRow(at, f"{at}.png", "0" * 64, "PNG", "cat", split="test") for at in range(20)]
    rest = [ExportRow(at, f"{at}.png", "0" * 64, "PNG", "cat" if at < 118 else None) for at in range(20, 120)]
    groups = np.arange(120)
    groups[[0, 20, 119]] = 1_000  # an image of the given test split, one without a split, one without a label
    given = with_splits([*came, *rest], groups, SHARES)
    assert [row.split for row in given[:20]] == ["test"] * 20
    assert given[20].split == given[119].split == "test"
    assert given[118].split == ""
    assert Counter(row.split for row in given[21:118]) == {"train": 86, "val": 11}


def test_a_group_that_the_source_tears_apart_stays_as_it_came() -> None:
    came = [ExportRow(at, f"{at}.png", "0" * 64, "PNG", "cat", split=split) for at, split in enumerate(("val", "pool"))]
    assert [row.split for row in with_splits(came, np.zeros(2, np.int64), SHARES)] == ["val", "pool"]


@pytest.mark.parametrize("text", ["80,10", "80,10,20", "most", ""])
def test_percents_that_say_no_shares_are_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match="Try"):
        shares_of(text)


def test_percents_are_shares_of_a_whole() -> None:
    assert shares_of(" 70, 20,10") == pytest.approx((0.7, 0.2, 0.1))


def test_other_names_of_the_usual_splits_are_known() -> None:
    assert [usual(name) for name in ("Train", "validation", "eval", "pool", "")] == ["train", "val", "test", "pool", ""]
