"""Digests of a cached array by block, in a file beside it: a flipped byte costs the images of its block, not all.

`arrays-….sums` is JSON: `rows`, how many images a block has, and `sums`, the hex SHA-256 of each block in order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.files import replacing

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class BlockSums:
    """The digests of an array's blocks of `rows` rows, the last one shorter."""

    rows: int
    sums: tuple[str, ...]

    def damaged(self, array: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the rows (M,) ascending of an array (N, …), contiguous, that lie in a block with another digest."""
        blocks = [block for block, sum_ in enumerate(self.sums) if _sum(self._block(array, block)) != sum_]
        rows = [np.arange(block * self.rows, min((block + 1) * self.rows, len(array))) for block in blocks]
        return np.concatenate(rows) if rows else np.empty(0, np.int64)

    def fits(self, array: NDArray[np.uint8]) -> bool:
        """Return whether there are as many blocks as an array (N, …) has."""
        return self.rows > 0 and len(self.sums) == -(-len(array) // self.rows)

    def _block(self, array: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
        return array[block * self.rows : (block + 1) * self.rows]


def sums_of(array: NDArray[np.uint8]) -> BlockSums:
    """Return the digests of an array (N, …), contiguous, N from 1."""
    rows = max(1, BLOCK_BYTES * len(array) // array.nbytes)
    return BlockSums(rows, tuple(_sum(array[first : first + rows]) for first in range(0, len(array), rows)))


def sums_path(path: Path) -> Path:
    """Return where the digests of the array in a file lie."""
    return path.with_suffix(".sums")


def write_sums(path: Path, sums: BlockSums) -> None:
    """Write the digests of the array in a file beside it."""
    with replacing(sums_path(path), durable=False) as aside:
        aside.write_text(json.dumps({"rows": sums.rows, "sums": sums.sums}))


def read_sums(path: Path) -> BlockSums | None:
    """Return the digests of the array in a file; None where there are none that can be read."""
    try:
        value = json.loads(sums_path(path).read_bytes())
        return BlockSums(int(value["rows"]), tuple(map(str, value["sums"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sum(rows: NDArray[np.uint8]) -> str:
    return hashlib.sha256(rows.data).hexdigest()
