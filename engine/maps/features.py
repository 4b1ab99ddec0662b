"""Features for maps: the principal components of the pixels.

Enough for drawn or scanned characters and other aligned images; photos need features of a trained network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError

COMPONENTS = 50
_OVERSAMPLING = 10
_SWEEPS = 6
_BLOCK_VALUES = 16_000_000  # float32 values in memory at once: 64 MB

Blocks = Callable[[], Iterator[NDArray[np.float32]]]


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the leading principal components of the pixels, scaled together to a total variance of 1.

    Pixels are centred but not divided by their own deviation: a border pixel that is nearly always black
    carries no information and must not be blown up. The array is read block by block, so it may be
    memory-mapped. The same images give the same bits on the same machine and thread setting.

    Args:
        images: (N, C, H, W) uint8, N >= 1.

    Returns:
        (N, D) float32, D = min(50, N − 1, C·H·W), at least 1; all 0 when the images are equal.

    Raises:
        MapError: not uint8, not four axes, or no image.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
        raise MapError(
            "The map needs uint8 images of shape (N, C, H, W)",
            value=f"{images.dtype} {images.shape}",
            way_out="Build the array cache again.",
        )
    return components(images.reshape(len(images), -1))


def components(rows: NDArray[np.generic], limit: int = COMPONENTS) -> NDArray[np.float32]:
    """Return the leading principal components of any rows of numbers, scaled to a total variance of 1.

    Args:
        rows: (N, D) numbers, N and D >= 1.
        limit: at most so many components.

    Returns:
        (N, min(limit, N − 1, D)) float32, at least one column; each component's largest weight is positive.

    Raises:
        MapError: a value is NaN or infinite.

    Source: Halko, Martinsson, Tropp, "Finding structure with randomness" (2011), algorithm 4.4 on the
    covariance, with a fixed start; exact when D is not above limit + 10.
    """
    n, d = rows.shape
    kept = max(1, min(limit, n - 1, d))
    height = max(1, _BLOCK_VALUES // d)
    mean = _mean(rows, height)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, n, height):
            yield (rows[start : start + height].astype(np.float64) - mean).astype(np.float32)

    axes = _leading_axes(blocks, d, kept)  # (D, kept)
    found = np.concatenate([block @ axes for block in blocks()])  # (N, kept)
    spread = float(np.sqrt((found.astype(np.float64) ** 2).sum(axis=1).mean()))
    return (found / (spread or 1.0)).astype(np.float32)


def _mean(rows: NDArray[np.generic], height: int) -> NDArray[np.float64]:
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        if not np.isfinite(block).all():
            bad = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise MapError(
                "A feature is not a finite number",
                value=f"row {bad}",
                way_out="Use another source of features, or run the round again.",
            )
        total += block.sum(axis=0, dtype=np.float64)
    return np.asarray(total / len(rows))


def _leading_axes(blocks: Blocks, d: int, kept: int) -> NDArray[np.float32]:
    """Orthonormal axes (D, kept) of largest variance, ordered."""
    width = min(d, kept + _OVERSAMPLING)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((d, width)))[0]
    if width < d:
        for _ in range(_SWEEPS):
            basis = np.linalg.qr(_covariance_times(blocks, basis))[0]
    projected = np.zeros((width, width))
    narrow = basis.astype(np.float32)
    for block in blocks():
        part = (block @ narrow).astype(np.float64)
        projected += part.T @ part
    _, vectors = np.linalg.eigh(projected)  # ascending
    axes = basis @ vectors[:, ::-1][:, :kept]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(kept)]
    return np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0), dtype=np.float32)


def _covariance_times(blocks: Blocks, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    narrow = basis.astype(np.float32)
    product = np.zeros_like(basis)
    for block in blocks():
        product += block.T @ (block @ narrow)
    return product
