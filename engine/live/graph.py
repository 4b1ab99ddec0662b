"""The graph of nearest neighbours, and labels spread over it.

Sources: Zhou, Bousquet, Lal, Weston, Schölkopf, Learning with Local and Global Consistency (NIPS 2003), the algorithm
of section 2; edge weights with a width for each image as in Zelnik-Manor and Perona, Self-Tuning Spectral Clustering
(NIPS 2004), section 2; shares by Sinkhorn and Knopp, Concerning nonnegative matrices and doubly stochastic matrices
(1967).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.sparse.csgraph import reverse_cuthill_mckee  # type: ignore[import-untyped]
from sklearn.cluster import MiniBatchKMeans

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
log = logging.getLogger(__name__)

NEAREST = 10
EXACT = 20_000
"""Up to so many images all distances are computed."""
LEAST_RECALL = 0.995
"""Share of true neighbours to be found: a wrong edge spreads a wrong label."""
CHECKED = 500
PROBES = 16
"""Cells looked at first for each image; twice as many until the recall suffices."""
WIDTH = 1.5
KEPT = 0.99
"""Share of an image's belief that comes from its neighbours; the rest is its own label."""
STEPS, BALANCINGS = 100, 50
_SPARE = 6
"""Rows found beyond those wanted, since distances by products are rounded."""
_BLOCK_VALUES = 10_000_000
_FAINTEST = 1e-4
"""Least weight of an edge: no image is cut off by neighbours that lie much closer to each other."""
_TINY = 1e-12
_ROUNDING = 1e-5
"""By so much two ways to compute a squared distance of unit vectors may differ."""


@dataclass(frozen=True)
class Graph:
    """Each image's nearest others, and what beliefs are passed on with.

    Attributes:
        near: (N, k) int64 rows, nearest first. squares: (N, k) float32, squared distances.
        symmetric: (N, N) sparse S = D^-½ W D^-½. averaging: (N, N) sparse P = D^-1 W, rows sum to 1.
        degrees: (N,) D.
    """

    near: Ints
    squares: Floats
    symmetric: Any
    averaging: Any
    degrees: Floats

    @classmethod
    def of(cls, near: Ints, squares: Floats) -> Graph:
        """Build the graph of neighbours (N, k) and their squared distances.

        w = exp(−1.5 d²/(σᵢσⱼ)) with σ the distance to the furthest neighbour, made symmetric by the mean.
        """
        count, k = near.shape
        weights = edge_weights(squares, furthest(squares)[:, None], furthest(squares)[near])
        directed = sp.csr_matrix((weights.ravel() / 2, near.ravel(), np.arange(0, count * k + 1, k)), (count, count))
        both = (directed + directed.T).tocsr()
        degrees = np.asarray(both.sum(1)).ravel()
        own = np.repeat(degrees, np.diff(both.indptr))
        symmetric, averaging = both.data / np.sqrt(own * degrees[both.indices]), both.data / own
        same = both.indices, both.indptr
        return cls(near, squares, sp.csr_matrix((symmetric, *same)), sp.csr_matrix((averaging, *same)), degrees)

    @cached_property
    def passing(self) -> tuple[Ints, Any]:
        """An order of the rows (N,) that brings neighbours together, and .99 S in it: products with it are a quarter
        faster where many rows do not fit into the processor's cache."""
        order = reverse_cuthill_mckee(self.symmetric, symmetric_mode=True).astype(np.int64)
        passing = (self.symmetric[order][:, order] * np.float32(KEPT)).tocsr()
        passing.sort_indices()
        return order, passing

    def with_rows(self, u: Floats) -> Graph:
        """Return the graph of all rows u (N, D), of which this graph has the first.

        As if it were built anew by all distances, but with a scan for each new row instead of one for each row. Of
        rows equally far away any may be neighbours.
        """
        old, k = self.near.shape
        if k < NEAREST:
            return Graph.of(*nearest_others(u))
        near, squares = _without_own(*nearest_rows(u[old:], u, k + 1), np.arange(old, len(u)))
        near, squares = np.concatenate([self.near, near]), np.concatenate([self.squares, squares])
        lengths = (u[:old] * u[:old]).sum(1)
        for row in range(old, len(u)):
            apart = lengths - 2 * (u[:old] @ u[row]) + (u[row] * u[row]).sum()
            close = np.flatnonzero(apart < squares[:old, -1] + _ROUNDING)
            exact = _squares(u[close], u[row])
            closer = exact < squares[close, -1]
            rows, exact = close[closer], exact[closer]
            joined = np.concatenate([squares[rows], exact[:, None]], 1)
            others = np.concatenate([near[rows], np.full((len(rows), 1), row)], 1)
            order = np.argsort(joined, 1, kind="stable")[:, :k]
            squares[rows], near[rows] = np.take_along_axis(joined, order, 1), np.take_along_axis(others, order, 1)
        return Graph.of(near, squares)


