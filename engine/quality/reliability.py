"""Whether confidence tells the share right: the reliability diagram, before and after recalibration, and how much too
sure a model is of what is undecided or would be accepted.

Of a few hundred answers no calibration error can be told: a perfect model shows .08 to .11 at 100, .05 to .07 at 300.
Mean confidence less share right can, within 6 to 8 points at 100 answers and 4 to 5 at 300."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.measured_set import cuts
from engine.quality.sample import share
from engine.records.quality import Reliability, ReliabilityBin

MANY = 1000
"""Answers from which on a calibration error is more than luck: with 300, a perfect model shows 5 to 7 points."""


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15, how: str = ""
) -> Reliability:
    """Return mean confidence and share right in equal-width bins of confidence, and the calibration error.

    Bin b holds confidences in (b/bins, (b+1)/bins], the first one 0 too, as `engine.training.calibrate.ece` has it;
    empty bins are left out. The error is the mean over images of |share right − mean confidence| of their bin. With
    few images it is too high even for a perfect calibration, since each bin's share is then a matter of luck.

    Args:
        confidence: (N,) of the predicted class, 0..1.
        right: (N,) whether the predicted class is the label.
        bins: from 1.
        how: which images these are, in words for the person.

    Raises:
        ConfigError: the two differ in length, a confidence is outside 0..1, or bins is below 1.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 2 and 3.
    """
    sure = np.asarray(confidence, np.float64)
    hit = np.asarray(right, np.float64)
    if sure.shape != hit.shape or sure.ndim != 1:
        raise ConfigError("Confidences and answers differ in number", value=f"{sure.shape} and {hit.shape}")
    if bins < 1:
        raise ConfigError("A diagram needs at least one bin", value=bins, way_out="Choose 15.")
    if not np.all((sure >= 0.0) & (sure <= 1.0 + 1e-6)):
        raise ConfigError("A confidence is not between 0 and 1", way_out="Train the round again.")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    confident = np.bincount(place, sure, bins)
    correct = np.bincount(place, hit, bins)
    table = tuple(
        ReliabilityBin(b / bins, (b + 1) / bins, int(count[b]), float(confident[b] / count[b]), correct[b] / count[b])
        for b in np.flatnonzero(count).tolist()
    )
    error = float(np.abs(correct - confident).sum() / len(sure)) if len(sure) else 0.0
    return Reliability(table, error, len(sure), how)


def told(confidence: NDArray[np.floating], right: NDArray[np.bool_], how: str) -> Reliability:
    """Return what so many answers (n,) can tell: from 1,000 on 15 equal-width bins, before that bands of quartiles.

    Bands with fewer than five answers are merged with the next; see `engine.quality.measured_set.cuts`.
    """
    if len(right) >= MANY:
        return reliability(confidence, right, how=how)
    whole = reliability(confidence, right, 1, how)  # checks the arguments
    edges = cuts(confidence) if len(right) else np.empty(0)
    band = np.searchsorted(edges, confidence, side="right")
    ends = [0.0, *edges.tolist(), 1.0]
    bins = tuple(
        ReliabilityBin(
            ends[b], ends[b + 1], int((band == b).sum()), float(confidence[band == b].mean()),
            float(right[band == b].mean()),
        )
        for b in np.unique(band).tolist()
    )  # fmt: skip
    error = sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / max(whole.n, 1)
    return Reliability(bins, float(error), whole.n, how)


@dataclass(frozen=True)
class Gap:
    """How much too sure a model is of some images: their mean confidence less the share right, all 0..1.

    n: measured answers behind it. low, high: ends of the share right's 95 % interval.
    """

    n: int
    confidence: float
    right: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """Above 0 where it is too sure, -1..1."""
        return self.confidence - self.right

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of `value`."""
        return self.confidence - self.high, self.confidence - self.low


def gap(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Gap:
    """Return how much too sure a model is of measured images; its interval is exact.

    Args:
        confidence: (n,) of the predicted class as it was before anything was fitted to these answers, 0..1.
        right: (n,) whether the predicted class is the answer.

    Raises:
        ConfigError: the two differ in length.

    Source: Clopper and Pearson 1934 for the share right. The chance of being right differs between images, which makes
    their number less variable than a binomial of the mean, so the interval is only too wide (Hoeffding 1956, On the
    Distribution of the Number of Successes in Independent Trials).
    """
    if confidence.shape != right.shape or right.ndim != 1:
        raise ConfigError("Confidences and answers differ in number", value=f"{confidence.shape} and {right.shape}")
    told = share(int(right.sum()), len(right), "")
    mean = float(confidence.mean()) if len(right) else 0.0
    return Gap(len(right), mean, told.value, told.low, told.high)
