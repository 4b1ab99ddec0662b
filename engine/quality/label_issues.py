"""Labels in force that out-of-fold predictions contradict: confident learning.

Source: Northcutt, Jiang, Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70: the
thresholds t_j (eq. 2) and the off-diagonal of the confident joint (eq. 1) as the list of issues. Deviations: a class
has to reach half of its threshold only, but to be 20 times as likely as the given one; the list is ordered by that
ratio; classes with a handful of images are left out. On MNIST with labels flipped at random the whole threshold missed
wrong labels that the ratio finds, and the ratio orders better than the difference of the two probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

RATIO = 20.0
OF_THRESHOLD = 0.5
LEAST_IMAGES = 5
NOT_JUDGED = 2.0


@dataclass(frozen=True)
class Issues:
    """Suspected wrong labels, the most suspicious first.

    rows: (M,) int64 into the labels judged; suggested: (M,) int64 class index; score: (M,) float64, a / (a + b)
    with the probabilities a of the suggested and b of the given class, 0.5..1; thresholds: (K,) float64, the mean
    probability of each class on images labeled as it, 2.0 for a class that is not judged.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    score: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def find_issues(given: NDArray[np.int64], probabilities: NDArray[np.floating], ratio: float = RATIO) -> Issues:
    """Return the labels that a model that has not seen them is sure are another class.

    The threshold of a class is the mean probability it gets on images labeled as it, so that a class the model is
    modest about is held to a modest standard. Of the classes that reach half of theirs, the likeliest is the class the
    image is counted to. A label is an issue when that is another class than the given one, and `ratio` times as
    likely. The default of 20 is for a list a person likes to work through: mostly wrong labels, with a good model and
    one label in twenty wrong. The rarer wrong labels are, the larger the share of the list that is right after all. A
    lower ratio catches more and errs more; plain disagreement with the likeliest class catches the most and errs by
    far the most.

    Classes with fewer than five labeled images are not judged: a model that has seen four of them knows neither what
    they look like nor how sure to be. Their images are no issues, and none is suggested to be of them.

    Args:
        given: (N,) class index of the label in force.
        probabilities: (N, K), each row from a model that was not trained on that image.
        ratio: from 1.

    Raises:
        ConfigError: the two differ in number, a label is no class, a probability is outside 0..1, or ratio below 1.
    """
    _check(given, probabilities, ratio)
    p = np.asarray(probabilities, np.float64)
    rows = np.arange(len(given))
    count = np.bincount(given, minlength=p.shape[1])
    own = p[rows, given]
    judged = count >= LEAST_IMAGES
    thresholds = np.full(p.shape[1], NOT_JUDGED)
    thresholds[judged] = np.bincount(given, own, p.shape[1])[judged] / count[judged]
    least = np.where(judged, OF_THRESHOLD * thresholds, np.inf)
    reached = np.where(p >= least, p, -1.0)
    counted = reached.argmax(axis=1)
    best = reached[rows, counted]
    issue = (best > own) & (best >= ratio * own) & (counted != given) & judged[given]
    listed = np.flatnonzero(issue)
    score = best[listed] / (best[listed] + own[listed])
    order = np.lexsort((-best[listed], -score))
    return Issues(listed[order].astype(np.int64), counted[listed][order].astype(np.int64), score[order], thresholds)


def _check(given: NDArray[np.int64], probabilities: NDArray[np.floating], ratio: float) -> None:
    way_out = "Run the check of the labels again."
    if probabilities.ndim != 2 or given.shape != probabilities.shape[:1] or not probabilities.shape[1]:
        raise ConfigError(
            "Labels and predictions differ in number", value=f"{given.shape}, {probabilities.shape}", way_out=way_out
        )
    if len(given) and not (given.min() >= 0 and given.max() < probabilities.shape[1]):
        raise ConfigError("A label is none of the classes predicted", value=int(given.max()), way_out=way_out)
    if not np.all((probabilities >= 0.0) & (probabilities <= 1.0 + 1e-6)):
        raise ConfigError("A probability is not between 0 and 1", way_out=way_out)
    if not ratio >= 1.0:
        raise ConfigError("The ratio of the two classes must be at least 1", value=ratio, way_out="Choose 20.")
