"""The fixed map: one t-SNE layout of all images, computed once; later only its colours change.

Source: van der Maaten, Hinton, "Visualizing Data using t-SNE" (2008); Linderman et al., "Fast interpolation-
based t-SNE" (2019); learning rate by Belkina et al. (2019); implementation openTSNE, Poličar et al. (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError

Report = Callable[[str, float, NDArray[np.float32]], None]
"""Called with (stage, fraction in 0..1, positions (N, 2) float32 so far)."""

Placed = Callable[[float, NDArray[np.float32]], None]
"""Called with (fraction in 0..1, positions (M, 2) float32 so far of the rows that are placed)."""

FIT_ALL = 60_000
SAMPLE = 50_000
PERPLEXITY = 30.0
EARLY, LATE, EVERY, PLACING = 250, 500, 50, 100
PLACING_PERPLEXITY = 5.0
_PLACE_AT_ONCE = 10_000
_FIRST_AMONG = 20_000
_BY_GRID = 10_000
_JITTER = 1e-4
_NUDGE = 1e-3


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
        xy = trivial(rows)
        report("Done", 1.0, xy)
        return xy
    rng = np.random.default_rng(seed)
    rows = spread(rows, rng)
    first = _first_picture(rows)
    report("First picture", 0.0, first.astype(np.float32))
    if n <= FIT_ALL:
        xy = _fit(rows, first, seed, threads, report)[1]
    else:
        xy = _fit_sample(rows, first, rng, seed, threads, report)
    if not np.isfinite(xy).all():
        raise MapError("The map did not stay finite", value=f"{n} rows", way_out="Use another source of features.")
    xy = _apart(xy, rng)
    report("Done", 1.0, xy)
    return xy


def _apart(xy: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return positions (N, 2) of which none is another's: one that is, is displaced by a thousandth of the radius."""
    first = np.unique(xy, axis=0, return_index=True)[1]
    again = np.setdiff1d(np.arange(len(xy)), first)
    radius = np.sqrt(((xy - xy.mean(axis=0)) ** 2).sum(axis=1).mean())
    moved = xy.copy()
    moved[again] += rng.normal(0.0, _NUDGE * radius, (len(again), 2))
    return moved


def can_place(reference_features: NDArray[np.float32]) -> bool:
    """Return whether new rows can be placed among these: at least 5 rows of 2 features that are not all equal."""
    n, d = reference_features.shape
    return n >= 5 and d >= 2 and bool((reference_features != reference_features[0]).any())


def place(
    reference_features: NDArray[np.float32],
    reference_xy: NDArray[np.float32],
    new_features: NDArray[np.float32],
    *,
    seed: int,
    threads: int = 1,
    report: Placed | None = None,
) -> NDArray[np.float32]:
    """Return positions for new rows on a map that is there already; nothing on it moves.

    Each new row starts amid its nearest reference rows and is then moved for 100 iterations by what draws it to
    them and what pushes it away from the rest; new rows do not act on each other. The same rows, seed and number of
    threads give the same bits. In the end each is displaced by about a thousandth of the map's radius, so that
    equal rows do not hide each other.

    Args:
        reference_features: (N, D) finite; see `can_place`.
        reference_xy: (N, 2) their positions.
        new_features: (M, D) finite, M >= 0.
        seed: of the neighbour search and of the displacements.
        threads: for openTSNE.
        report: told of the positions on the way: first each at a near reference row, then with those placed so far.

    Returns:
        (M, 2) float32.

    Raises:
        MapError: rows of other widths, a value that is NaN or infinite, or a reference that cannot carry a map.

    Source: openTSNE's `transform`, Poličar et al. (2024), "Embedding to reference t-SNE space".
    """
    reference, new = _checked(reference_features), _checked(new_features)
    if len(reference) != len(reference_xy) or (len(new) and new.shape[1:] != reference.shape[1:]):
        raise MapError(
            "New rows do not fit the map",
            value=f"features {reference.shape}, positions {reference_xy.shape}, new {new.shape}",
            way_out="Compute the map anew.",
        )
    if not len(new):
        return np.zeros((0, 2), np.float32)
    if not can_place(reference_features):
        raise MapError(
            "The map is too small to place images on", value=reference.shape, way_out="Compute the map anew."
        )
    centre, size = reference.mean(axis=0), float(np.abs(reference - reference.mean(axis=0)).max())
    reference, new = (reference - centre) / size, (new - centre) / size
    xy = reference_xy[_near(reference, new)].astype(np.float32)
    tell = report or (lambda share, positions: None)
    tell(0.0, xy.copy())
    done = 0
    for positions in _place_portions(reference, reference_xy, new, seed, threads):
        xy[done : done + len(positions)] = positions
        done += len(positions)
        tell(done / len(new), xy.copy())
    if not np.isfinite(xy).all():
        raise MapError("Placing images failed", value=f"{len(new)} rows", way_out="Compute the map anew.")
    return xy


def _near(reference: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.int64]:
    """Row of the nearest reference row, looked for among at most 20,000 of them, evenly spaced."""
    from sklearn.neighbors import NearestNeighbors

    among = np.arange(0, len(reference), -(-len(reference) // _FIRST_AMONG))
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(reference[among])
    return np.asarray(among[search.kneighbors(new, return_distance=False)[:, 0]])


def _place_portions(
    reference: NDArray[np.float64],
    reference_xy: NDArray[np.float32],
    new: NDArray[np.float64],
    seed: int,
    threads: int,
) -> Iterator[NDArray[np.float32]]:
    """Yield the positions of the next new rows."""
    import openTSNE  # loads OpenMP, whose wait policy the process sets before

    perplexity = min(PLACING_PERPLEXITY, (len(reference) - 1) / 3)
    affinities = openTSNE.affinity.PerplexityBasedNN(
        reference, perplexity, method="auto", n_jobs=threads, random_state=seed
    )
    fixed = reference_xy.astype(np.float64)
    nudge = _NUDGE * np.sqrt(((fixed - fixed.mean(axis=0)) ** 2).sum(axis=1).mean())
    middle = (fixed.max(axis=0) + fixed.min(axis=0)) / 2  # the library moves it to the origin, but not the new rows
    rng = np.random.default_rng(seed)
    embedding = openTSNE.TSNEEmbedding(
        fixed - middle, affinities, negative_gradient_method="bh" if len(fixed) < _BY_GRID else "fft",
        n_jobs=threads, random_state=seed,
    )  # fmt: skip
    for start in range(0, len(new), _PLACE_AT_ONCE):
        partial = embedding.prepare_partial(new[start : start + _PLACE_AT_ONCE], perplexity=perplexity)
        partial.optimize(
            n_iter=PLACING, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25,
            inplace=True, propagate_exception=True,
        )  # fmt: skip
        yield np.asarray(np.array(partial) + middle + rng.normal(0.0, nudge, partial.shape), np.float32)


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


def trivial(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return positions of rows too few or too narrow for t-SNE: a circle, or the single feature as a line."""
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


def spread(rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
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
