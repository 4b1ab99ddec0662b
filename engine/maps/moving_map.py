"""The moving map: t-SNE frames of features that change from epoch to epoch, in which points glide and do not jump.

Live, each frame starts from the one before and is drawn back to it a little; afterwards the whole course is smoothed.

Source: van der Maaten, Hinton, "Visualizing Data using t-SNE" (2008); Rauber, Falcão, Telea, "Visualizing
time-dependent data using dynamic t-SNE" (2016), equation 4: the penalty λ/(2N) Σ |y_i(t) − y_i(t+1)|². Deviations: the
penalty ties to the frame before while a round runs, and to both neighbours in the smoothing, whose last frame stays.
The gradient is openTSNE's Barnes-Hut one, Poličar et al. (2024).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError
from engine.maps.fixed_map import PERPLEXITY, fixed_map, spread, trivial

ITERATIONS = 100
PULL, PULL_MANY = 0.003, 0.001
"""λ of a live frame, up to MANY points and above. Ten times more and points that change their group never arrive."""
SWEEPS, SWEEP_ITERATIONS = 12, 10
SWEEP_PULL, SWEEP_PULL_MANY = 0.01, 0.002
MANY = 1000
NEAR = 90
EXACT_NEIGHBOURS = 3000
KEPT_VALUES = 60_000_000
"""Affinities of all frames are kept in memory up to so many values (720 MB); beyond, they are made again each sweep."""
_DESCENT: dict[str, Any] = {"exaggeration": 1, "momentum": 0.8, "learning_rate": "auto", "max_step_norm": 5}


@dataclass(frozen=True)
class MapFrame:
    """Positions (T, 2) float32 at one epoch. `repeated`: the epoch's features could not be laid out, so the positions
    are those of the frame before, or a circle where there is none; `reason` says why in plain words."""

    xy: NDArray[np.float32]
    repeated: bool = False
    reason: str = ""


class MovingMap:
    """Lays epochs out one after another; `frames` are those so far.

    The same features, seed and number of threads give the same bits, also when it goes on from frames that were stored
    (`resume`).

    Args:
        seed: of the neighbour search and of displacements.
        threads: for openTSNE; beside a busy training worker 1 is fastest on two cores.
    """

    def __init__(self, *, seed: int = 0, threads: int = 1) -> None:
        self.frames: list[MapFrame] = []
        self._seed, self._threads = seed, threads

    @classmethod
    def resume(cls, frames: Sequence[MapFrame], *, seed: int = 0, threads: int = 1) -> MovingMap:
        """Return a moving map that goes on after these live frames."""
        resumed = cls(seed=seed, threads=threads)
        resumed.frames = list(frames)
        return resumed

    def add(self, features: NDArray[Any]) -> MapFrame:
        """Lay out one more epoch.

        Args:
            features: (T, D) of the same images as before, in the same order. Values that are not finite, or rows that
                are all equal, repeat the frame before.

        Raises:
            MapError: not (T, D), or another number of images than before.
        """
        if features.ndim != 2 or (self.frames and len(features) != len(self.frames[0].xy)):
            before = len(self.frames[0].xy) if self.frames else "any"
            raise MapError(
                "The moving map needs the same images at every epoch",
                value=f"{features.shape}, {before} before",
                way_out="Lay the round out anew.",
            )
        reason = unusable(features)
        last = self.frames[-1].xy if self.frames else None
        if reason:
            xy = _circle(len(features)) if last is None else last  # the very array: a repeat adds no memory
        else:
            good = next((frame.xy for frame in reversed(self.frames) if not frame.repeated), None)
            xy = self._first(features) if good is None else self._next(features, good)
        self.frames.append(MapFrame(xy, bool(reason), reason))
        return self.frames[-1]

    def _first(self, features: NDArray[Any]) -> NDArray[np.float32]:
        rows = features.astype(np.float32)
        xy = fixed_map(rows, seed=self._seed, report=lambda *_: None, threads=self._threads)
        return np.asarray(xy - xy.mean(axis=0), np.float32)

    def _next(self, features: NDArray[Any], before: NDArray[np.float32]) -> NDArray[np.float32]:
        if not _can_move(features):
            return aligned(trivial(features.astype(np.float64)), before)
        pull = PULL if len(features) <= MANY else PULL_MANY
        affinities = _affinities(features, self._seed, self._threads)
        held = pull * _in_place(affinities, before)
        xy = _descend(before, affinities, before, held, ITERATIONS, self._threads)
        if not np.isfinite(xy).all():
            raise MapError("A frame did not stay finite", value=f"{len(features)} images", way_out="Lay it out anew.")
        return aligned(xy, before)


def replay(
    frames: Sequence[MapFrame],
    features: Callable[[int], NDArray[Any]],
    *,
    seed: int = 0,
    threads: int = 1,
    report: Callable[[float], None] = lambda share: None,
) -> list[MapFrame]:
    """Return the frames of a finished course, smoothed over its whole length; the last stays as it is.

    Twelve sweeps, forth and back; in each every frame goes ten steps down its own t-SNE gradient while it is drawn to
    the mean of its two neighbours. Frames that repeat the one before go on doing so and count for nothing; those
    before the first that was laid out show that one. The last that was laid out stays as well.

    Args:
        frames: from MovingMap, oldest first.
        features: given a place in `frames`, its features (T, D) as they were laid out.
        seed: as for MovingMap.
        threads: for openTSNE.
        report: told how much is done, 0..1.

    Raises:
        MapError: the features are not those the frames were made of, or a frame did not stay finite.
    """
    good = [at for at, frame in enumerate(frames) if not frame.repeated]
    if len(good) < 2 or not _can_move(features(good[-1])):
        return list(frames)
    course = [frames[at].xy.astype(np.float64) for at in good]
    keep = 180 * len(course[0]) * len(course) <= KEPT_VALUES  # indices and values of 3 × perplexity neighbours, twice
    known: dict[int, Any] = {}

    def affinities(at: int) -> Any:
        of_frame = known[at] if at in known else _stored(features(good[at]), len(course[at]), seed, threads)
        if keep:
            known[at] = of_frame
        return of_frame

    _smooth(course, affinities, threads, report)
    smoothed = [*(np.asarray(xy, np.float32) for xy in course[:-1]), frames[good[-1]].xy]
    if not all(np.isfinite(xy).all() for xy in smoothed):
        raise MapError("The smoothed course did not stay finite", way_out="Lay the round out anew.")
    shown = [max(0, bisect.bisect_right(good, at) - 1) for at in range(len(frames))]
    pairs = zip(frames, shown, strict=True)
    return [MapFrame(smoothed[place], frame.repeated, frame.reason) for frame, place in pairs]


def _smooth(
    course: list[NDArray[np.float64]], affinities: Callable[[int], Any], threads: int, report: Callable[[float], None]
) -> None:
    """Sweep over all frames but the last, forth and back, and change them in place."""
    pull = SWEEP_PULL if len(course[0]) <= MANY else SWEEP_PULL_MANY
    for sweep in range(SWEEPS):
        places = range(len(course) - 1)  # without the last one
        for done, at in enumerate(reversed(places) if sweep % 2 == 0 else places):
            around = course[max(0, at - 1) : at] + course[at + 1 : at + 2]
            anchor = np.mean(around, axis=0)
            course[at] = _descend(course[at], affinities(at), anchor, pull * len(around), SWEEP_ITERATIONS, threads)
            report((sweep + (done + 1) / len(places)) / SWEEPS)


def displacement(frames: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Return each point's move from frame to frame, (E − 1, T), as a share of the last frame's root mean square radius.

    Args:
        frames: E of (T, 2), E >= 1.
    """
    last = np.asarray(frames[-1], np.float64)
    radius = float(np.sqrt(((last - last.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0
    steps = [np.linalg.norm(np.asarray(b, np.float64) - a, axis=1) for a, b in itertools.pairwise(frames)]
    return np.stack(steps) / radius if steps else np.zeros((0, len(last)))


def aligned(xy: NDArray[np.floating], onto: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return positions turned, mirrored if need be, and moved to lie as near to others as they can, without scaling.

    Source: Schönemann, "A generalized solution of the orthogonal Procrustes problem" (1966).
    """
    centred = xy.astype(np.float64) - xy.mean(axis=0, dtype=np.float64)
    middle = onto.mean(axis=0, dtype=np.float64)
    left, _, right = np.linalg.svd(centred.T @ (onto - middle))
    return np.asarray(centred @ (left @ right) + middle, np.float32)


def unusable(features: NDArray[Any]) -> str:
    """Return why features cannot be laid out, in plain words; "" when they can."""
    if features.shape[1] == 0 or len(features) == 0:
        return "there are no features"
    bad = int((~np.isfinite(features)).any(axis=1).sum())
    if bad:
        return f"features of {bad:,} {'image' if bad == 1 else 'images'} are not finite numbers"
    if len(features) > 1 and (features == features[0]).all():
        return "all images have the same features"
    return ""


def _can_move(features: NDArray[Any]) -> bool:
    return len(features) >= 5 and features.shape[1] >= 2


def _affinities(features: NDArray[Any], seed: int, threads: int) -> Any:
    from openTSNE.affinity import PerplexityBasedNN  # loads OpenMP, whose wait policy the process sets before

    rows = spread(features.astype(np.float64), np.random.default_rng(seed))
    n = len(rows)
    method = "exact" if n <= EXACT_NEIGHBOURS else "auto"
    return PerplexityBasedNN(rows, min(PERPLEXITY, (n - 1) / 3), method=method, n_jobs=threads, random_state=seed)


def _in_place(affinities: Any, before: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much of each point's affinity lies with its nearest on the frame before, (T,) in 0..1.

    A point whose neighbours have gone elsewhere has little there: the pull lets it go where it would hold the others.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(before)
    k = min(NEAR, n - 1)
    near = NearestNeighbors(algorithm="kd_tree").fit(before.astype(np.float64)).kneighbors_graph(n_neighbors=k)
    mass = affinities.P
    share = np.asarray(mass.multiply(near).sum(axis=1)) / np.maximum(np.asarray(mass.sum(axis=1)), 1e-300)
    return np.asarray(share, np.float64).ravel()


def _stored(features: NDArray[Any], n: int, seed: int, threads: int) -> Any:
    """Return the affinities of a frame that was laid out before, without what only the neighbour search needs."""
    from openTSNE.affinity import PrecomputedAffinities

    reason = unusable(features) or ("" if len(features) == n else f"{len(features):,} images instead of {n:,}")
    if reason:
        raise MapError("The features changed since the frame was laid out", value=reason, way_out="Lay it out anew.")
    return PrecomputedAffinities(_affinities(features, seed, threads).P, normalize=False)


def _descend(
    start: NDArray[np.floating],
    affinities: Any,
    anchor: NDArray[np.floating],
    pull: float | NDArray[np.float64],
    steps: int,
    threads: int,
) -> NDArray[np.float64]:
    """Go down the t-SNE gradient with a pull to the anchor; `pull` is its λ, one or one a point."""
    from openTSNE import TSNEEmbedding
    from openTSNE.tsne import kl_divergence_bh

    towards = np.asarray(anchor, np.float64)

    def anchored(embedding: Any, *args: Any, **options: Any) -> tuple[float, NDArray[np.float64]]:
        error, gradient = kl_divergence_bh(embedding, *args, **options)
        gradient += np.reshape(pull, (-1, 1)) / len(towards) * (np.asarray(embedding) - towards)
        return error, gradient

    embedding = TSNEEmbedding(
        np.array(start, np.float64), affinities, negative_gradient_method=anchored, n_jobs=threads, random_state=0
    )
    return np.array(embedding.optimize(n_iter=steps, **_DESCENT))


def _circle(n: int) -> NDArray[np.float32]:
    angle = 2 * np.pi * np.arange(n) / max(n, 1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
