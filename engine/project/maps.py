"""A project's maps: the fixed one of each feature source, the moving one of each round, and what lies on them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, MapError, RoundError
from engine.ids import rows_of
from engine.jobs import fixed_map, moving_map
from engine.jobs.moving_map import Frames
from engine.project.results import Results
from engine.project.workspace import Workspace
from engine.records.rounds import MapState, RoundRecord
from engine.rounds.folder import results

if TYPE_CHECKING:
    from engine.maps.regions import Region

PIXELS, PRETRAINED, ROUND = "pixels", "pretrained-", "round-"
PRETRAINED_NET = "efficientnet_lite0"
NEIGHBOURS = 12
MOST_EPOCHS = 40


@dataclass(frozen=True)
class FeatureSource:
    """Where a fixed map's features come from: its key, its name for people, and what to expect of it."""

    key: str
    title: str
    about: str


@dataclass(frozen=True)
class TrackedPredictions:
    """What a model says of T images at E epochs: class (E, T) in the round's order and confidence (E, T) in 0..1."""

    best: NDArray[np.int64]
    confidence: NDArray[np.float32]


class Maps:
    """The maps of one project. Thread-safe; computing happens in processes of their own."""

    def __init__(self, workspace: Workspace, results: Results) -> None:
        self._workspace, self._results = workspace, results
        self._lock = threading.Lock()
        self._regions: dict[tuple[Any, ...], list[Region]] = {}

    # fixed --------------------------------------------------------------------------------------------------------

    def sources(self) -> list[FeatureSource]:
        """Return the sources a fixed map can be made of, the one to take without further thought first.

        Photos start with a pretrained network: the pixels of photos say nearly nothing about what is on them.
        """
        pixels = FeatureSource(PIXELS, "pixels", "Good for drawn or scanned characters; of little use for photos.")
        trained = FeatureSource(
            PRETRAINED + PRETRAINED_NET, f"features of {PRETRAINED_NET}",
            "Features of a network trained on ImageNet; good for photos.",
        )  # fmt: skip
        rounds = [
            FeatureSource(
                f"{ROUND}{one.number}", f"features of round {one.number} ({one.algorithm.replace('_', ' ')})",
                "What the round's final model sees in the images; groups what it takes for alike.",
            )
            for one in reversed(self._results.complete())
            if one.report is not None and one.report.checkpoint.file  # live rounds have no model of their own
        ]  # fmt: skip
        photos = bool(self._workspace.items()) and self._workspace.array_spec().channels == 3
        return [trained, pixels, *rounds] if photos else [pixels, *rounds, trained]

    def start(self, source: str, *, fresh: bool = False) -> MapState:
        """Start computing a fixed map in a process of its own, unless it is ready or on its way.

        Args:
            source: key of one of `sources`.
            fresh: lay all images out anew, where new ones were only placed among the others.

        Raises:
            ConfigError: there is no such source.
            MapError: there are no images.
            ProjectReadOnly: the project is open read-only.
        """
        self._known(source)
        self._workspace.need_writable()
        workspace = self._workspace
        return fixed_map.start(workspace.root, workspace.items(), workspace.array_spec(), source, fresh=fresh)

    def stamp(self, source: str) -> str:
        """Return what changes with the picture that `points` gives; "" without one."""
        return fixed_map.stamp(self._workspace.root, self._workspace.items(), source)

    def drawn(self, source: str) -> bool:
        """Return whether there is any picture of this source, also an old one; quick."""
        return fixed_map.drawn(self._workspace.root, source)

    def cancel(self, source: str) -> None:
        """End the computation; the last picture stays. Raises ProjectReadOnly as `start`."""
        self._workspace.need_writable()
        fixed_map.cancel(self._workspace.root, self._workspace.items(), source)

    def state(self, source: str) -> MapState:
        """Return where the fixed map of a source stands for the images now in the project."""
        return fixed_map.state(self._workspace.root, self._workspace.items(), source)

    def points(self, source: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return image ids (N,) int64 and positions (N, 2) float32 of the best picture there is so far.

        Raises:
            MapError: there is no picture yet.
        """
        return fixed_map.points(self._workspace.root, self._workspace.items(), source)

    def neighbours(
        self, image_id: int, source: str, count: int = NEIGHBOURS
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids (k,) and feature distances (k,) of the images most like one, nearest first.

        Raises:
            MapError: the map is not computed yet, or the image came after it.
        """
        from engine.maps.neighbours import nearest

        ids, features = fixed_map.features(self._workspace.root, self._workspace.items(), source)
        rows = np.flatnonzero(ids == image_id)
        if not len(rows):
            raise MapError(
                "This image is not on the map yet", value=f"image {image_id}", way_out="Compute the map again."
            )
        near, distances = nearest(features, int(rows[0]), count)
        return ids[near], distances

    def regions(self, source: str, number: int | None) -> list[tuple[Region, NDArray[np.int64]]]:
        """Return the regions of the map that labels do not cover, each with its image ids, most typical first.

        Args:
            source: of the fixed map, which must be ready.
            number: the round whose calibrated predictions tell how sure the model is; None looks at labels alone.

        Raises:
            MapError: the map is not computed yet.
        """
        workspace = self._workspace
        table = workspace.store.label_table()
        ids, xy, features = fixed_map.laid_out(workspace.root, workspace.items(), source)
        labeled = table.labeled[table.rows(ids)]
        complete = number in {one.number for one in self._results.complete()}
        picture = fixed_map.stamp(workspace.root, workspace.items(), source)
        key = (source, number, complete, picture, int(table.version.sum()), int(labeled.sum()))
        with self._lock:
            regions = self._regions.get(key)
        if regions is None:
            predicted, confidence = self._predicted(ids, number if complete else None)
            regions = _flag(features, xy, labeled, predicted, confidence)
            with self._lock:
                self._regions = {key: regions}
        return [(region, ids[region.rows]) for region in regions]

    def _predicted(self, ids: NDArray[np.int64], number: int | None) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Final class index in the round's order (-1 none), and mean confidence over the epochs (NaN none), (N,) each.

        The mean tells more than the last epoch: pseudo-labels make a network sure also of what it took wrongly.

        Source: Swayamdipta et al., "Dataset Cartography" (2020), section 2.
        """
        best, confidence = np.full(len(ids), -1, np.int16), np.full(len(ids), np.nan, np.float32)
        predictions = None if number is None else self._results.predictions(number)
        if predictions is not None and number is not None:
            rows, known = rows_of(ids, predictions.image_ids)
            best[known] = predictions.probabilities[rows[known]].argmax(1)
            image_ids, mean = self._mean_confidence(number)
            rows, known = rows_of(ids, image_ids)
            confidence[known] = mean[rows[known]]
        return best, confidence

    def _mean_confidence(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Image ids (U,), ascending, and the mean of their confidences over at most 40 epochs, evenly chosen."""
        recorded = self._results.epochs(number)
        if not recorded:
            return np.zeros(0, np.int64), np.zeros(0)
        chosen = [recorded[at] for at in np.unique(np.linspace(0, len(recorded) - 1, MOST_EPOCHS).astype(int))]
        epochs = [self._results.epoch_predictions(number, epoch) for epoch in chosen]
        order = np.argsort(epochs[0][0], kind="stable")
        return epochs[0][0][order], np.mean([confidence for _, _, confidence in epochs], axis=0)[order]

    def _known(self, source: str) -> None:
        keys = [one.key for one in self.sources()]
        if source not in keys:
            way_out = f"Use {', '.join(keys)}."
            raise ConfigError("There is no such source of map features", value=source, way_out=way_out)

    # moving -------------------------------------------------------------------------------------------------------

    def rounds(self) -> list[RoundRecord]:
        """Return the rounds that have recorded an epoch, oldest first."""
        return [
            one for one in self._workspace.store.rounds() if results.epochs(self._workspace.round_folder(one.number))
        ]

    def can_move(self, number: int) -> bool:
        """Return whether a round has recorded features of tracked images."""
        return bool(results.tracked_epochs(self._workspace.round_folder(number)))

    def start_moving(self, number: int, *, fresh: bool = False) -> MapState:
        """Start laying out a round's epochs in a process of its own, unless that is done or on its way.

        Raises:
            MapError: the round has recorded no features.
            ProjectReadOnly: the project is open read-only.
        """
        self._workspace.need_writable()
        return moving_map.start(self._workspace.round_folder(number), fresh=fresh)

    def cancel_moving(self, number: int) -> None:
        """End it; the frames so far stay. Raises ProjectReadOnly as `start_moving`."""
        self._workspace.need_writable()
        moving_map.cancel(self._workspace.round_folder(number))

    def moving_state(self, number: int) -> MapState:
        """Return where the moving map of a round stands."""
        return moving_map.state(self._workspace.round_folder(number))

    def frames(self, number: int) -> Frames:
        """Return the frames so far.

        Raises:
            MapError: there are none yet.
        """
        return moving_map.frames(self._workspace.round_folder(number))

    def tracked(
        self, number: int, epochs: Sequence[int]
    ) -> tuple[TrackedPredictions | None, TrackedPredictions | None]:
        """Return what student and teacher say of the tracked images at some epochs; None where it is not recorded."""
        folder = self._workspace.round_folder(number)
        students, teachers = [], []
        for epoch in epochs:
            try:
                _, student, teacher = results.tracked_predictions(folder, epoch)
            except RoundError:
                return None, None
            students.append(_best(student))
            teachers.append(None if teacher is None else _best(teacher))
        whole = [one for one in teachers if one is not None]
        return _stacked(students), _stacked(whole) if len(whole) == len(teachers) else None

    def labels_by_epoch(self, number: int) -> dict[int, int]:
        """Return by epoch how many labels a live round's fit knew; empty for a trained round, whose labels stay."""
        table = self._results.curves(number)
        labels = table.get("labels")
        if labels is None:
            return {}
        return {int(epoch): int(count) for epoch, count in zip(table["epoch"], labels, strict=True)}

    def heldout_right(self, number: int) -> dict[int, tuple[int, int]]:
        """Return by epoch how many held-out labels a round had right, and of how many; empty without any."""
        table = self._results.curves(number)
        shares = table.get("heldout_accuracy", [])
        labels = table.get("heldout_labels")
        if labels is None:  # as rounds were written before they told it
            report = self._workspace.store.round(number).report if shares else None
            labels = [0 if report is None else report.heldout.n] * len(shares)
        return {
            int(epoch): (round(share * n), int(n))
            for phase, epoch, share, n in zip(table["phase"], table["epoch"], shares, labels, strict=False)
            if phase == "main" and share is not None and n
        }


def _best(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return probabilities.argmax(1), probabilities.max(1)


def _stacked(epochs: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> TrackedPredictions | None:
    if not epochs:
        return None
    return TrackedPredictions(
        np.stack([best for best, _ in epochs]), np.stack([confidence for _, confidence in epochs])
    )


def _flag(
    features: NDArray[np.float32],
    xy: NDArray[np.float32],
    labeled: NDArray[np.bool_],
    predicted: NDArray[np.int16],
    confidence: NDArray[np.float32],
) -> list[Region]:
    from engine.maps.regions import flag_regions

    return flag_regions(features, xy, labeled, predicted, confidence)