def furthest(squares: Floats) -> Floats:
    """Return the distance (N,) to the furthest of the neighbours, above 0."""
    return np.asarray(np.sqrt(np.maximum(squares[:, -1], _TINY)))


def edge_weights(squares: Floats, own: Floats, others: Floats) -> Floats:
    """Return the weights of edges from their squared lengths and the widths of both ends, all of shape (n, k)."""
    return np.maximum(np.exp(-WIDTH * squares / (own * others)), _FAINTEST).astype(np.float32)


def nearest_others(u: Floats, k: int = NEAREST, seed: int = 0, threads: int = 1) -> tuple[Ints, Floats]:
    """Return the k nearest other rows of each row, nearest first, and their squared distances; (N, k) each.

    Exact up to 20,000 rows. Above, cells are searched (faiss where it is installed, else k-means cells of our own)
    until at least 99.5 % of the true neighbours of 500 rows are found.

    Args:
        u: (N, D) float32.
        k: how many; fewer come back where there are fewer.
        seed: of the cells and of the 500 rows.
        threads: of faiss; NumPy's are the caller's to set.
    """
    k = min(k, len(u) - 1)
    if len(u) <= EXACT:
        return _without_own(*nearest_rows(u, u, k + 1), np.arange(len(u)))
    index = _faiss_index(u, seed, threads) or _Cells(u, seed)
    rows = np.sort(np.random.default_rng(seed).permutation(len(u))[:CHECKED])
    _, true = _without_own(*nearest_rows(u[rows], u, k + 1), rows)
    probes = PROBES
    while True:
        _, squares = _without_own(*index.search(u[rows], k + 1, probes), rows)
        recall = float((squares <= true[:, -1:] + _ROUNDING).mean())  # of equal rows any will do
        if recall >= LEAST_RECALL or probes >= index.cells:
            break
        probes *= 2
    log.info(
        "Neighbours of %d rows: %d of %d cells, recall %.4f", len(u), min(probes, index.cells), index.cells, recall
    )
    return _without_own(*index.search(u, k + 1, probes), np.arange(len(u)))


