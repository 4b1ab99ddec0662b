"""How a confidence is written for a person: by one rule, from the number of measured answers behind it.

A confidence is the number inside the model, for thresholds and exports. What a person reads of it depends on n, the
answers whose prediction is known to be right or wrong and that nothing but chance chose:

| n | written |
|---|---|
| 0 | nothing: images are sorted, bars have a length, no image has a number or a word |
| 20 | as before; of the round as a whole the share right, with its interval |
| 50 | recalibrated, in words: sure from 90 in 100, fairly sure from 70, doubtful below |
| 100 | recalibrated, in tens of percent |
| 300 | recalibrated, in percent |

What is written of an image is a whole number, its step, so that no page rounds by itself: the place of the word, tens
of percent, or percent.

Simulated where the model is Platt's (`tests/engine/quality/test_scale.py`): the mean distance between p' and the
true share right is below 5 points at 300 answers.

Source: Platt 1999, Probabilistic Outputs for Support Vector Machines; here with normal priors on a and b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.percent import percent
from engine.quality.sample import share
from engine.records.quality import Scale, Tier

SIZES = SHARE, WORDS, TENS, PERCENT = 20, 50, 100, 300
"""Measured answers from which on a tier begins."""
CUTS: tuple[tuple[str, float], ...] = (("sure", 0.9), ("fairly sure", 0.7), ("doubtful", 0.0))
"""Each word and the least recalibrated confidence it stands for."""
SPREAD_A, SPREAD_B = 0.5, 0.3
"""Standard deviations of the priors of a and b, both around 0."""
LOOSE, WIDER, DRAWN = 2.0, 1.6, 200
"""For intervals: how much wider the priors are, by how much deviations are widened, and how many pairs are drawn."""
NOT_WRITTEN = 255
"""The step of an image of which nothing is written."""
_EDGE = 1e-4
_ROUNDING = 1e-9


def tier_of(n: int) -> Tier:
    """Return how much is written with n measured answers.

    Raises:
        ConfigError: n is below 0.
    """
    if n < 0:
        raise ConfigError("There cannot be fewer than no answers", value=n, way_out="Count again.")
    if n >= PERCENT:
        return "percent"
    if n >= TENS:
        return "tens"
    if n >= WORDS:
        return "words"
    return "share" if n >= SHARE else "none"


def fit(confidence: NDArray[np.floating], right: NDArray[np.bool_], looseness: float = 1.0) -> tuple[float, float]:
    """Return a and b of logit p' = a + e^b · logit p that fit measured answers best; (0, 0) without answers.

    Minimises the sum of −log likelihoods + a² / (2 · .5²) + b² / (2 · .3²). e^b is above 0, so that the order stays.

    Args:
        confidence: (n,) of the predicted class when the answer was given, 0..1.
        right: (n,) whether the answer was the predicted class.
        looseness: factor of both priors' standard deviations, above 0.

    Raises:
        ConfigError: the two differ in length, or a confidence is outside 0..1.
    """
    if confidence.shape != right.shape or confidence.ndim != 1:
        raise ConfigError("Confidences and answers differ in number", value=f"{confidence.shape} and {right.shape}")
    if not len(right):
        return 0.0, 0.0
    z, y = _logits(confidence), right.astype(np.float64)
    spread_a, spread_b = looseness * SPREAD_A, looseness * SPREAD_B

    def cost(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        a, b = parameters
        moved = a + np.exp(b) * z
        loss = np.logaddexp(0, moved) - y * moved
        slope = expit(moved) - y
        gradient = np.array([slope.sum() + a / spread_a**2, (slope * np.exp(b) * z).sum() + b / spread_b**2])
        return float(loss.sum() + (a / spread_a) ** 2 / 2 + (b / spread_b) ** 2 / 2), gradient

    a, b = minimize(cost, np.zeros(2), jac=True, method="L-BFGS-B", options={"ftol": 1e-13, "gtol": 1e-7}).x
    return float(a), float(b)


def platt(confidence: NDArray[np.floating], a: float, b: float) -> NDArray[np.float64]:
    """Return p' = expit(a + e^b · logit p) of confidences p of any shape, 0..1."""
    return np.asarray(expit(a + np.exp(b) * _logits(confidence)))


