"""The fixed map: one t-SNE layout of all images, computed once; later only its colours change.

Source: van der Maaten, Hinton, "Visualizing Data using t-SNE" (2008); Linderman et al., "Fast interpolation-
based t-SNE" (2019); learning rate by Belkina et al. (2019); implementation openTSNE, Poličar et al. (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError

Report = Callable[[str, float, NDArray[np.float32]], None]
"""Called with (stage, fraction in 0..1, positions (N, 2) float32 so far)."""

FIT_ALL = 60_000
SAMPLE = 50_000
PERPLEXITY = 30.0
EARLY, LATE, EVERY, PLACING = 250, 500, 50, 100
_PLACE_AT_ONCE = 10_000
_JITTER = 1e-4


def fixed_map(features: NDArray[np.float32], *, seed: int, report: Report, threads: int = 1) -> NDArray[np.float32]:
    """Return a position for each row; alike rows lie together.

    A first picture, the two leading principal components, is reported at once; then the layout every 50
    iterations. Above 60,000 rows a sample of 50,000 is laid out and the rest is placed among it, the sample
    staying where it is. The same rows, seed and number of threads give the same bits. A row that repeats
    another gets a small displacement of its own, or t-SNE would fail on it.

    Args:
        features: (N, D) finite.
        seed: of the sample, the displacements and the neighbour search.
        report: told of each picture; what it raises ends the computation.
        threads: for openTSNE; beside a busy training worker 1 is faster than 2 on two cores.

    Returns:
        (N, 2) float32. N < 5 lie on a circle; with D < 2 the single feature is the first coordinate.

    Raises:
        MapError: not two axes, a value that is NaN or infinite, or a layout that did not stay finite.
    """
    rows = _checked(features)
    n, d = rows.shape
    if n < 5 or d < 2:
        xy = _trivial(rows)
        report("Done", 1.0, xy)
        return xy
    rng = np.random.default_rng(seed)
    rows = _spread(rows, rng)
    first = _first_picture(rows)
    report("First picture", 0.0, first.astype(np.float32))
    if n <= FIT_ALL:
        xy = _fit(rows, first, seed, threads, report)[1]
    else:
        xy = _fit_sample(rows, first, rng, seed, threads, report)
    if not np.isfinite(xy).all():
        raise MapError("The map did not stay finite", value=f"{n} rows", way_out="Use another source of features.")
    report("Done", 1.0, xy)
    return xy


def _checked(features: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = np.asarray(features)
    if rows.ndim != 2 or (len(rows) > 0 and rows.shape[1] == 0):
        raise MapError("Features must be (N, D)", value=rows.shape, way_out="Pass one row an image.")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise MapError(
            "A feature is not a finite number",
            value=f"{len(bad)} of {len(rows)} rows, the first is {bad[0]}",
            way_out="Use another source of features, or run the round again.",
        )
    return rows.astype(np.float64)


def _trivial(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    n = len(rows)
    if n >= 5:
        centred = rows[:, 0] - rows[:, 0].mean()
        deviation = centred.std()
        line = centred / deviation if deviation > 0 else centred
        return np.stack([line, np.zeros(n)], axis=1).astype(np.float32)
    if n <= 1:
        return np.zeros((n, 2), np.float32)
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def _spread(rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Centre, scale to a root mean square of 1, and move every repetition of a row by about 1e-4."""
    centred = rows - rows.mean(axis=0)
    largest = float(np.abs(centred).max())
    scaled = centred / (largest or 1.0)
    size = float(np.sqrt((scaled**2).mean()))
    scaled = scaled / (size or 1.0)
    _, first_of = np.unique(scaled, axis=0, return_index=True)
    repeated = np.ones(len(rows), dtype=bool)
    repeated[first_of] = False
    scaled[repeated] += rng.normal(0.0, _JITTER, (int(repeated.sum()), rows.shape[1]))
    return np.ascontiguousarray(scaled)


def _first_picture(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project onto the two axes of largest variance, scaled so that the first has deviation 1."""
    _, vectors = np.linalg.eigh(rows.T @ rows)
    axes = vectors[:, [-1, -2]]
    largest = axes[np.abs(axes).argmax(axis=0), [0, 1]]
    xy = rows @ (axes * np.where(largest < 0, -1.0, 1.0))
    return np.ascontiguousarray(xy / xy[:, 0].std())


def _fit(
    rows: NDArray[np.float64], first: NDArray[np.float64], seed: int, threads: int, report: Report
) -> tuple[Any, NDArray[np.float32]]:
    """Lay out all rows; return openTSNE's embedding, for placing more rows, and the positions."""
    import openTSNE  # loads OpenMP, whose wait policy the process sets before

    report("Finding neighbours", 0.05, first.astype(np.float32))
    affinities = openTSNE.affinity.PerplexityBasedNN(
        rows, min(PERPLEXITY, (len(rows) - 1) / 3), method="auto", n_jobs=threads, random_state=seed
    )
    report("Neighbours found", 0.2, first.astype(np.float32))
    done = 0

    def picture(iteration: int, error: float, embedding: NDArray[np.float64]) -> None:
        nonlocal done
        done += EVERY
        stage = "Forming groups" if done <= EARLY else "Refining"
        share = 0.2 + 0.8 * done / (EARLY + LATE)
        report(f"{stage}, step {done} of {EARLY + LATE}", min(share, 1.0), np.array(embedding, np.float32))

    tsne = openTSNE.TSNE(
        learning_rate="auto", early_exaggeration=12, early_exaggeration_iter=EARLY, n_iter=LATE,
        negative_gradient_method="auto", n_jobs=threads, random_state=seed,
        callbacks=[picture], callbacks_every_iters=EVERY,
    )  # fmt: skip
    start = first + np.random.default_rng(seed).normal(0.0, 0.01, first.shape)  # or a line would stay a line
    embedding = tsne.fit(affinities=affinities, initialization=start * 1e-4)
    embedding.gradient_descent_params["callbacks"] = None  # placing more rows must not report them as the map
    return embedding, np.array(embedding, np.float32)


def _fit_sample(
    rows: NDArray[np.float64],
    first: NDArray[np.float64],
    rng: np.random.Generator,
    seed: int,
    threads: int,
    report: Report,
) -> NDArray[np.float32]:
    """Lay out a sample, then place the rest in portions; until then each is drawn at a neighbour."""
    from sklearn.neighbors import NearestNeighbors

    chosen = np.sort(rng.permutation(len(rows))[:SAMPLE])
    rest = np.setdiff1d(np.arange(len(rows)), chosen)
    near = NearestNeighbors(n_neighbors=1).fit(first[chosen]).kneighbors(first[rest])[1][:, 0]
    xy = np.empty((len(rows), 2), np.float32)

    def whole(stage: str, share: float, part: NDArray[np.float32]) -> None:
        xy[chosen], xy[rest] = part, part[near]
        report(stage, 0.8 * share, xy.copy())

    embedding, part = _fit(rows[chosen], first[chosen], seed, threads, whole)
    whole("Placing the rest", 1.0, part)
    for start in range(0, len(rest), _PLACE_AT_ONCE):
        portion = rest[start : start + _PLACE_AT_ONCE]
        placed = embedding.transform(rows[portion], n_iter=PLACING)
        moved = np.array(embedding[0]) - part[0]  # transform recentres the sample in place
        xy[portion] = np.array(placed) - moved
        done = min(start + _PLACE_AT_ONCE, len(rest))
        report(f"Placing the rest, {done} of {len(rest)}", 0.8 + 0.2 * done / len(rest), xy.copy())
    return xy
