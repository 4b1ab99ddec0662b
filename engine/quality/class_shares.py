"""How common each class is among all images, from the answers of the measured set.

The measured set is a simple random sample of all images, or of all groups, and its answers are given blind, so the
share of a class among them is unbiased whatever other queues asked, and its interval is exact for each class by itself.
No model is told these shares: it would learn from what measures it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.measured_set import Counts, share_by_order
from engine.records.quality import Estimate

HOW = "images drawn at random and asked blind"


def class_shares(
    labels: NDArray[np.integer], classes: int, of: NDArray[np.integer] | None = None, sizes: Counts = (1,)
) -> tuple[Estimate, ...]:
    """Return each class's share of all images with an exact two-sided 95 % interval, K of them.

    An image that has no answer yet may be of any class: the lower end takes it for another one, the upper end for this
    one, and the estimate leaves it out. The interval then only gets wider.

    Args:
        labels: (n,) class 0..K-1 of each image of the measured set in the order drawn; -1 where it was skipped, nobody
            was sure, or nobody has answered yet.
        classes: K.
        of: (n,) the random order that each image is in, where images imported later have their own; all in the first
            if None.
        sizes: (O,) images, or groups of images, of each order.

    Raises:
        ConfigError: a label is outside -1..K-1.

    Source: Clopper and Pearson 1934; its ends grow with the number of images of the class.
    """
    given = np.asarray(labels, np.int64)
    if len(given) and not -1 <= given.min() <= given.max() < classes:
        raise ConfigError("A label is not one of the classes", value=int(given.max()), way_out="Count again.")
    order = np.zeros(len(given), np.int64) if of is None else np.asarray(of, np.int64)
    counts = np.zeros((classes, len(sizes)), np.int64)
    np.add.at(counts, (given[given >= 0], order[given >= 0]), 1)
    asked = np.bincount(order, minlength=len(sizes))
    open_answers = np.bincount(order[given < 0], minlength=len(sizes))
    return tuple(
        replace(
            share_by_order(count, asked - open_answers, sizes, HOW),
            low=share_by_order(count, asked, sizes, HOW).low,
            high=share_by_order(count + open_answers, asked, sizes, HOW).high,
        )
        for count in counts
    )
