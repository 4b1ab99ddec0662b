"""The splits of an export: train, val and test, of which no two share a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.exporters.rows import ExportRow
from engine.groups import units

SPLITS = ("train", "val", "test")
Shares = tuple[float, float, float]


def check_shares(shares: Sequence[float]) -> None:
    """Raise ConfigError unless these are three shares of a whole, some of it to train on."""
    if len(shares) != len(SPLITS) or min(shares) < 0 or not shares[0] or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            "The shares of train, val and test must be three that make a whole",
            value=", ".join(f"{share:g}" for share in shares),
            way_out="Try 0.8, 0.1 and 0.1.",
        )


def with_splits(rows: Sequence[ExportRow], groups: NDArray[np.int64], shares: Shares, seed: int = 0) -> list[ExportRow]:
    """Return the rows with the split of each that has a label; the others keep theirs.

    Each class is spread over the splits as whole groups allow: class after class, each group in a random order goes
    where most is missing to the shares of images so far. A group is of the class that most of its images have.

    Args:
        rows: (n,) what is exported.
        groups: (n,) number of the group of each row's image.
        shares: of train, val and test.
        seed: of the order of groups.

    Raises:
        ConfigError: the shares are no three that make a whole.
    """
    check_shares(shares)
    labeled = [at for at, row in enumerate(rows) if row.label is not None]
    if not labeled:
        return list(rows)
    classes = np.unique([str(rows[at].label) for at in labeled], return_inverse=True)[1]
    grouped = units(groups[labeled], classes)
    sizes = np.bincount(grouped.of)
    rng = np.random.default_rng(seed)
    missing, split = np.zeros(len(SPLITS)), np.zeros(len(grouped), np.int64)
    for name in np.unique(grouped.label):
        mine = np.flatnonzero(grouped.label == name)
        missing += np.array(shares) * sizes[mine].sum()
        for unit in rng.permutation(mine).tolist():
            split[unit] = missing.argmax()
            missing[split[unit]] -= sizes[unit]
    chosen = {at: SPLITS[split[grouped.of[place]]] for place, at in enumerate(labeled)}
    return [replace(row, split=chosen[at]) if at in chosen else row for at, row in enumerate(rows)]
