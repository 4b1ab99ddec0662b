"""The probabilities of a live model as they are shown, accepted by thresholds and exported."""

from __future__ import annotations

import numpy as np

from engine.live.graph import Floats

_TINY = 1e-6


def stated(best: Floats, confidence: Floats, cautious: Floats) -> Floats:
    """Return probabilities (M, K), rows sum to 1: the confidence for the first class, the rest for the others.

    The others share in proportion to `cautious`, made more even as far as needed for the first to stay first.

    Args:
        best: (M, K) whose largest names the first class of each row.
        confidence: (M,) of the first class, 0..1; where it is below 1/K, a hair above 1/K is stated.
        cautious: (M, K) probabilities that are not too sure.
    """
    count, rows, first_class = best.shape[1], np.arange(len(best)), best.argmax(1)
    if count == 1:
        return np.ones_like(best)
    first = np.clip(confidence.astype(np.float64), 1 / count + _TINY, 1)
    others = np.maximum(cautious.astype(np.float64), _TINY)
    others[rows, first_class] = 0
    others /= others.sum(1, keepdims=True)
    even = 1 / (count - 1)
    most, allowed = others.max(1), (1 - _TINY) * first / np.maximum(1 - first, _TINY)
    evened = np.clip((most - allowed) / np.maximum(most - even, _TINY), 0, 1)[:, None]
    shown = (1 - first)[:, None] * ((1 - evened) * others + evened * even)
    shown[rows, first_class] = first
    return np.asarray(shown, np.float32)
