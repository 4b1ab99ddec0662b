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
from engine.quality.sample import share
from engine.records.quality import Estimate

HOW = "images drawn at random and asked blind"


def class_shares(labels: NDArray[np.integer], classes: int) -> tuple[Estimate, ...]:
    """Return each class's share of all images with an exact two-sided 95 % interval, K of them.

    An image that has no answer yet may be of any class: the lower end takes it for another one, the upper end for this
    one, and the estimate leaves it out. The interval then only gets wider.

    Args:
        labels: (n,) class 0..K-1 of each image of the measured set in the order drawn; -1 where it was skipped, nobody
            was sure, or nobody has answered yet.
        classes: K.

    Raises:
        ConfigError: a label is outside -1..K-1.

    Source: Clopper and Pearson 1934; its ends grow with the number of images of the class.
    """
    given = np.asarray(labels, np.int64)
    if len(given) and not -1 <= given.min() <= given.max() < classes:
        raise ConfigError("A label is not one of the classes", value=int(given.max()), way_out="Count again.")
    open_answers, counts = int((given < 0).sum()), np.bincount(given[given >= 0], minlength=classes).tolist()
    answered = len(given) - open_answers
    return tuple(
        replace(
            share(count, answered, HOW),
            low=share(count, len(given), HOW).low,
            high=share(count + open_answers, len(given), HOW).high,
        )
        for count in counts
    )
