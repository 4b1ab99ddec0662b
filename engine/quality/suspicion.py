"""Suspicion: the share of wrong labels that is expected among labels like this one, before any random answer.

A label that began as a prediction is suspected by 1 − its confidence, as the measured set recalibrates it. A label that
a person or an import gave is suspected by a small constant; where a check has compared labels with predictions of
models that have not seen them, the suspicion is shared out in proportion to how much they contradict each label, with
the constant as its mean, since these predictions are not calibrated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

GIVEN = 0.02
"""Share of wrong labels supposed among those that people or an import gave."""


def of_given(contradicted: NDArray[np.floating], mean: float = GIVEN) -> NDArray[np.float64]:
    """Return the suspicion (n,) of labels that a check has judged, 0..1, on average `mean` unless one reaches 1.

    Args:
        contradicted: (n,) 1 − out-of-fold probability of the label, 0..1.
        mean: supposed share of wrong ones, 0..1.

    Raises:
        ConfigError: one of them is outside 0..1.
    """
    doubt = np.asarray(contradicted, np.float64)
    if not np.all((doubt >= 0.0) & (doubt <= 1.0)) or not 0.0 <= mean <= 1.0:
        raise ConfigError("A suspicion is outside 0 to 1", value=mean, way_out="Check the labels again.")
    total = doubt.sum()
    if total == 0.0:
        return np.full(len(doubt), mean)
    return np.asarray(np.minimum(1.0, mean * len(doubt) / total * doubt))
