"""What the review shows: queue items, neighbours, the grid, conflicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.records.labels import LabelSource, Mark
from engine.records.quality import Scale


@dataclass(frozen=True, slots=True)
class Beside:
    """Something an image is compared with: another image with its label, or what one person said of the image."""

    image_id: int
    label: str | None
    who: str = ""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One image of a review queue, with what the page shows beside it.

    confidence: the number inside the model, kept with the answer; never written. top: the most likely classes with the
    lengths of their bars, 0..1. scale, step: how the confidence is written, see `engine.quality.scale`; None where the
    prediction is no round's. blind: it belongs to the measured set or an audit asks for it, so that nothing is shown of
    what a model or anybody says of it. asked: number and order of that audit, "3 class:cat", to be handed back with the
    answer; None where none asks. beside: what it is to be compared with.
    """

    image_id: int
    name: str
    width: int
    height: int
    version: int
    label: str | None
    source: LabelSource | None
    mark: Mark | None
    prediction: str | None
    confidence: float | None
    top: tuple[tuple[str, float], ...]
    score: float | None
    why: str
    round: int | None
    blind: bool = False
    beside: tuple[Beside, ...] = ()
    scale: Scale | None = None
    step: int | None = None
    asked: str | None = None


ConflictKind = Literal["prediction", "duplicates", "annotators"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labeled image near another one: its label in force and the Euclidean distance of their features."""

    image_id: int
    label: str
    distance: float


@dataclass(frozen=True, slots=True)
class ImageContext:
    """What the review surface shows beside one image.

    neighbours: nearest labeled images, nearest first; empty where there are no features. epochs, pseudo_labels and
    confidences: its pseudo-label after each recorded epoch of the round, equally long, empty where none is recorded.
    """

    image_id: int
    neighbours: tuple[Neighbour, ...] = ()
    epochs: tuple[int, ...] = ()
    pseudo_labels: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()


@dataclass(frozen=True)
class GridTable:
    """The images of a grid, all (N,), grouped by predicted class, in each class in order of `value`.

    predicted: index into `classes`, -1 without a prediction, where confidence and value are NaN; confidence: the number
    inside the model; scale, step: how it is written; version: of the label state looked at; label: text or None; group:
    of like images, where these are together instead, -1 for none.
    """

    round: int | None
    classes: tuple[str, ...]
    sort: str
    image_ids: NDArray[np.int64]
    predicted: NDArray[np.int16]
    confidence: NDArray[np.float32]
    scale: Scale
    step: NDArray[np.uint8]
    value: NDArray[np.float32]
    version: NDArray[np.int64]
    label: NDArray[np.object_]
    group: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Images whose labels contradict something, to be looked at side by side.

    For "prediction": one image, its label and the suggested one. For "duplicates": the images of a group. For
    "annotators": one image that two people labeled differently, `said` tells who said what, oldest first.
    """

    kind: ConflictKind
    image_ids: tuple[int, ...]
    labels: tuple[str | None, ...]
    suggested: str | None
    score: float
    said: tuple[tuple[str, str], ...] = ()
