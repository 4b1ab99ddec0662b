"""What rounds have recorded of a project's images besides their predictions, as review and queries ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import RoundError, StarlingError
from engine.ids import id_array, row_of, rows_of
from engine.jobs import features as features_job
from engine.jobs import fixed_map
from engine.project.workspace import Workspace
from engine.records.review import ImageContext, Neighbour
from engine.records.rounds import Predictions
from engine.rounds.folder import damage, files, results
from engine.store import LabelTable

ROUND, SET, PIXELS = "round", "set", "pixels"
NEIGHBOURS = 5
MOST_LABELED = 20_000
"""Labeled images, at most, among which the nearest are looked for; a fixed random choice where there are more."""

Floats = NDArray[np.float32]
Version = tuple[int, str]
"""A round and the version of its predictions."""
T = TypeVar("T")


@dataclass(frozen=True)
class Recorded:
    """Of some images, (N,) each; None where the round has not recorded it."""

    flips: NDArray[np.int64] | None = None
    disagreement: NDArray[np.float64] | None = None
    bald: NDArray[np.float64] | None = None
    teacher: NDArray[np.int64] | None = None
    sureness: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Features:
    """Features (N, D) of images, ids (N,) ascending. round: whose, None before any; source: "round", or what describes
    images without one: the live model's "set", else the "pixels" of the map. written: when, of a round's; a live round
    gets other ones."""

    round: int | None
    source: str
    ids: NDArray[np.int64]
    values: Floats
    written: int = 0


class Signals:
    """Reads and keeps what the last rounds asked for have recorded. Thread-safe.

    What can not be read counts as not recorded, and `notices` says so: a queue goes on without it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._features: _Features | None = None
        self._signals: tuple[Version, results.RoundSignals] | None = None
        self._trajectories: tuple[Version, results.Trajectories] | None = None
        self._notices: dict[tuple[int, str], str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the rounds asked for could not be read, in words for a person, the oldest round first."""
        with self._lock:
            return tuple(text for _, text in sorted(self._notices.items()))

    def source(self) -> str:
        """Return what describes the images before any round: "set" and a mark where the live model's features are."""
        mark = features_job.mark(self._workspace.root)
        return SET + mark if mark else PIXELS

    def features_of(
        self, predictions: Predictions | None, wanted: NDArray[np.int64], labeled: NDArray[np.int64]
    ) -> tuple[Floats, NDArray[np.int64], Floats] | None:
        """Return features (M, D), the row in them of each wanted image (N,), and features (L, D) of labeled ones.

        Labeled images without features are left out; None where a wanted image has none.
        """
        features = self._all_features(predictions)
        if not len(features.ids):
            return None
        rows, known = rows_of(wanted, features.ids)
        if not known.all():
            return None
        labeled_rows, labeled_known = rows_of(labeled, features.ids)
        return features.values, rows, features.values[labeled_rows[labeled_known]]

    def of(self, predictions: Predictions | None, wanted: NDArray[np.int64]) -> Recorded:
        """Return what the round has recorded of these images."""
        if predictions is None:
            return Recorded()
        signals = self._signals_of(predictions)
        if signals is None or not len(signals.image_ids):
            return Recorded()
        rows, known = rows_of(wanted, signals.image_ids)
        flips = np.where(known, signals.flips[rows], -1).astype(np.int64)
        disagreement = np.where(known, signals.disagreement[rows], np.nan).astype(np.float64)
        bald = np.where(known, signals.bald[rows], np.nan).astype(np.float64)
        teacher = np.where(known, signals.teacher[rows], -1).astype(np.int64)
        sureness = np.where(known, signals.sureness[rows], np.nan).astype(np.float64)
        return Recorded(
            flips if (flips >= 0).any() else None,
            disagreement if np.isfinite(disagreement).any() else None,
            bald if np.isfinite(bald).any() else None,
            teacher if (teacher >= 0).any() else None,
            sureness if np.isfinite(sureness).all() else None,
        )

    def context(self, ids: Sequence[int], predictions: Predictions | None) -> list[ImageContext]:
        """Return neighbours and trajectory of images; what is not known is empty."""
        near = self._nearest(ids, predictions)
        trajectories = self._trajectories_of(predictions)
        contexts = []
        for image_id in ids:
            neighbours = near.get(int(image_id), ())
            column = None if trajectories is None else row_of(int(image_id), trajectories.image_ids)
            if trajectories is None or predictions is None or column is None:
                contexts.append(ImageContext(int(image_id), neighbours))
                continue
            contexts.append(
                ImageContext(
                    image_id=int(image_id), neighbours=neighbours,
                    epochs=tuple(trajectories.epochs.tolist()),
                    pseudo_labels=tuple(predictions.classes[k] for k in trajectories.classes[:, column].tolist()),
                    confidences=tuple(round(float(p), 4) for p in trajectories.confidences[:, column].tolist()),
                )
            )  # fmt: skip
        return contexts

    def nearest_with(self, ids: Sequence[int], label: str, predictions: Predictions | None) -> dict[int, Neighbour]:
        """Return for each image that has features the nearest other one with this label, if there is one."""
        near = self._nearest(ids, predictions, label)
        return {image_id: others[0] for image_id, others in near.items() if others}

    def _nearest(
        self, ids: Sequence[int], predictions: Predictions | None, label: str | None = None
    ) -> dict[int, tuple[Neighbour, ...]]:
        """The nearest labeled images (with this label) of each image that has features, by Euclidean distance."""
        table = self._workspace.store.label_table()
        labeled = _labeled_rows(table, label)
        features = self._all_features(predictions)
        near, known = rows_of(table.image_ids[labeled], features.ids)
        labeled, near = labeled[known], near[known]
        asked_ids = id_array(ids)
        own, there = rows_of(asked_ids, features.ids)
        if not len(labeled) or not there.any():
            return {}
        others, asked = features.values[near], features.values[own[there]]
        squares = (asked**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2 * asked @ others.T
        nearest: dict[int, tuple[Neighbour, ...]] = {}
        for image_id, row in zip(asked_ids[there].tolist(), np.maximum(squares, 0.0), strict=True):
            row[table.image_ids[labeled] == image_id] = np.inf
            order = np.argsort(row, kind="stable")[:NEIGHBOURS]
            nearest[image_id] = tuple(
                Neighbour(int(table.image_ids[labeled[at]]), str(table.label[labeled[at]]), float(np.sqrt(row[at])))
                for at in order.tolist()
                if np.isfinite(row[at])
            )
        return nearest

    def _all_features(self, predictions: Predictions | None) -> _Features:
        """Features of all images a round knows; where it has none, those of the live model, else of the pixels' map."""
        number = None if predictions is None else predictions.round
        with self._lock:
            cached = self._features
        if cached is not None and cached.round == number and not self._outdated(cached):
            return cached
        written = 0 if predictions is None else self._written(predictions.round)
        recorded = None if predictions is None else self._recorded_features(predictions)
        if predictions is not None and recorded is not None:
            features = _Features(number, ROUND, predictions.image_ids, recorded, written)
        else:
            try:
                features = _Features(number, *self._described())
            except (StarlingError, *damage.DAMAGE):  # not kept: features or the map may come any time
                return _Features(number, PIXELS, np.empty(0, np.int64), np.empty((0, 0), np.float32))
        with self._lock:
            self._features = features
        return features

    def _described(self) -> tuple[str, NDArray[np.int64], Floats]:
        """What describes the images without a round: its source, ids (N,) ascending, features (N, D)."""
        root, items = self._workspace.root, self._workspace.items()
        if (source := self.source()) != PIXELS:
            described = features_job.read(root)
            by_sha = {item.sha256: item.id for item in items}
            return source, np.array([by_sha[sha] for sha in described.shas], np.int64), described.images.z
        ids, mapped = fixed_map.features(root, items, PIXELS)
        return PIXELS, ids, np.asarray(mapped, np.float32)

    def _outdated(self, features: _Features) -> bool:
        """Whether a live round has other features now; whether images came that features which are no round's are not
        of, or better features."""
        if features.source == ROUND:
            return features.round is not None and features.written != self._written(features.round)
        return len(features.ids) != len(self._workspace.items()) or features.source != self.source()

    def _written(self, number: int) -> int:
        """When a round's features were written, in nanoseconds; 0 where there are none."""
        try:
            return (self._workspace.round_folder(number) / files.FINAL_FEATURES).stat().st_mtime_ns
        except OSError:
            return 0

    def _recorded_features(self, predictions: Predictions) -> Floats | None:
        """The round's own features (N, D), in memory; None where it has none that can be used."""
        folder = self._workspace.round_folder(predictions.round)

        def read() -> Floats | None:
            recorded = results.final_features(folder)
            features = None if recorded is None else np.asarray(recorded, np.float32)
            if features is not None and not np.isfinite(features).all():
                raise damage.corrupt("Features that a round wrote are not finite", folder / files.FINAL_FEATURES)
            return features

        return self._read(predictions.round, "features", read)

    def _signals_of(self, predictions: Predictions) -> results.RoundSignals | None:
        number, version = predictions.round, (predictions.round, predictions.version)
        with self._lock:
            cached = self._signals
        if cached is not None and cached[0] == version:
            return cached[1]
        signals = self._read(number, "signals", lambda: results.signals(self._workspace.round_folder(number)))
        if signals is not None:
            with self._lock:
                self._signals = (version, signals)
        return signals

    def _trajectories_of(self, predictions: Predictions | None) -> results.Trajectories | None:
        if predictions is None:
            return None
        number, version = predictions.round, (predictions.round, predictions.version)
        with self._lock:
            cached = self._trajectories
        if cached is not None and cached[0] == version:
            return cached[1]
        folder = self._workspace.round_folder(number)

        def read() -> results.Trajectories:
            seen = results.trajectories(folder)
            known = (seen.classes < len(predictions.classes)).all(1)  # the next fit may be there, with a class more
            return results.Trajectories(
                seen.image_ids, seen.epochs[known], seen.classes[known], seen.confidences[known]
            )

        trajectories = self._read(number, "epochs", read)
        if trajectories is not None:
            with self._lock:
                self._trajectories = (version, trajectories)
        return trajectories

    def _read(self, number: int, what: str, read: Callable[[], T]) -> T | None:
        """Read a part of a round; None where it can not be read, which is noted if it is damage."""
        try:
            recorded = read()
        except StarlingError as error:
            if not isinstance(error, RoundError):  # that is not recorded, and no damage
                with self._lock:
                    self._notices[number, what] = f"Round {number}: {error}"
            return None
        with self._lock:
            self._notices.pop((number, what), None)
        return recorded


def _labeled_rows(table: LabelTable, label: str | None) -> NDArray[np.int64]:
    """Rows of the labeled images (with this label), a fixed random choice where there are very many."""
    rows = np.flatnonzero(table.labeled if label is None else table.class_index((label,)) == 0)
    if len(rows) <= MOST_LABELED:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_LABELED, replace=False))
