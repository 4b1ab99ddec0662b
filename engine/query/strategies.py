"""QUERY_STRATEGIES: the strategies by key, with the words the review page shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.query import chance, uncertainty


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to order images.

    Attributes:
        key: its name in QUERY_STRATEGIES.
        title: what the person chooses.
        summary: one sentence on when it helps.
        score: (probabilities (N, K), image ids (N,)) -> scores (N,) float64; higher = sooner.
        why: (probabilities (K,), class names) -> one line for one image.
    """

    key: str
    title: str
    summary: str
    score: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]
    why: Callable[[NDArray[np.float32], Sequence[str]], str]


_ALL = (
    Strategy(
        "least_confidence",
        "Least confident",
        "Images whose best class has the lowest probability.",
        uncertainty.least_confidence,
        uncertainty.why_least_confidence,
    ),
    Strategy(
        "margin",
        "Close calls",
        "Images whose two best classes are nearly equal: a quick answer that settles a border.",
        uncertainty.margin,
        uncertainty.why_margin,
    ),
    Strategy(
        "entropy",
        "Most undecided",
        "Images whose probability is spread over many classes.",
        uncertainty.entropy,
        uncertainty.why_entropy,
    ),
    Strategy(
        "random",
        "Random",
        "A fair sample: the only order from which an error rate can be read off.",
        chance.random,
        chance.why_random,
    ),
)

QUERY_STRATEGIES: dict[str, Strategy] = {strategy.key: strategy for strategy in _ALL}
