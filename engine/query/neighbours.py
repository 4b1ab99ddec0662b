"""What the model believes of the images most like an image: a second opinion on its own belief."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.query.clusters import sample_rows
from engine.query.pool import Pool

NEAREST = 10
COMPARED = 10_000
_CHUNK = 256


def beliefs_nearby(pool: Pool, rows: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Return the mean probabilities (M, K) of the 10 images nearest to each of these rows, itself left out.

    A labeled image counts with its label, any other with its probabilities. Near is a high cosine of the features,
    moved by the mean of those of undecided images. Of more than 10,000 undecided or labeled images so many are drawn by
    the seed. Where there is no other image, an image's own probabilities are returned.

    Args:
        pool: with features.
        rows: (M,) rows of the pool.
        seed: of the draws.
    """
    assert pool.features is not None
    if not len(rows):
        return pool.probabilities[rows].astype(np.float32)
    drawn = sample_rows(len(pool), COMPARED, seed)
    beliefs = pool.probabilities[drawn].astype(np.float32)
    raw = np.asarray(pool.features[drawn], np.float32)
    middle = raw.mean(axis=0)
    others = _unit(raw - middle)
    if pool.labeled is not None and pool.labeled_features is not None:
        known = np.flatnonzero(np.asarray(pool.labeled) >= 0)
        known = known[sample_rows(len(known), COMPARED, seed)]
        labeled = np.asarray(pool.labeled_features[known], np.float32)
        others = np.concatenate([others, _unit(labeled - middle)])
        beliefs = np.concatenate([beliefs, np.eye(beliefs.shape[1], dtype=np.float32)[np.asarray(pool.labeled)[known]]])
    place = np.full(len(pool), -1, np.int64)
    place[drawn] = np.arange(len(drawn))
    count = min(NEAREST, len(others) - 1)
    if count < 1:
        return pool.probabilities[rows].astype(np.float32)
    nearby = np.empty((len(rows), beliefs.shape[1]), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        like = _unit(np.asarray(pool.features[part], np.float32) - middle) @ others.T
        here = np.flatnonzero(place[part] >= 0)
        like[here, place[part[here]]] = -np.inf
        near = np.argpartition(-like, count - 1, axis=1)[:, :count]
        nearby[start : start + len(part)] = beliefs[near].mean(axis=1)
    return nearby


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows at length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
    return np.asarray(x / np.maximum(length, 1e-12), np.float32)
