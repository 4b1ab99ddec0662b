"""Accepting many predictions at once: which, how many of them are expected to be wrong, and what a random check proves.

Two different numbers are told. The *expected* errors are the sum of 1 − confidence, as good as the calibration is.
The *bound* needs no calibration: a person answers images of a random order of exactly those to be accepted, and after
each answer it says how many can be wrong at most; see `engine.quality.betting`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.percent import at_least, at_most, percent
from engine.quality.betting import Answer
from engine.quality.parts import ALL
from engine.quality.standing import SHOWN, Audit, PartStanding

NONE_TAKEN = 2.0
ROUNDING = 1e-6
"""A confidence stored as 0.9 in float32 is a little less."""


def seen(part: PartStanding) -> str:
    """Return what was seen of a part's random answers: "7 of the first 20, 0 wrong", then "61 answered, 1 wrong"."""
    if not part.shown:
        return f"{part.random:,} of the first {SHOWN}, {part.wrong:,} wrong"
    share = f" ({percent(part.wrong / part.random)})" if part.random and part.wrong else ""
    return f"{part.random:,} answered, {part.wrong:,} wrong{share}"


def bound(part: PartStanding, level: float, *, tabled: bool = False) -> str:
    """Return what follows for a part, rounded so that it never claims more than was shown.

    Args:
        part: all labels, or those of a class or source.
        level: how sure, 0..1.
        tabled: whether it is shown in a table, all of whose bounds hold together.
    """
    if not part.shown:
        return "no bound yet"
    left = part.tabled_left if tabled else part.left_wrong
    share = at_most(min(1.0, left / part.whole))
    return f"at most {left:,} of {part.whole:,} left wrong ({share}), {at_least(level)} sure"


def none_wrong(labels: int, answers: int, threshold: float, missed: float) -> float:
    """Return the bound, a share of 0..1, that so many random answers show where none of them is wrong.

    Args:
        labels: N, from 1.
        answers: at most N.
        threshold, missed: what E must reach, and q; see `PartStanding`.
    """
    given = tuple(Answer(number, "random", 1, 0.0) for number in range(answers))
    return min(1.0, PartStanding(ALL, labels, given, threshold, missed).left_wrong / labels)


def statement(audit: Audit) -> str:
    """Return an audit in one line: how many labels, what was seen, what follows."""
    total = audit.total
    whole = f"{total.labels:,} {'label' if total.labels == 1 else 'labels'}"
    if not total.shown:
        return f"{whole}, {seen(total)}"
    looks = total.looked - total.random
    more = f", {looks:,} more looked at" if looks else ""
    return f"{whole}, {seen(total)}{more}: {bound(total, audit.level)}"


def expected_errors(confidence: NDArray[np.floating]) -> float:
    """Return how many of these predictions are expected to be wrong: the sum of 1 − confidence.

    Args:
        confidence: (N,) calibrated, 0..1. Overconfident ones make the sum too low.
    """
    return float((1.0 - np.asarray(confidence, np.float64)).sum())


def accepted(probabilities: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return (N,) whether the confidence reaches the threshold of the predicted class, but for the rounding of float32.

    Args:
        probabilities: (N, K); the predicted class is the first of the highest.
        thresholds: (K,); above 1 takes none.

    Raises:
        ConfigError: not one threshold a class, or something that is no probability.
    """
    confidence, predicted = _confidence(probabilities)
    limits = np.asarray(thresholds, np.float64)
    if limits.shape != (probabilities.shape[1],) or np.isnan(limits).any():
        raise ConfigError("One threshold a class is needed", value=limits.shape, way_out="Choose the thresholds again.")
    return np.asarray(confidence >= limits[predicted] - ROUNDING)


def class_thresholds(probabilities: NDArray[np.floating], target_error: float) -> NDArray[np.float64]:
    """Return for each class (K,) the least confidence at which its accepted images still meet the target.

    In each class the images it is predicted for are taken from the surest on, as long as the mean of 1 − confidence of
    those taken is at most `target_error`; equal confidences are taken together or not at all. A class of which none can
    be taken gets 2.0. Meeting the target in each class is meeting it in all.

    Args:
        probabilities: (N, K) calibrated.
        target_error: expected share of wrong ones among the accepted, 0..1.

    Raises:
        ConfigError: the target or a probability is outside 0..1.
    """
    confidence, predicted = _confidence(probabilities)
    classes = range(probabilities.shape[1])
    return np.array([_least(confidence[predicted == label], target_error) for label in classes], np.float64)


def global_threshold(probabilities: NDArray[np.floating], target_error: float) -> float:
    """Return the least confidence, one for all classes, at which the accepted images still meet the target.

    As `class_thresholds`, over all classes together; 2.0 where none can be taken. It takes more images than one
    threshold a class, but the errors may gather in a few classes.

    Raises:
        ConfigError: the target or a probability is outside 0..1.
    """
    return _least(_confidence(probabilities)[0], target_error)


def _least(confidence: NDArray[np.float64], target_error: float) -> float:
    """The least threshold whose taken images have a mean of 1 − confidence of at most the target; 2.0 for none."""
    if not 0.0 <= target_error <= 1.0:
        raise ConfigError(
            "The share of errors to allow is outside 0 to 1", value=target_error, way_out="Choose 0.01 for 1 %."
        )
    down = np.sort(confidence)[::-1]
    if not len(down):
        return NONE_TAKEN
    mean = np.cumsum(1.0 - down) / np.arange(1, len(down) + 1)  # never falls
    ends = np.append(down[1:] != down[:-1], True)  # the last of equal confidences
    good = np.flatnonzero(ends & (mean <= target_error + 1e-12))
    return float(down[good[-1]]) if len(good) else NONE_TAKEN


def _confidence(probabilities: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Confidence and predicted class, (N,) each."""
    if probabilities.ndim != 2 or not probabilities.shape[1]:
        raise ConfigError("Probabilities must be a table of images and classes", value=probabilities.shape)
    predicted = probabilities.argmax(axis=1)
    confidence = np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0].astype(np.float64)
    if not np.all((confidence >= 0.0) & (confidence <= 1.0 + 1e-6)):
        raise ConfigError("A probability is not between 0 and 1", way_out="Train the round again.")
    return confidence, predicted
