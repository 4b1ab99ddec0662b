"""Strategies that take a varied batch: core-set and BADGE.

Sources: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (2018), algorithm
1 (k-center greedy). Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (2020),
algorithm 1: k-means++ seeding on the gradients of the last layer, g = (p − onehot(argmax p)) ⊗ f. Deviation: the
gradients (N, K·D) are never built, as ⟨a ⊗ f, b ⊗ g⟩ = ⟨a, b⟩⟨f, g⟩.

Both take limit steps over all images. To stay within two seconds they look at a random part of a large pool: at most
5,000,000 / limit images (50,000 for 100 picks), for core-set also at most 100,000,000 / labeled images; never fewer
than 10 times the limit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.query.clusters import centred, draw, nearest, products, sample_rows
from engine.query.pool import Picks, Pool, picks

_STEPS = 5_000_000
_PAIRS = 100_000_000


def core_set(pool: Pool, limit: int, seed: int) -> Picks:
    """Take one image after the other: the one farthest from all labeled and all picked ones.

    Without labeled features the first is the one nearest to the mean of all.
    Scores: that distance when it was picked, in feature units, so they never rise.
    """
    if limit == 0 or pool.features is None:
        return picks(np.zeros(0, np.int64), np.zeros(0), ())
    known = 0 if pool.labeled_features is None else len(pool.labeled_features)
    rows = _part(pool, limit, seed, pairs=known)
    own, labeled = centred(pool.described(rows), pool.labeled_features)
    square = np.einsum("nd,nd->n", own, own)
    gap = nearest(own, labeled)[1] if known else None
    chosen: list[int] = []
    scores: list[float] = []
    while len(chosen) < limit:
        at = int(square.argmin()) if gap is None else int(gap.argmax())
        scores.append(float(np.sqrt(square[at] if gap is None else max(gap[at], 0.0))))
        chosen.append(at)
        to_last = np.maximum(square + square[at] - 2.0 * products(own, own[at]), 0.0)
        gap = to_last if gap is None else np.minimum(gap, to_last)
        gap[chosen] = -1.0
    return picks(rows[chosen], np.array(scores), _why_far(scores, bool(known)))


def badge(pool: Pool, limit: int, seed: int) -> Picks:
    """Take images by k-means++ seeding on the last layer's gradients: long ones (doubtful), far from each other.

    The first is the longest gradient; each further one is drawn with probability in proportion to the squared distance
    to the nearest one picked. Scores: that distance when it was picked (of the first: its length).
    """
    if limit == 0 or pool.features is None:
        return picks(np.zeros(0, np.int64), np.zeros(0), ())
    rows = _part(pool, limit, seed)
    features = np.asarray(pool.described(rows), np.float32)
    slope = _slopes(pool.probabilities[rows])
    square = np.einsum("nk,nk->n", slope, slope) * np.einsum("nd,nd->n", features, features)
    rng = np.random.default_rng(seed)
    chosen = [int(square.argmax())]
    gap = square.copy()
    scores = [float(np.sqrt(square[chosen[0]]))]
    while len(chosen) < limit:
        last = chosen[-1]
        to_last = square + square[last] - 2.0 * products(slope, slope[last]) * products(features, features[last])
        gap = np.maximum(to_last, 0.0) if len(chosen) == 1 else np.minimum(gap, np.maximum(to_last, 0.0))
        gap[chosen] = -1.0
        chosen.append(draw(np.maximum(gap, 0.0), rng) if (gap > 0).any() else int(gap.argmax()))
        scores.append(float(np.sqrt(gap[chosen[-1]])))
    why = [_why_badge(pool.probabilities[row], pool.classes) for row in rows[chosen]]
    return picks(rows[chosen], np.array(scores), why)


def _slopes(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    slope = np.array(probabilities, np.float32)
    slope[np.arange(len(slope)), slope.argmax(axis=1)] -= 1.0
    return slope


def _part(pool: Pool, limit: int, seed: int, *, pairs: int = 0) -> NDArray[np.int64]:
    most = min(_STEPS // limit, _PAIRS // max(pairs, 1))
    return sample_rows(len(pool), max(most, 10 * limit), seed)


def _why_far(scores: list[float], labeled: bool) -> list[str]:
    text = "unlike any labeled image: distance {:.2f}" if labeled else "unlike the images before it: distance {:.2f}"
    lines = [text.format(score) for score in scores]
    if not labeled and lines:
        lines[0] = "the most average image: no label to compare with yet"
    return lines


def _why_badge(row: NDArray[np.float32], classes: tuple[str, ...]) -> str:
    best = int(row.argmax())
    return f"doubtful in its own way: “{classes[best]}” at best"