def of_answers(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Scale:
    """Return how confidences are written where these answers (n,) measured them; arguments as in `fit`."""
    n, hits = len(right), int(right.sum())
    tier = tier_of(n)
    a, b = fit(confidence, right) if n >= WORDS else (0.0, 0.0)
    words = tuple(word for word, _ in CUTS) if tier == "words" else ()
    unsure = _unsure(confidence, right) if n >= WORDS else (0.0, 0.0, 0.0, 0.0, 0.0)
    return Scale(tier, n, hits, a, b, words, *_told(tier, n, hits), unsure)


def recalibrated(scale: Scale, confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return p' of confidences of any shape, 0..1 and in the same order; unchanged before the tier "words"."""
    p = np.asarray(confidence, np.float64)
    if scale.tier in ("none", "share"):
        return p
    return platt(p, scale.a, scale.b)


def drawn(scale: Scale, confidence: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    """Yield p' of confidences (N,) by each of DRAWN pairs a, b that the measured answers leave possible.

    The pairs are normal (Laplace's approximation), always the same ones. The priors are twice as wide as those of
    `fit`, which pull towards 0 what is not around 0, and deviations are widened besides, so that intervals hold the
    truth in 95 of 100 cases in every world of `starling bench honesty`.
    """
    a, b, var_a, var_b, covariance = scale.unsure
    spread = WIDER**2 * np.array([[var_a, covariance], [covariance, var_b]])
    z = _logits(confidence)
    for one in np.random.default_rng(0).multivariate_normal([a, b], spread, DRAWN):
        yield np.asarray(expit(one[0] + np.exp(one[1]) * z))


def steps(scale: Scale, confidence: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return what is written of confidences of any shape: a place in `scale.words`, 0..10 tens or 0..100 percent.

    NOT_WRITTEN before the tier "words".
    """
    p = recalibrated(scale, confidence)
    if scale.tier == "percent":
        return np.floor(100 * p + 0.5).astype(np.uint8)
    if scale.tier == "tens":
        return np.floor(10 * p + 0.5).astype(np.uint8)
    if scale.tier == "words":
        least = np.array([cut for _, cut in CUTS[:-1]])
        return np.asarray((p[..., None] < least - _ROUNDING).sum(-1), np.uint8)
    return np.full(p.shape, NOT_WRITTEN, np.uint8)


def bars(scale: Scale, shares: Sequence[float]) -> tuple[float, ...]:
    """Return how long the bars of an image's most likely classes are, 0..1.

    The first is its recalibrated confidence. What is left goes to the others in proportion, and none of them is longer
    than the first.

    Args:
        scale: of the round.
        shares: of the most likely classes, the largest first, sum at most 1.
    """
    if not shares or scale.tier in ("none", "share"):
        return tuple(shares)
    first = float(recalibrated(scale, np.array(shares[0])))
    left = max(1 - shares[0], _EDGE)
    return (first, *(min(first, one * (1 - first) / left) for one in shares[1:]))


def _unsure(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[float, float, float, float, float]:
    """Return a and b by the wide priors, their variances and their covariance, from the curvature at the optimum."""
    a, b = fit(confidence, right, LOOSE)
    z = np.exp(b) * _logits(confidence)
    p = expit(a + z)
    say = p * (1 - p)
    across = float((say * z).sum())
    curvature = np.array([
        [say.sum() + 1 / (LOOSE * SPREAD_A) ** 2, across],
        [across, (say * z * z).sum() + 1 / (LOOSE * SPREAD_B) ** 2],
    ])  # fmt: skip
    spread = np.linalg.inv(curvature)
    return a, b, float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1])


def _logits(confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.asarray(confidence, np.float64)
    if not np.all((p >= 0.0) & (p <= 1.0 + 1e-6)):
        raise ConfigError("A confidence is not between 0 and 1", way_out="Train the round again.")
    return np.asarray(logit(np.clip(p, _EDGE, 1 - _EDGE)))


def _told(tier: Tier, n: int, right: int) -> tuple[str, str]:
    """Say what is measured: in few words, and in full with from when on more is written."""
    answers = f"{n:,} measured {'answer' if n == 1 else 'answers'}"
    if tier == "none":
        return f"order only, {answers}", (
            f"The order is the model's, and no number stands behind it yet: {answers} so far. The share right follows "
            f"from {SHARE} random images asked blind on, words from {WORDS}, percentages from {TENS}."
        )
    measured = share(right, n, "")
    spread = f"{percent(measured.low, 0)} to {percent(measured.high, 0)}"
    of = f"Of {answers} {right:,} were right ({percent(measured.value, 0)}, 95 % interval {spread})."
    if tier == "share":
        brief = f"{percent(measured.value, 0)} right of {answers} ({spread})"
        return brief, f"{of} How sure a single prediction is follows in words from {WORDS}, in percent from {TENS}."
    brief = f"by {answers}"
    if tier == "words":
        (first, high), (second, low), (third, _) = CUTS
        return brief, (
            f"{of} By them “{first}” means that of 100 such predictions at least {100 * high:.0f} are right, "
            f"“{second}” {100 * low:.0f} to {100 * high:.0f}, “{third}” fewer. Percentages follow from {TENS}."
        )
    rounded = f" Rounded to tens; to percent from {PERCENT}." if tier == "tens" else ""
    return brief, f"{of} By them, of 100 predictions with the same figure about as many are right.{rounded}"
