"""What rounds have recorded of a project's images besides their predictions, as review and queries ask for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import RoundError, StarlingError
from engine.jobs import fixed_map
from engine.records.review import ImageContext, Neighbour
from engine.records.rounds import Predictions
from engine.rounds.folder import damage, files, results

if TYPE_CHECKING:
    from engine.project.opened import Project

NEIGHBOURS = 5
MOST_LABELED = 20_000
"""Labeled images, at most, among which the nearest are looked for; a fixed random choice where there are more."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recorded:
    """Of some images, (N,) each; None where the round has not recorded it."""

    flips: NDArray[np.int64] | None = None
    disagreement: NDArray[np.float64] | None = None
    bald: NDArray[np.float64] | None = None
    teacher: NDArray[np.int64] | None = None


class Signals:
    """Reads and keeps what the last rounds asked for have recorded. Thread-safe.

    What can not be read counts as not recorded, and `notices` says so: a queue goes on without it.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._features: tuple[int | None, bool, NDArray[np.int64], Floats] | None = None
        """Of which round, whether they are those of the map in its place, ids and features."""
        self._signals: tuple[int, results.RoundSignals] | None = None
        self._paths: tuple[int, results.Trajectories] | None = None
        self._notices: dict[tuple[int, str], str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the rounds asked for could not be read, in words for a person, the oldest round first."""
        with self._lock:
            return tuple(text for _, text in sorted(self._notices.items()))

    def features_of(
        self, found: Predictions | None, wanted: NDArray[np.int64], labeled: NDArray[np.int64]
    ) -> tuple[Floats | None, Floats | None, NDArray[np.int64] | None]:
        """Return features (N, D) of wanted images, features (L, D) of labeled ones, and rows (L,) into `labeled`.

        Labeled images without features are left out; all three are None where a wanted image has none.
        """
        ids, features = self._all_features(found)
        if not len(ids):
            return None, None, None
        rows, there = _rows(ids, wanted)
        if not there.all():
            return None, None, None
        near, known = _rows(ids, labeled)
        return features[rows], features[near[known]], np.flatnonzero(known)

    def of(self, found: Predictions | None, wanted: NDArray[np.int64]) -> Recorded:
        """Return what the round has recorded of these images."""
        if found is None:
            return Recorded()
        kept = self._signals_of(found.round)
        if kept is None or not len(kept.image_ids):
            return Recorded()
        rows, there = _rows(kept.image_ids, wanted)
        flips = np.where(there, kept.flips[rows], -1).astype(np.int64)
        gap = np.where(there, kept.disagreement[rows], np.nan).astype(np.float64)
        bald = np.where(there, kept.bald[rows], np.nan).astype(np.float64)
        teacher = np.where(there, kept.teacher[rows], -1).astype(np.int64)
        return Recorded(
            flips if (flips >= 0).any() else None,
            gap if np.isfinite(gap).any() else None,
            bald if np.isfinite(bald).any() else None,
            teacher if (teacher >= 0).any() else None,
        )

    def context(self, ids: Sequence[int], found: Predictions | None) -> list[ImageContext]:
        """Return neighbours and trajectory of images; what is not known is empty."""
        near, paths = self._nearest(ids, found), self._path_of(found)
        contexts = []
        for image_id in ids:
            context = ImageContext(int(image_id), near.get(int(image_id), ()))
            column = _column(paths, int(image_id))
            if paths is not None and found is not None and column is not None:
                context = ImageContext(
                    int(image_id), context.neighbours, tuple(int(epoch) for epoch in paths.epochs),
                    tuple(found.classes[k] for k in paths.classes[:, column].tolist()),
                    tuple(round(float(p), 4) for p in paths.confidences[:, column].tolist()),
                )  # fmt: skip
            contexts.append(context)
        return contexts

    def nearest_with(self, ids: Sequence[int], label: str, found: Predictions | None) -> dict[int, Neighbour]:
        """Return for each image that has features the nearest other one with this label, if there is one."""
        near = self._nearest(ids, found, label)
        return {image_id: others[0] for image_id, others in near.items() if others}

    def _nearest(
        self, ids: Sequence[int], found: Predictions | None, label: str | None = None
    ) -> dict[int, tuple[Neighbour, ...]]:
        """The nearest labeled images (with this label) of each image that has features, by Euclidean distance."""
        table = self._project.label_table()
        wanted = [one is not None and (label is None or one == label) for one in table.label]
        labeled = np.flatnonzero(np.array(wanted, bool))
        if len(labeled) > MOST_LABELED:
            labeled = np.sort(np.random.default_rng(0).choice(labeled, MOST_LABELED, replace=False))
        all_ids, features = self._all_features(found)
        near, known = _rows(all_ids, table.image_ids[labeled])
        labeled, near = labeled[known], near[known]
        own, there = _rows(all_ids, np.array(list(ids), np.int64))
        if not len(labeled) or not there.any():
            return {}
        others, asked = features[near], features[own[there]]
        squares = (asked**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2 * asked @ others.T
        result: dict[int, tuple[Neighbour, ...]] = {}
        for image_id, row in zip(np.array(list(ids))[there].tolist(), np.maximum(squares, 0.0), strict=True):
            row[table.image_ids[labeled] == image_id] = np.inf
            order = np.argsort(row, kind="stable")[:NEIGHBOURS]
            result[int(image_id)] = tuple(
                Neighbour(int(table.image_ids[labeled[at]]), str(table.label[labeled[at]]), float(np.sqrt(row[at])))
                for at in order.tolist()
                if np.isfinite(row[at])
            )
        return result

    def _all_features(self, found: Predictions | None) -> tuple[NDArray[np.int64], Floats]:
        """Ids ascending and features of all images a round knows; of the map of pixels where the round has none."""
        number = None if found is None else found.round
        with self._lock:
            kept = self._features
        if kept is not None and kept[0] == number and (not kept[1] or len(kept[2]) == self._images()):
            return kept[2], kept[3]
        recorded = None if found is None else self._recorded(found)
        if found is not None and recorded is not None:
            ids, features = found.image_ids, recorded
        else:
            try:
                ids, mapped = fixed_map.features(self._project.root, self._project.images(), "pixels")
                features = np.asarray(mapped, np.float32)
            except (StarlingError, *damage.DAMAGE):
                return np.empty(0, np.int64), np.empty((0, 0), np.float32)  # not kept: the map may come any time
        with self._lock:
            self._features = (number, recorded is None, ids, features)
        return ids, features

    def _recorded(self, found: Predictions) -> Floats | None:
        """The round's own features (N, D), in memory; None where it has none that can be used."""
        folder = self._project.round_dir(found.round)
        try:
            kept = results.final_features(folder)
            features = None if kept is None else np.asarray(kept, np.float32)
            if features is not None and not np.isfinite(features).all():
                raise damage.corrupt("Features that a round wrote are not finite", folder / files.FINAL_FEATURES)
        except StarlingError as error:
            self._tell(found.round, "features", error)
            return None
        self._tell(found.round, "features", None)
        return features

    def _tell(self, number: int, what: str, error: StarlingError | None) -> None:
        """Note that a part of a round can not be read, or that it can be."""
        with self._lock:
            if error is None:
                self._notices.pop((number, what), None)
            elif not isinstance(error, RoundError):  # that is not recorded, and no damage
                self._notices[number, what] = f"Round {number}: {error}"

    def _images(self) -> int:
        return len(self._project.images())

    def _signals_of(self, number: int) -> results.RoundSignals | None:
        with self._lock:
            kept = self._signals
        if kept is not None and kept[0] == number:
            return kept[1]
        try:
            found = results.signals(self._project.round_dir(number))
        except StarlingError as error:
            self._tell(number, "signals", error)
            return None
        self._tell(number, "signals", None)
        with self._lock:
            self._signals = (number, found)
        return found

    def _path_of(self, found: Predictions | None) -> results.Trajectories | None:
        if found is None:
            return None
        with self._lock:
            kept = self._paths
        if kept is not None and kept[0] == found.round:
            return kept[1]
        try:
            paths = results.trajectories(self._project.round_dir(found.round))
        except StarlingError as error:
            self._tell(found.round, "epochs", error)
            return None
        self._tell(found.round, "epochs", None)
        with self._lock:
            self._paths = (found.round, paths)
        return paths


def _column(paths: results.Trajectories | None, image_id: int) -> int | None:
    if paths is None or not len(paths.image_ids):
        return None
    at = int(np.searchsorted(paths.image_ids, image_id))
    return at if at < len(paths.image_ids) and paths.image_ids[at] == image_id else None


def _rows(have: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each wanted id's row among ascending ids, and whether it is there at all."""
    if not len(have):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    rows = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
    return rows, have[rows] == wanted
