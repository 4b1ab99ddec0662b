"""Acquisition scores that ask where the model is unsure. Higher means: look at this image sooner.

Every score takes probabilities (N, K) and image ids (N,) and returns (N,) float64. The ids are not used here;
all strategies share one signature.

Source: Settles, "Active Learning Literature Survey" (2009), section 3.1: least confident, margin, entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NO_CALL = 0.8
"""Nobody calls it close above this, though it may be the closest that is left."""


def least_confidence(probabilities: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 − p₁ for each row, in 0..1−1/K."""
    best: NDArray[np.float64] = probabilities.max(axis=1).astype(np.float64)
    return 1.0 - best


def margin(probabilities: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 − (p₁ − p₂) for each row, in 0..1; with a single class p₂ is 0."""
    first, second = _two_best(probabilities)
    return 1.0 - (first - second)


def entropy(probabilities: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the entropy of each row in nats, in 0..ln K, with 0·ln 0 = 0."""
    p = probabilities.astype(np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    spread: NDArray[np.float64] = np.maximum(-(p * logs).sum(axis=1), 0.0)
    return spread


def why_least_confidence(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Say that the model believes little in its best class; how little is no number that anything has measured."""
    return f"least confident: “{classes[int(row.argmax())]}” at best"


def why_margin(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Say which two classes are close."""
    order = np.argsort(-row, kind="stable")
    if len(order) < 2:
        return why_least_confidence(row, classes)
    a, b = int(order[0]), int(order[1])
    if row[a] > NO_CALL:
        return f"little in doubt: “{classes[a]}” before “{classes[b]}”"
    return f"close call: “{classes[a]}” or “{classes[b]}”"


def why_entropy(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Say that the probabilities are spread, and over which best class."""
    return f"undecided between classes: “{classes[int(row.argmax())]}” at best"


def _two_best(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p = probabilities.astype(np.float64)
    if p.shape[1] == 1:
        return p[:, 0], np.zeros(len(p))
    top = np.partition(p, -2, axis=1)  # (N, K)
    return top[:, -1], top[:, -2]
