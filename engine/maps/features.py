"""Features for maps: the principal components of the pixels.

Enough for drawn or scanned characters and other aligned images; photos need features of a trained network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Basis:
    """Principal components found in some rows, to describe other rows by as well.

    mean (D,) float64; axes (D, k) float32, orthonormal, by falling variance; the coordinates are divided by scale.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float32]
    scale: float

    def apply(self, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the coordinates (N, k) float32 of rows (N, D).

        Raises:
            MapError: the rows have another width, or a value is NaN or infinite.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise MapError(
                "These features are not of the kind the map was made of",
                value=f"{rows.shape} where the map has {len(self.mean)} numbers an image",
                way_out="Compute the map anew.",
            )
        check_finite(rows)
        return self._project(rows) / np.float32(self.scale)

    def _project(self, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        parts = [block @ self.axes for block in _centred(rows, self.mean)]
        return np.concatenate(parts) if parts else np.empty((0, self.axes.shape[1]), np.float32)


def fit_basis(rows: NDArray[np.generic], limit: int = COMPONENTS) -> Basis:
    """Find the leading principal components of rows of numbers; applied to them, their total variance is 1.

    Args:
        rows: (N, D) numbers, N and D >= 1.
        limit: at most so many components.

    Returns:
        min(limit, N − 1, D) axes, at least one; each one's largest weight is positive.

    Raises:
        MapError: a value is NaN or infinite.

    Source: Halko, Martinsson, Tropp, "Finding structure with randomness" (2011), algorithm 4.4 on the
    covariance, with a fixed start; exact when D is not above limit + 10.
    """
    n, d = rows.shape
    check_finite(rows)
    total = np.zeros(d)
    for start, stop in _parts(rows):
        total += rows[start:stop].sum(axis=0, dtype=np.float64)
    mean = np.asarray(total / n)
    axes = _leading_axes(lambda: _centred(rows, mean), d, max(1, min(limit, n - 1, d)))
    projected = Basis(mean, axes, 1.0)._project(rows)
    return Basis(mean, axes, float(np.sqrt((projected.astype(np.float64) ** 2).sum(axis=1).mean())) or 1.0)


def components(rows: NDArray[np.generic], limit: int = COMPONENTS) -> NDArray[np.float32]:
    """Return the leading principal components of any rows of numbers, scaled to a total variance of 1.

    Args:
        rows: (N, D) numbers, N and D >= 1.
        limit: at most so many components.

    Returns:
        (N, min(limit, N − 1, D)) float32, at least one column; see `fit_basis`.

    Raises:
        MapError: a value is NaN or infinite.
    """
    return fit_basis(rows, limit).apply(rows)


def check_finite(rows: NDArray[np.generic]) -> None:
    """Raise MapError, with how many rows are meant, where a value is NaN or infinite."""
    if rows.dtype.kind not in "fc":
        return
    bad, first = 0, -1
    for start, stop in _parts(rows):
        wrong = np.flatnonzero(~np.isfinite(rows[start:stop]).all(axis=1))
        if len(wrong) and not bad:
            first = start + int(wrong[0])
        bad += len(wrong)
    if bad:
        raise MapError(
            "A feature is not a finite number",
            value=f"in {bad} of {len(rows)} rows, the first is row {first}",
            way_out="Use another source of features, or run the round again.",
        )


def _parts(rows: NDArray[np.generic]) -> Iterator[tuple[int, int]]:
    height = max(1, _BLOCK_VALUES // rows.shape[1])
    for start in range(0, len(rows), height):
        yield start, start + height


def _centred(rows: NDArray[np.generic], mean: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    for start, stop in _parts(rows):
        yield (rows[start:stop].astype(np.float64) - mean).astype(np.float32)


def _leading_axes(blocks: Blocks, d: int, count: int) -> NDArray[np.float32]:
    """Orthonormal axes (D, count) of largest variance, ordered."""
    width = min(d, count + _OVERSAMPLING)
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
    axes = basis @ vectors[:, ::-1][:, :count]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(count)]
    return np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0), dtype=np.float32)


def _covariance_times(blocks: Blocks, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    narrow = basis.astype(np.float32)
    product = np.zeros_like(basis)
    for block in blocks():
        product += block.T @ (block @ narrow)
    return product
