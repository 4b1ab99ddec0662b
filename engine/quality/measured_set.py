"""The measured set: images that measure every model because none ever learns from them.

It is the beginning of one fixed random order of all images, one image of each group, asked blind: who answers sees no
prediction. Whatever the label an image had, it is asked again and leaves training together with its group, so that all
images have the same chance. It grows only along that order. Its answers are never trained on, and never seen by the
choice of a model, a threshold or the end of a training.

Why apart: with answers to doubtful images first, a fifth of all labels held out misses the accuracy by some twenty
points, and answers scored by the model before them by five; see `starling bench honesty`.

What holds of a statement: its interval is Clopper's and Pearson's, two-sided at 95 %, each statement by itself. Whether
one model is better than another may be looked at after every answer: see `evidence`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.quality.people import NO_SLIPS, Slips
from engine.quality.sample import share
from engine.quality.scale import fit, platt
from engine.query.order import random_order
from engine.records.quality import Estimate

EVERY, THEN_EVERY = 5, 10
"""One answer in five is about an image of the measured set, later one in ten."""
FIRST, MOST = 100, 300
"""Images of the measured set from which on one in ten is enough, and after which the set grows no more by itself."""
BANDS, LEAST_IN_BAND = 4, 5
Counts = Sequence[int] | NDArray[np.int64]
ENOUGH_EVIDENCE = 20.0
"""At which one model is said to be better: by luck alone the evidence ever reaches it in at most 1 of 20 cases."""


def wanted(answers: int, orders: int = 1) -> int:
    """Return how many images of the measured set are due once so many answers were given, those to it included.

    Args:
        answers: how many.
        orders: how many random orders there are: images imported later have their own, which is measured as well.

    Raises:
        ConfigError: a negative number.
    """
    if answers < 0:
        raise ConfigError("There cannot be fewer than no answers", value=answers, way_out="Count again.")
    first = min(answers // EVERY, FIRST)
    return min(first + max(answers - FIRST * EVERY, 0) // THEN_EVERY, MOST * max(orders, 1))


def order(ids: NDArray[np.int64], groups: NDArray[np.int64], salt: int) -> NDArray[np.int64]:
    """Return image ids in the fixed random order, of each group only the first.

    Args:
        ids: (N,) of images.
        groups: (N,) a number an image; those of one group share it.
        salt: 0 ≤ salt < 2^63, that makes this order another than all others.
    """
    along = ids[np.lexsort((ids, random_order(ids, salt)))]
    position = np.argsort(ids, kind="stable")
    group = groups[position[np.searchsorted(ids[position], along)]]
    return along[np.sort(np.unique(group, return_index=True)[1])]


def upcoming(
    orders: Sequence[NDArray[np.int64]], sizes: Sequence[int], taken: Collection[int], passed_over: Collection[int]
) -> Iterator[int]:
    """Yield image ids in the order in which they are drawn from now on.

    Next comes always the order of which the smallest share was drawn, so that images imported later catch up and all
    have the same chance.

    Args:
        orders: image ids of each import's order.
        sizes: images of each.
        taken: ids drawn already.
        passed_over: ids that are not to be drawn, such as rejected ones.
    """
    counts = [int(np.isin(one, list(taken)).sum()) for one in orders]
    gone = [*taken, *passed_over]
    left = [deque(one[~np.isin(one, gone)].tolist()) for one in orders]
    while waiting := [number for number, ids in enumerate(left) if ids]:
        number = min(waiting, key=lambda one: (counts[one] / max(sizes[one], 1), one))
        counts[number] += 1
        yield int(left[number].popleft())


def share_by_order(right: Counts, asked: Counts, sizes: Counts, how: str) -> Estimate:
    """Return the share right of all images where each order measures its own, weighed by their sizes.

    Orders measured equally often, up to one image, are one random sample: right / n with its exact interval. Otherwise
    Σ W p over the orders, W an order's share of all images and p the share right along it, with the exact intervals of
    the orders joined by squares: low = Σ W p − sqrt(Σ W² (p − low)²), high likewise. An order that nothing measures yet
    counts as the others do, with an interval from 0 to 1.

    Args:
        right, asked: (O,) of each order.
        sizes: (O,) images, or groups of images, of each.
        how: how the answers came about, in words for the person.

    Source: G. Y. Zou and A. Donner 2008, Construction of confidence limits about effect measures, Statistics in
    Medicine 27, 1693–1702 (joining intervals by squares).
    """
    hits, n, size = (np.asarray(values, np.int64) for values in (right, asked, sizes))
    plain = share(int(hits.sum()), int(n.sum()), how)
    weight = size / max(int(size.sum()), 1)
    if not n.sum() or (np.abs(n - weight * n.sum()) <= 1).all():
        return plain
    parts = [share(one, of, how) for one, of in zip(hits.tolist(), n.tolist(), strict=True)]
    p = np.array([one.value if one.n else plain.value for one in parts])
    below, above = p - [one.low for one in parts], np.array([one.high for one in parts]) - p
    value = min(float((weight * p).sum()), 1.0)
    return replace(
        plain,
        low=max(value - float(np.sqrt(((weight * below) ** 2).sum())), 0.0),
        high=min(value + float(np.sqrt(((weight * above) ** 2).sum())), 1.0),
        how=f"{how}, weighed by the size of each import",
        weighed=value,
    )


def evidence(only_new: int, only_old: int) -> float:
    """Return the evidence that two models differ, by images of which only one of them was right.

    2^(b+c) B(2+b, 2+c) / B(2, 2), a likelihood ratio of "either is as likely to be the one that is right" against a
    Beta(2, 2) mixture of all other shares. It is a nonnegative martingale under the former: the chance that it ever
    reaches 20 is at most 5 %, however often one looks and whenever one stops.

    Args:
        only_new, only_old: b and c.

    Raises:
        ConfigError: a negative number.

    Source: Ville 1939 for the bound; mixtures of likelihood ratios as in Robbins 1970, Statistical Methods Related to
    the Law of the Iterated Logarithm.
    """
    if min(only_new, only_old) < 0:
        raise ConfigError("There cannot be fewer than no images", value=min(only_new, only_old), way_out="Count again.")
    log = (only_new + only_old) * np.log(2) + betaln(2 + only_new, 2 + only_old) - betaln(2, 2)
    return float(np.exp(min(log, 700.0)))


@dataclass(frozen=True)
class ShareRight:
    """An estimated share with its 95 % interval, all 0..1."""

    value: float
    low: float
    high: float


def undecided_share(
    confidence: NDArray[np.floating],
    right: NDArray[np.bool_],
    undecided: NDArray[np.floating],
    slips: Slips = NO_SLIPS,
) -> ShareRight:
    """Return the share of right predictions among undecided images, whose confidences differ from the measured set's.

    Bands of confidence at the quartiles of the measured set, those of fewer than 5 answers merged with the next; the
    measured share right of each, weighted by how many of the undecided lie in it. Within a band the undecided are surer
    or less sure too: the mean recalibrated confidence there less that of the measured ones is added. The variance has
    two parts, with q = (right + 1) / (n + 2): Σ w² q (1 − q) / n of the answers, and Σ w q (1 − q) / U since which of
    the undecided are right is chance as well. Interval ± 1.96 deviations, the shares' ends kept within 0..1.

    Where the person slips, a right prediction is taken for a wrong one: the share and its deviation are divided by
    1 − the expected slips. At the upper end, what the share would be with as many slips as are to be reckoned with is
    joined to the deviation by squares (see `share_by_order`). The lower end is not changed, for nobody may have
    slipped.

    Args:
        confidence, right: (n,) of the measured set, n at least 1.
        undecided: (U,) confidences, U at least 1.
        slips: how often an answer is a slip.

    Raises:
        ConfigError: nothing was measured, or nothing is undecided.

    Sources: Cochran 1977, Sampling Techniques, section 5A.9 (post-stratification); Särndal, Swensson and Wretman 1992,
    Model Assisted Survey Sampling, section 6.3 (the difference to a model's predictions); Agresti and Caffo 2000,
    Simple and Effective Confidence Intervals for Proportions, The American Statistician 54 (one more of each kind).
    """
    if not len(right) or not len(undecided):
        raise ConfigError(
            "There is nothing to estimate a share from",
            value=f"{len(right)} answers, {len(undecided)} undecided",
            way_out="Answer images of the measured set.",
        )
    edges = cuts(confidence)
    band, of_undecided = (np.searchsorted(edges, one, side="right") for one in (confidence, undecided))
    bands = len(edges) + 1
    count, there = np.bincount(band, minlength=bands), np.bincount(of_undecided, minlength=bands)
    hits, weight = np.bincount(band, right, bands), there / len(undecided)
    parameters = fit(confidence, right)
    expected, measured = (
        np.bincount(places, platt(one, *parameters), bands)
        for places, one in ((of_undecided, undecided), (band, confidence))
    )
    surer = np.where(there > 0, expected / np.maximum(there, 1) - measured / count, 0.0)
    value = float((weight * (hits / count + surer)).sum())
    careful = (hits + 1.0) / (count + 2.0)
    chance = careful * (1.0 - careful)
    spread = 1.96 * float(np.sqrt((weight**2 * chance / count).sum() + (weight * chance).sum() / len(undecided)))
    middle, most = value / (1.0 - slips.expected), value / (1.0 - slips.careful)
    above = float(np.hypot(spread / (1.0 - slips.expected), most - middle))
    low, middle, high = np.clip([value - spread, middle, middle + above], 0.0, 1.0)
    return ShareRight(float(middle), float(low), float(high))


def cuts(confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return where bands end, so that each holds at least `LEAST_IN_BAND` of these confidences, or all of them."""
    edges: list[float] = []
    ends = np.unique(np.quantile(confidence, np.arange(1, BANDS) / BANDS))
    for end in ends.tolist():
        within = (confidence < end) & (confidence >= (edges[-1] if edges else -np.inf))
        if within.sum() >= LEAST_IN_BAND and (confidence >= end).sum() >= LEAST_IN_BAND:
            edges.append(end)
    return np.array(edges)
