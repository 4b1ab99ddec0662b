"""Pairs of images worth comparing pixel by pixel, found in near-linear time; used by `duplicates`.

Each image is blurred, sampled on a coarse grid centred on where its content is (a shift moves the grid along), freed of
brightness and contrast, and hashed by the signs of random projections. Images are compared to the next ones in the
same bucket, in several independent hashings; the number of comparisons is capped for each image, so that thousands of
images that look alike cannot make it quadratic.

Source: Charikar 2002, Similarity Estimation Techniques from Rounding Algorithms (signs of random projections);
Hernández and Stolfo 1995, The Merge/Purge Problem (windows in sorted order, several passes).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GRID = 12
BLUR = 1 / 16
HASHINGS = 16
BITS = 14
WINDOW = 12
LEAST_FEATURE = 0.95
PAIRS_EACH = 8
FEW = 300
_BLOCK = 4096


def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return coarse views of images, (N, GRID²), each with mean 0 and norm 1; all 0 for an image of one grey.

    Shifts by a few pixels, brightness, contrast and weak noise hardly change them.

    Args:
        images: (N, H, W), H and W from 4.
    """
    rows_features = np.zeros((len(images), GRID * GRID), np.float32)
    for start in range(0, len(images), _BLOCK):
        block = torch.from_numpy(images[start : start + _BLOCK].astype(np.float32))
        y, x = _centre(block)
        rows, columns = _weights(y, block.shape[1]), _weights(x, block.shape[2])
        rows_features[start : start + _BLOCK] = _unit((rows @ block @ columns.mT).flatten(1)).numpy()
    return rows_features


def candidates(views: NDArray[np.float32], seed: int = 0) -> NDArray[np.int64]:
    """Return pairs of rows (P, 2), first below second, each once, that are alike in their coarse views.

    At most PAIRS_EACH · N pairs, the most alike. Which are found is a matter of chance: the more alike two views
    are, the surer, unless very many images look like them. Of up to FEW images all pairs are compared.

    Args:
        views: (N, D) from `features`; rows of zeros never match.
        seed: of the projections.
    """
    n = len(views)
    if n <= FEW:
        a, b = np.triu_indices(n, 1)
        near = (views @ views.T)[a, b] >= LEAST_FEATURE
        return np.stack([a[near], b[near]], axis=1).astype(np.int64)
    rng = np.random.default_rng(seed)
    spread = _decorrelated(views)
    keys, alike = np.zeros(0, np.int64), np.zeros(0, np.float32)
    least = LEAST_FEATURE
    for _ in range(HASHINGS):
        signs = spread @ rng.standard_normal((spread.shape[1], BITS + 1)).astype(np.float32)
        bucket = (signs[:, :BITS] > 0).astype(np.float32) @ (2.0 ** np.arange(BITS)).astype(np.float32)
        order = np.lexsort((signs[:, BITS], bucket))
        fresh, fresh_alike = _window(order, bucket[order], views[order], least)
        keys, place = np.unique(np.concatenate([keys, fresh]), return_index=True)
        alike = np.concatenate([alike, fresh_alike])[place]
        if len(keys) > PAIRS_EACH * n:
            likest = np.sort(np.argsort(-alike, kind="stable")[: PAIRS_EACH * n])
            keys, alike = keys[likest], alike[likest]
            least = float(alike.min())
    return np.stack([keys // n, keys % n], axis=1)


def _window(
    order: NDArray[np.int64], bucket: NDArray[np.float32], views: NDArray[np.float32], least: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of rows up to WINDOW places apart, of one bucket and at least so much alike.

    Args:
        order: (N,) rows, sorted by bucket; bucket and views are in this order.
        least: dot product of two views.

    Returns:
        First · N + second, first below second, and the dot products.
    """
    keys, alike = [], []
    for step in range(1, min(WINDOW, len(order) - 1) + 1):
        dots = np.einsum("nd,nd->n", views[:-step], views[step:])
        near = np.flatnonzero((bucket[:-step] == bucket[step:]) & (dots >= least))
        a, b = order[near], order[near + step]
        keys.append(np.minimum(a, b) * len(order) + np.maximum(a, b))
        alike.append(dots[near])
    return np.concatenate(keys), np.concatenate(alike)


def _decorrelated(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """Views about their mean along their principal directions, the strong ones damped so that all buckets fill."""
    centred = views - views.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred / len(views))
    largest = np.argsort(values)[::-1][:32]
    strength = np.maximum(values[largest], 1e-12) ** -0.25
    return np.asarray(centred @ (vectors[:, largest] * strength).astype(np.float32))


def _centre(block: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of what differs from the border's grey, in pixels, (B,) each; the middle for an image of one grey."""
    edges = torch.cat([block[:, 0], block[:, -1], block[:, :, 0], block[:, :, -1]], dim=1)
    weight = (block - edges.median(dim=1).values[:, None, None]) ** 2 + 1e-3
    total = weight.sum((1, 2))
    y = (weight.sum(2) * torch.arange(block.shape[1])).sum(1) / total
    x = (weight.sum(1) * torch.arange(block.shape[2])).sum(1) / total
    return y, x


def _weights(centre: Tensor, size: int) -> Tensor:
    """Gaussian means at GRID places over a whole side, moved so that the middle is at `centre`; (B, GRID, size)."""
    places = centre[:, None] + ((torch.arange(GRID) + 0.5) / GRID - 0.5) * size
    apart = (torch.arange(size) - places[:, :, None]) / (BLUR * size)
    return torch.softmax(-0.5 * apart.square(), dim=2)


def _unit(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=1, keepdim=True)
    norm = centred.norm(dim=1, keepdim=True)
    return torch.where(norm > 1e-2, centred / norm.clamp_min(1e-2), torch.zeros_like(centred))
