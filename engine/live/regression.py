"""Multinomial logistic regression of a few labels, in milliseconds, from the weights of the fit before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold

from engine.groups import units
from engine.live.rows import softmax_rows

Numbers = NDArray[np.floating[Any]]

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Values of C among which cross-validation chooses."""
SINGLE_STRENGTH = 10.0
"""C where some class has a single label, which cannot be left out."""
FOLDS = 5
TOLERANCE, ROUGH = 3e-6, 1e-3
"""Largest part of the gradient of the mean loss at the end; where only a C is chosen."""
_STEPS, _REMEMBERED = 300, 10
_DECREASE, _HALVINGS = 1e-4, 30
_ROUNDING = 1e-7


@dataclass(frozen=True)
class Regression:
    """Logits weights · z + intercepts: weights (K, D) and intercepts (K,), which each sum to 0 over the classes."""

    weights: Numbers
    intercepts: Numbers

    def logits(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, K) of z (n, D)."""
        return np.asarray(z @ self.weights.T + self.intercepts, np.float32)

    def predict_proba(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (n, K) of z (n, D)."""
        return softmax_rows(self.logits(z))


def both_proba(
    one: Regression, other: Regression, z: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what two regressions of the same K classes predict of z (n, D), (n, K) each, in one pass over z."""
    joined = Regression(
        *(np.concatenate(parts) for parts in ((one.weights, other.weights), (one.intercepts, other.intercepts)))
    )
    first, second = np.split(joined.logits(z), 2, 1)
    return softmax_rows(first), softmax_rows(second)


def fit_regression(
    z: Numbers,
    labels: NDArray[np.int64],
    strength: float,
    start: Regression | None = None,
    tolerance: float = TOLERANCE,
) -> Regression:
    """Fit it: least mean cross-entropy + ‖weights‖² / (2 n C), as scikit-learn's LogisticRegression.

    Two classes are one logit there, so that what is penalised is the difference of the two classes' weights.

    Args:
        z: (n, D); its precision is that of the fit.
        labels: (n,) 0..K-1, each class at least once.
        strength: C, the same whatever n.
        start: weights to begin with; they change the time alone.
        tolerance: see `TOLERANCE`.
    """
    n, classes, width = len(z), int(labels.max()) + 1, z.shape[1]
    penalty = (2 if classes == 2 else 1) / (n * strength)
    at = np.arange(n)
    first = np.zeros((classes, width + 1), z.dtype)
    if start is not None:
        first[:, :-1], first[:, -1] = start.weights, start.intercepts

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        weights = flat.reshape(classes, width + 1)
        logits = (weights[:, :-1] @ z.T) + weights[:, -1:]  # (K, n)
        logits -= logits.max(0)
        true = logits[labels, at].sum(dtype=np.float64)
        slopes = np.exp(logits)
        sums = slopes.sum(0)
        squares = float(np.vdot(flat, flat) - np.vdot(weights[:, -1], weights[:, -1]))
        value = (np.log(sums).sum(dtype=np.float64) - true) / n + penalty / 2 * squares
        slopes /= n * sums
        slopes[labels, at] -= 1 / n
        gradient = penalty * weights
        gradient[:, -1] = slopes.sum(1)
        gradient[:, :-1] += slopes @ z
        return float(value), gradient.ravel()

    found = _least(loss, first.ravel(), tolerance).reshape(classes, width + 1)
    found -= found.mean(0)
    return Regression(np.ascontiguousarray(found[:, :-1]), found[:, -1])


def _least(loss: Callable[[Numbers], tuple[float, Numbers]], x: Numbers, tolerance: float) -> Numbers:
    """Return where a smooth convex loss, which gives value and gradient, is least.

    Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5 (L-BFGS), with steps halved until
    the loss falls. SciPy's, for bounds too, takes longer for its own part of a step than this loss.
    """
    value, gradient = loss(x)
    past: deque[tuple[Numbers, Numbers, float]] = deque(maxlen=_REMEMBERED)
    for _ in range(_STEPS):
        if np.abs(gradient).max() <= tolerance:
            break
        way = -_by_curvature(gradient, past)
        slope, length = float(np.vdot(way, gradient)), 1.0 if past else min(1.0, 1 / float(np.abs(gradient).sum()))
        for _ in range(_HALVINGS):
            step = x.dtype.type(length) * way
            new_value, new_gradient = loss(x + step)
            if new_value <= value + _DECREASE * length * slope + _ROUNDING * abs(value):
                break
            length /= 2
        change = new_gradient - gradient
        bend = float(np.vdot(step, change))
        x, value, gradient = x + step, new_value, new_gradient
        if bend > 0:  # else rounding is all there is
            past.append((step, change, 1 / bend))
    return x


def _by_curvature(gradient: Numbers, past: deque[tuple[Numbers, Numbers, float]]) -> Numbers:
    """Return the gradient times what the last steps say of the inverse of the second derivative."""
    way, weights = gradient.copy(), []
    for step, change, scale in reversed(past):
        weights.append(way.dtype.type(scale * np.vdot(step, way)))
        way -= weights[-1] * change
    if past:
        _, change, scale = past[-1]
        way *= way.dtype.type(1 / (scale * np.vdot(change, change)))
    for (step, change, scale), weight in zip(past, reversed(weights), strict=True):
        way += (weight - way.dtype.type(scale * np.vdot(change, way))) * step
    return way


def best_strength(z: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64] | None = None) -> float:
    """Return C, of .1, 1, 10 and 100, with the least cross-entropy in cross-validation.

    Folds: 5, or as many as the smallest class has labels. With a single label in some class C is 10.

    Args:
        z: (n, D).
        labels: (n,) 0..K-1.
        groups: (n,) number of each label's group, or None. No fold shares one with another; a group then counts as one
            label, of the class that most of its images have.
    """
    grouped = units(groups, labels)
    folds = min(FOLDS, int(np.bincount(grouped.label, minlength=int(labels.max()) + 1).min()))
    if folds < 2:
        return SINGLE_STRENGTH
    losses = np.zeros(len(STRENGTHS))
    for _, left_out in StratifiedKFold(folds, shuffle=True, random_state=0).split(grouped.first, grouped.label):
        inside = np.isin(grouped.of, left_out)
        fit, test = np.flatnonzero(~inside), np.flatnonzero(inside)
        regression = None
        for place, strength in enumerate(STRENGTHS):
            regression = fit_regression(z[fit], labels[fit], strength, regression, ROUGH)
            losses[place] -= log_softmax(regression.logits(z[test]), 1)[np.arange(len(test)), labels[test]].mean()
    return STRENGTHS[int(np.argmin(losses))]
