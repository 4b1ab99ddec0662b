"""Near-equal photos by their features: frames of a scene, shots of a burst, copies that were saved anew."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from engine.live.graph import Floats, Ints
from engine.live.model import ImageSet

LIKENESS = 0.9
"""Cosine of the angle between two photos' coordinates about their mean from which they count as near-equal. Measured:
`starling bench groups`."""
_AT_ONCE = 4096


def near_groups(images: ImageSet, likeness: float = LIKENESS) -> Ints:
    """Return the group of each image (M,) as the row of its first image; an image like no other has its own row.

    Images that are near-equal to one of their ten nearest are joined, also by way of a third (single linkage). What is
    then less than so near to the middle of its group is taken out again: chains of images, each like the next, are no
    scene.

    Args:
        images: with features of a pretrained network; gradients of characters are alike where the character is.
        likeness: 0..1.

    Source: Florek et al., Sur la liaison et la division des points d'un ensemble fini, Colloquium Mathematicum 2 (1951)
    282–285, for single linkage.
    """
    count = len(images.z)
    z, near = _unit(images.z), images.graph.near
    alike = np.concatenate(
        [
            np.einsum("nd,nkd->nk", z[start : start + _AT_ONCE], z[near[start : start + _AT_ONCE]]) >= likeness
            for start in range(0, count, _AT_ONCE)
        ]
    )
    rows, places = np.nonzero(alike)
    edges = sp.csr_matrix((np.ones(len(rows)), (rows, near[rows, places])), (count, count))
    group = _first_rows(connected_components(edges, directed=False)[1].astype(np.int64))
    middle = np.zeros_like(z)
    np.add.at(middle, group, z)
    far = np.einsum("nd,nd->n", z, _unit(middle)[group]) < likeness
    return _first_rows(np.where(far, count + np.arange(count), group))


def _first_rows(names: Ints) -> Ints:
    """Return for each row (M,) the first row of the same name."""
    _, first, number = np.unique(names, return_index=True, return_inverse=True)
    return np.asarray(first[number], np.int64)


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)
