"""Hides all but a given number of labels, to try the workbench on a set whose labels are known."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from engine.errors import ConfigError


def choose_kept(labels: Mapping[str, str], total: int, seed: int) -> set[str]:
    """Return the names whose labels are kept: exactly `total`, as even over the classes as their sizes allow.

    Args:
        labels: label by name.
        total: 0..number of labels.
        seed: the same seed keeps the same names.

    Raises:
        ConfigError: `total` is negative or more than there are.
    """
    if not 0 <= total <= len(labels):
        raise ConfigError(f"The number of labels to keep must be 0..{len(labels)}", value=total)
    by_class: dict[str, list[str]] = defaultdict(list)
    for name in sorted(labels):
        by_class[labels[name]].append(name)
    generator = np.random.default_rng(seed)
    order = [sorted(by_class)[at] for at in generator.permutation(len(by_class))]
    quota = _quotas({label: len(by_class[label]) for label in order}, total)
    names: set[str] = set()
    for label in sorted(by_class):
        chosen = generator.permutation(len(by_class[label]))[: quota[label]]
        names.update(by_class[label][at] for at in chosen)
    return names


def _quotas(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Fill every class up to one level, as high as `total` allows; what is left goes one each to the first."""
    levels = range(max(sizes.values(), default=0) + 1)
    level = bisect_right(levels, total, key=lambda height: sum(min(size, height) for size in sizes.values())) - 1
    quota = {label: min(size, level) for label, size in sizes.items()}
    larger = [label for label, size in sizes.items() if size > level]
    for label in larger[: total - sum(quota.values())]:
        quota[label] += 1
    return quota
