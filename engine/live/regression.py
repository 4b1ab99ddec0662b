"""Multinomial logistic regression of a few labels, in milliseconds, from the weights of the fit before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Values of C among which cross-validation chooses."""
SINGLE_STRENGTH = 10.0
"""C where some class has a single label, which cannot be left out."""
FOLDS = 5
TOLERANCE, ROUGH = 1e-4, 1e-3
"""Largest part of the gradient of the mean loss at the end; where only a C is chosen."""
_STEPS = 300


@dataclass(frozen=True)
class Regression:
    """Logits weights · z + intercepts: weights (K, D) and intercepts (K,), float64, each sums to 0 over the classes."""

    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def logits(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, K) of z (n, D)."""
        return z @ self.weights.T.astype(np.float32) + self.intercepts.astype(np.float32)

    def predict_proba(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (n, K) of z (n, D)."""
        return np.asarray(softmax(self.logits(z), 1), np.float32)


def fit_regression(
    z: NDArray[np.float32],
    labels: NDArray[np.int64],
    strength: float,
    start: Regression | None = None,
    tolerance: float = TOLERANCE,
) -> Regression:
    """Fit it by L-BFGS: least mean cross-entropy + ‖weights‖² / (2 n C), as scikit-learn's LogisticRegression.

    Two classes are one logit there, so that what is penalised is the difference of the two classes' weights.

    Args:
        z: (n, D).
        labels: (n,) 0..K-1, each class at least once.
        strength: C, the same whatever n.
        start: weights to begin with; they change the time alone.
        tolerance: see `TOLERANCE`.
    """
    x, n = z.astype(np.float64), len(z)
    classes, width = int(labels.max()) + 1, z.shape[1]
    penalty = (2 if classes == 2 else 1) / (n * strength)
    first = np.zeros((classes, width + 1))
    if start is not None:
        first[:, :-1], first[:, -1] = start.weights, start.intercepts

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(classes, width + 1)
        logits = x @ weights[:, :-1].T + weights[:, -1]
        logits -= logits.max(1, keepdims=True)
        true = logits[np.arange(n), labels].sum()
        slopes = np.exp(logits)
        sums = slopes.sum(1)
        value = (np.log(sums).sum() - true) / n + penalty / 2 * (weights[:, :-1] ** 2).sum()
        slopes /= n * sums[:, None]
        slopes[np.arange(n), labels] -= 1 / n
        gradient = np.empty_like(weights)
        gradient[:, :-1] = slopes.T @ x + penalty * weights[:, :-1]
        gradient[:, -1] = slopes.sum(0)
        return float(value), gradient.ravel()

    settings = {"maxiter": _STEPS, "gtol": tolerance, "ftol": 64 * np.finfo(float).eps, "maxls": 50}
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=settings).x.reshape(classes, width + 1)
    found -= found.mean(0)
    return Regression(found[:, :-1], found[:, -1])


def best_strength(z: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return C, of .1, 1, 10 and 100, with the least cross-entropy in cross-validation.

    Folds: 5, or as many as the smallest class has labels. With a single label in some class C is 10.
    """
    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return SINGLE_STRENGTH
    losses = np.zeros(len(STRENGTHS))
    for fit, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(z, labels):
        regression = None
        for place, strength in enumerate(STRENGTHS):
            regression = fit_regression(z[fit], labels[fit], strength, regression, ROUGH)
            losses[place] -= log_softmax(regression.logits(z[test]), 1)[np.arange(len(test)), labels[test]].mean()
    return STRENGTHS[int(np.argmin(losses))]
