"""The images of a round whose features and probabilities are recorded at each epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TRACKED = 2000
"""Images, at most, whose features and probabilities are recorded each epoch."""
FLOOR = 20
"""Unlabeled images of each predicted class that are tracked before the rest are shared out in proportion."""
NONE = -1
"""No label, or no earlier prediction."""


def tracked_rows(
    shas: Sequence[str],
    roles: NDArray[np.object_],
    label: NDArray[np.int64] | None = None,
    stratum: NDArray[np.int64] | None = None,
    limit: int = TRACKED,
) -> NDArray[np.int64]:
    """Choose the images whose features are recorded: labeled ones, then unlabeled ones, then those in no pool.

    All labeled images are chosen, but at most half of `limit` where unlabeled ones can fill the rest; then evenly over
    the classes. Of the unlabeled ones the first `FLOOR` of each stratum are chosen, and the rest so that each stratum
    has the same share of its images. Within a class or stratum images come in the order of a hash of their content, so
    that every round of a project tracks the same ones as far as it can.

    Args:
        shas: (N,) content hashes.
        roles: (N,) "train", "heldout", "unlabeled", or one that is in no pool: "aside" or "excluded".
        label: (N,) class of each labeled image; any number elsewhere. All of one class when None.
        stratum: (N,) class that an earlier round predicts, −1 where there is none. All −1 when None.
        limit: how many at most.

    Returns:
        (T,) row numbers, ascending.
    """
    keys = [hashlib.sha256(f"tracked:{sha}".encode()).digest() for sha in shas]
    by_hash = np.array(sorted(range(len(shas)), key=keys.__getitem__), dtype=np.int64)
    none = np.full(len(shas), NONE)
    unlabeled = by_hash[roles[by_hash] == "unlabeled"]
    labeled = by_hash[np.isin(roles[by_hash], ("train", "heldout"))]
    in_no_pool = by_hash[~np.isin(roles[by_hash], ("train", "heldout", "unlabeled"))]
    places, _ = _ranks((none if label is None else label)[labeled])
    chosen = labeled[np.argsort(places, kind="stable")][: max(limit // 2, limit - len(unlabeled))]
    places, sizes = _ranks((none if stratum is None else stratum)[unlabeled])
    share = np.where(places < FLOOR, (places - FLOOR).astype(float), places / sizes)
    filling = np.concatenate([unlabeled[np.argsort(share, kind="stable")], in_no_pool])
    return np.sort(np.concatenate([chosen, filling])[:limit])


def _ranks(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each entry's place among the entries of its group, counted from 0, and the size of its group."""
    _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, counts[which]
