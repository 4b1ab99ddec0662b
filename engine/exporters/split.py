"""The splits of an export: train, val and test, of which no two share a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.exporters.rows import ExportRow
from engine.groups import units

SPLITS = ("train", "val", "test")
_USUAL = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
Shares = tuple[float, float, float]
SHARES: Shares = (0.8, 0.1, 0.1)
"""The usual shares."""


def check_shares(shares: Sequence[float]) -> None:
    """Raise ConfigError unless these are three shares of a whole, some of it to train on."""
    if len(shares) != len(SPLITS) or min(shares) < 0 or not shares[0] or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            "The shares of train, val and test must be three that make a whole",
            value=", ".join(f"{share:g}" for share in shares),
            way_out="Try 0.8, 0.1 and 0.1.",
        )


def shares_of(text: str) -> Shares:
    """Return the shares 0..1 of train, val and test that percents with commas between them say.

    Raises:
        ConfigError: they are no three that make a whole.
    """
    try:
        train, val, test = (float(part) / 100 for part in text.split(","))
    except ValueError:
        raise ConfigError("These are no three percents", value=text, way_out="Try 80,10,10.") from None
    check_shares((train, val, test))
    return train, val, test


def usual(split: str) -> str:
    """Return the usual name, train, val or test, of a split that has another; any further one as it is."""
    return _USUAL.get(split.strip().casefold(), split)


def with_splits(rows: Sequence[ExportRow], groups: NDArray[np.int64], shares: Shares, seed: int = 0) -> list[ExportRow]:
    """Return the rows with the split of each that has a label or shares a group with one that has.

    A split that a row came with is kept, and what shares a group with it goes there too. Of the others, each class is
    spread over the splits as whole groups allow: class after class, each group in a random order goes where most is
    missing to the shares of images so far, those with a split of their own among them. A group is of the class that
    most of its images have.

    Args:
        rows: (n,) what is exported.
        groups: (n,) number of the group of each row's image.
        shares: of train, val and test.
        seed: of the order of groups.

    Raises:
        ConfigError: the shares are no three that make a whole.
    """
    check_shares(shares)
    numbers = groups.tolist()
    of_group = _given(rows, numbers)
    free = [at for at, row in enumerate(rows) if row.label is not None and numbers[at] not in of_group]
    if free:
        names, classes = np.unique([str(rows[at].label) for at in free], return_inverse=True)
        there = _already_there(rows, numbers, of_group, names.tolist())
        grouped = units(groups[free], classes)
        sizes = np.bincount(grouped.of)
        rng = np.random.default_rng(seed)
        missing, split = np.zeros(len(SPLITS)), np.zeros(len(grouped), np.int64)
        for name in np.unique(grouped.label):
            mine = np.flatnonzero(grouped.label == name)
            missing += _wanted(shares, int(sizes[mine].sum()), there[name])
            for unit in rng.permutation(mine).tolist():
                split[unit] = missing.argmax()
                missing[split[unit]] -= sizes[unit]
        of_group |= {numbers[at]: SPLITS[split[grouped.of[place]]] for place, at in enumerate(free)}
    return [
        row if row.split or number not in of_group else replace(row, split=of_group[number])
        for row, number in zip(rows, numbers, strict=True)
    ]


def _wanted(shares: Shares, free: int, there: NDArray[np.int64]) -> NDArray[np.float64]:
    """(splits,) how many of a class's free images each split gets; one that has too many already gets none."""
    wanted: NDArray[np.float64] = np.array(shares) * (free + there.sum()) - there
    if wanted.min() < 0:
        wanted = wanted.clip(0)
        wanted *= free / wanted.sum()
    return wanted


def _given(rows: Sequence[ExportRow], numbers: Sequence[int]) -> dict[int, str]:
    """The split of each group of which a row came with one: that of most of its rows."""
    counts: dict[int, Counter[str]] = {}
    for row, number in zip(rows, numbers, strict=True):
        if row.split:
            counts.setdefault(number, Counter())[row.split] += 1
    return {number: min(count, key=lambda split: (-count[split], split)) for number, count in counts.items()}


def _already_there(
    rows: Sequence[ExportRow], numbers: Sequence[int], of_group: Mapping[int, str], names: Sequence[str]
) -> NDArray[np.int64]:
    """(classes, splits) how many images of each class are in each split before the others are spread."""
    place = {name: at for at, name in enumerate(names)}
    there = np.zeros((len(names), len(SPLITS)), np.int64)
    for row, number in zip(rows, numbers, strict=True):
        split = usual(row.split or of_group.get(number, ""))
        if row.label in place and split in SPLITS:
            there[place[row.label], SPLITS.index(split)] += 1
    return there