def nearest_rows(queries: Floats, u: Floats, k: int) -> tuple[Ints, Floats]:
    """Return the k rows of u (N, D) nearest to each query (n, D), nearest first, and squared distances; exact."""
    lengths = (u * u).sum(1)
    rows, squares = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    step = max(1, _BLOCK_VALUES // len(u))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        apart = part @ u.T
        apart *= -2
        apart += lengths  # the query's own length changes no order
        found = np.sort(_least(apart, min(k + _SPARE, len(u))), 1)  # of equal ones the first row comes first
        exact = _squares(u[found], part[:, None])
        order = np.argsort(exact, 1, kind="stable")[:, :k]
        rows[start : start + step] = np.take_along_axis(found, order, 1)
        squares[start : start + step] = np.take_along_axis(exact, order, 1)
    return rows, squares


def _least(values: Floats, k: int) -> Ints:
    """Return where the k least of each row are, in any order."""
    border = np.partition(values, k - 1, 1)[:, k - 1 : k]
    rows, columns = np.nonzero(values <= border)
    if len(rows) > k * len(values):  # some are equal to the border
        return np.argpartition(values, k - 1, 1)[:, :k]
    return columns.reshape(-1, k)


def _squares(x: Floats, y: Floats) -> Floats:
    """Return the squared distances of vectors in the last axis; of the same two always the same to the last bit."""
    apart = x - y
    apart *= apart
    return np.asarray(apart.sum(-1))


def _without_own(rows: Ints, squares: Floats, own: Ints) -> tuple[Ints, Floats]:
    """Leave out each query's own row (n,) of k + 1 found; of equal rows it need not be among them, then the last."""
    mine = rows == own[:, None]
    mine[~mine.any(1), -1] = True
    shape = (len(rows), rows.shape[1] - 1)
    return rows[~mine].reshape(shape), squares[~mine].reshape(shape)


class _FaissIndex:
    def __init__(self, faiss: Any, u: Floats, seed: int, threads: int) -> None:
        self.cells = math.isqrt(len(u))
        faiss.omp_set_num_threads(threads)
        self._middles = faiss.IndexFlatL2(u.shape[1])
        self._index = faiss.IndexIVFFlat(self._middles, u.shape[1], self.cells)
        self._index.cp.seed, self._index.cp.max_points_per_centroid = seed + 1, 64
        self._index.train(u)
        self._index.add(u)

    def search(self, queries: Floats, k: int, probes: int) -> tuple[Ints, Floats]:
        """Return the k nearest rows among those in the nearest `probes` cells, and squared distances."""
        self._index.nprobe = min(probes, self.cells)
        squares, rows = self._index.search(queries, k)
        return rows, np.maximum(squares, 0)


def _faiss_index(u: Floats, seed: int, threads: int) -> _FaissIndex | None:
    try:
        import faiss
    except ImportError:
        return None
    return _FaissIndex(faiss, u, seed, threads)


class _Cells:
    """k-means cells: a row's neighbours are looked for in the cells nearest to the middle of its own cell."""

    def __init__(self, u: Floats, seed: int) -> None:
        self.cells = max(2, math.isqrt(len(u)) // 2)
        self._u = u
        kmeans = MiniBatchKMeans(self.cells, batch_size=4096, n_init=1, random_state=seed).fit(u)
        self._middles = kmeans.cluster_centers_.astype(np.float32)
        cell = nearest_rows(u, self._middles, 1)[0][:, 0]
        order = np.argsort(cell, kind="stable")
        self._rows = np.split(order, np.cumsum(np.bincount(cell, minlength=self.cells))[:-1])

    def search(self, queries: Floats, k: int, probes: int) -> tuple[Ints, Floats]:
        """Return the k nearest rows among those in the nearest `probes` cells, and squared distances."""
        probes = min(probes, self.cells)
        own = nearest_rows(queries, self._middles, 1)[0][:, 0]
        around, _ = nearest_rows(self._middles, self._middles, self.cells)
        rows, squares = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        for cell in np.unique(own):
            inside = np.flatnonzero(own == cell)
            enough = int(np.searchsorted(np.cumsum([len(self._rows[other]) for other in around[cell]]), k)) + 1
            candidates = np.concatenate([self._rows[other] for other in around[cell, : max(probes, enough)]])
            near, squares[inside] = nearest_rows(queries[inside], self._u[candidates], k)
            rows[inside] = candidates[near]
        return rows, squares


def spread(graph: Graph, rows: Ints, labels: Ints, shares: Floats) -> Floats:
    """Return beliefs (N, K) from labels spread over the graph and brought to the classes' shares; rows sum to 1.

    Z ← .99 S Z + .01 Y, 100 times from Y (Zhou et al.), the rows normalised, then columns and rows in turn (Sinkhorn,
    50 times). An image that no label reaches is as likely of any class as the shares say.

    Args:
        graph: of N images.
        rows: (n,) the labeled ones. labels: (n,) 0..K-1.
        shares: (K,), sum 1.
    """
    start = np.zeros((len(graph.degrees), len(shares)), np.float32)
    start[rows, labels] = 1
    return shared(passed_on(graph, start, rows, labels, STEPS), shares)


def passed_on(graph: Graph, start: Floats, rows: Ints, labels: Ints, steps: int) -> Floats:
    """Return Z (N, K) after `steps` times Z ← .99 S Z + .01 Y from `start` (N, K), Y the labels of rows (n,)."""
    order, passing = graph.passing
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    beliefs, at = start[order], place[rows]
    for _ in range(steps):
        beliefs = passing @ beliefs
        beliefs[at, labels] += np.float32(1 - KEPT)
    return np.asarray(beliefs[place])


def shared(reached: Floats, shares: Floats, steps: int = BALANCINGS) -> Floats:
    """Return the beliefs (N, K) of what labels reach each image, Z (N, K), brought to the classes' shares (K,)."""
    sums = reached.sum(1, keepdims=True)
    return balanced(np.where(sums > _TINY, reached / np.maximum(sums, _TINY), shares), shares, steps)


def balanced(beliefs: Floats, shares: Floats, steps: int = BALANCINGS) -> Floats:
    """Return beliefs (N, K) rescaled by column and row in turn, so that column means near the shares; rows sum to 1."""
    beliefs = np.maximum(np.asarray(beliefs, np.float32), np.float32(_TINY))
    wanted = np.asarray(shares * len(beliefs), np.float32)
    of_row: Floats = np.ones(len(beliefs), np.float32)
    of_column: Floats = np.ones(len(wanted), np.float32)
    for _ in range(steps):
        of_column = wanted / (of_row @ beliefs)
        of_row = np.reciprocal(beliefs @ of_column)
    return np.asarray(of_row[:, None] * beliefs * of_column)
