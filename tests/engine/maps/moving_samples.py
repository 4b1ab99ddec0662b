"""Features that change from epoch to epoch, and their frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.maps.moving_map import MapFrame, MovingMap, replay

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Course:
    """Features of a few epochs, their group, and the frames live and smoothed."""

    features: list[Floats]
    group: NDArray[np.int64]
    live: list[MapFrame]
    smoothed: list[MapFrame]

    def maps(self, kind: str) -> list[Floats]:
        return [frame.xy for frame in (self.live if kind == "live" else self.smoothed)]


def lay_out(features: list[Floats], seed: int = 0) -> list[MapFrame]:
    moving = MovingMap(seed=seed)
    for rows in features:
        moving.add(rows)
    return moving.frames


def course(features: list[Floats], group: NDArray[np.int64]) -> Course:
    live = lay_out(features)
    return Course(features, group, live, replay(live, features.__getitem__))


def groups(count: int, each: int, far: float, seed: int = 0) -> tuple[Floats, NDArray[np.int64], NDArray[np.float64]]:
    """Round groups in 20 dimensions: features, the group of each row, centres at the distance `far` from 0."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 20))
    centres *= far / np.linalg.norm(centres, axis=1, keepdims=True)
    group = np.repeat(np.arange(count), each)
    return (centres[group] + rng.normal(size=(len(group), 20))).astype(np.float32), group, centres


def small_course() -> list[Floats]:
    """Five epochs of 80 rows in 4 groups, as half floats."""
    rows = groups(4, 20, far=6)[0]
    rng = np.random.default_rng(3)
    return [(rows + epoch * rng.normal(0, 0.3, rows.shape)).astype(np.float16) for epoch in range(5)]
