"""Accepting many predictions at once: which, how many of them are expected to be wrong, and what a random check proves.

Two different numbers are told. The *expected* errors are the sum of 1 − confidence, as good as the calibration is.
The *bound* needs no calibration: a person answers a random sample of exactly the images to be accepted, and the exact
binomial limit of Clopper and Pearson says how many can be wrong at most.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.percent import at_least, at_most

NONE_TAKEN = 2.0
ROUNDING = 1e-6
"""A confidence stored as 0.9 in float32 is a little less."""


def upper_bound(wrong: int, n: int, level: float = 0.95, population: int | None = None) -> float:
    """Return the most that the share of wrong predictions can be, in 0..1, one-sided and exact.

    Over many audits the true share lies above it in at most 1 − level of them, whatever the share is. The sample is
    drawn without replacement, which only makes the binomial limit more careful: near the size of the population it
    is too high, and a population that was audited as a whole has nothing left to bound.

    Args:
        wrong: answers that differ from the prediction, 0..n.
        n: answers in all; 0 gives 1.0.
        level: 0..1, both excluded.
        population: images the sample was drawn from; where n reaches it, wrong / n is returned.

    Raises:
        ConfigError: wrong is not within 0..n, or level not between 0 and 1.

    Source: Clopper and Pearson 1934, The Use of Confidence or Fiducial Limits, by the beta quantile.
    """
    if not 0 <= wrong <= n:
        raise ConfigError("More wrong answers than answers", value=f"{wrong} of {n}", way_out="Count the sample again.")
    _check_level(level)
    if population is not None and 0 < population <= n:
        return wrong / n
    return 1.0 if wrong == n else float(beta.ppf(level, wrong + 1, n - wrong))


def look_level(level: float, look: int) -> float:
    """Return the level that the look-th audit of one round is judged at: 1 − (1 − level) / look.

    Whoever audits, lowers the threshold and audits again until the bound looks good has more chances of a lucky
    sample; later looks are therefore judged more strictly. What holds: each statement alone holds at its own level,
    since its sample is drawn anew from a population that was fixed before. That all of the first k statements of a
    round hold together is promised less: see `joint_level`.

    Args:
        level: of the first look, 0..1, both excluded.
        look: from 1.

    Raises:
        ConfigError: level or look is outside its range.
    """
    _check_level(level)
    if look < 1:
        raise ConfigError("Audits are counted from 1", value=look, way_out="Start the audit again.")
    return 1.0 - (1.0 - level) / look


def joint_level(level: float, looks: int) -> float:
    """Return the level at which all of the first `looks` statements of a round hold together, however one stops.

    It is 1 − (1 − level) · (1 + 1/2 + … + 1/looks) by Bonferroni's inequality: for 95 % and 1, 2, 3, 4 looks 95.0,
    92.5, 90.8 and 89.6 %; never below 0.

    Raises:
        ConfigError: level or looks is outside its range.
    """
    return max(0.0, 1.0 - sum(1.0 - look_level(level, look) for look in range(1, looks + 1)))


def statement(population: int, n: int, wrong: int, bound: float | None, level: float) -> str:
    """Return the audit in one line: what was checked, what was found, what follows.

    The bound is rounded up and the level down, so that the line never claims more than was shown.

    Args:
        population: images the rule would accept.
        n: answers so far.
        wrong: answers that differ from the prediction.
        bound: 0..1; None while answers are missing.
        level: one-sided level of the bound.
    """
    whole = f"{population:,} {'label' if population == 1 else 'labels'}"
    if bound is None:
        return f"{whole}, {n:,} audited so far, {wrong:,} wrong: no bound before the whole sample has an answer"
    if n == 0:
        return f"{whole}, none audited: nothing is known about how many are wrong"
    if n >= population:
        return f"{whole}, all audited, {wrong:,} wrong: {at_most(wrong / n)} wrong, counted"
    return (
        f"{whole}, {n:,} audited, {wrong:,} wrong: at most {at_most(bound)} wrong "
        f"({at_least(level)} one-sided, Clopper–Pearson)"
    )


def rest_bound(bound: float, population: int, wrong: int, rest: int) -> float:
    """Return an upper limit, 0..1, of the share of wrong predictions among those that nobody has looked at.

    At most floor(bound · population) of all are wrong, and the wrong ones found are not among the rest. It is above
    `bound` where the sample is a good part of a small population, and holds at the same level whatever was decided
    between the draw and now.

    Args:
        bound: upper limit of the share wrong in the whole population, 0..1.
        population: images the rule would accept.
        wrong: how many of them were found wrong.
        rest: images of the population that are left.
    """
    if rest <= 0:
        return 0.0
    return min(1.0, max(0.0, math.floor(bound * population + 1e-9) - wrong) / rest)


def rest_statement(rest: int, bound: float, level: float) -> str:
    """Return what follows for the images that would be accepted without a look, rounded as in `statement`."""
    whole = f"{rest:,} {'label' if rest == 1 else 'labels'}"
    return f"The {whole} nobody has looked at: at most {at_most(bound)} wrong ({at_least(level)} one-sided)"


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


def draw(ids: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return a simple random sample without replacement, in random order; each subset is equally likely over seeds.

    It depends on the set of ids and the seed only, not on the order of the ids. Take a fresh seed for each audit: with
    an old one, images of an earlier sample come again and its luck with them.

    Args:
        ids: (N,) distinct.
        size: from 1; with N or more asked for, all N are returned.
        seed: from 0.

    Raises:
        ConfigError: no ids, repeated ids, or a size below 1.
    """
    whole = np.unique(ids)
    if not len(whole):
        raise ConfigError("There is no image to audit", way_out="Lower the threshold until it takes images.")
    if len(whole) != len(ids):
        raise ConfigError("An image is in the population twice", value=len(ids) - len(whole), way_out="Start again.")
    if size < 1:
        raise ConfigError("An audit needs at least one image", value=size, way_out="Choose a larger sample.")
    return np.random.default_rng(seed).permutation(whole)[:size].astype(np.int64)


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


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError("The level is outside 0 to 1", value=level, way_out="Choose 0.95 for 95 %.")
