"""Random order: the control every other strategy has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SEED = np.uint64(0x5EED)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def random(probabilities: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each image that depends on its id alone.

    Labeling one image therefore never reshuffles the others.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014), the mix function of
    SplitMix64 with Stafford's constants.
    """
    z = (ids.astype(np.uint64) + _SEED) * _STEP  # wraps modulo 2^64 by intent
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def why_random(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Say that chance picked it, and what the model thinks."""
    best = int(row.argmax())
    return f"picked at random: {row[best]:.2f} for “{classes[best]}”"
