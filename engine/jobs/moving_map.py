"""Starts the process that lays out a round's moving map, and reads the frames it has written so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError
from engine.jobs import moving_map_work, parent
from engine.records.rounds import MapState
from engine.rounds.folder import files, results

MODULE = "engine.jobs.moving_map_work"


@dataclass(frozen=True)
class Frames:
    """A round's moving map.

    ids (T,) int64 image ids; epochs E numbers, ascending; xy (E, T, 2) float32, one scale and centre for all frames;
    repeated (E,) bool: the features of this epoch could not be laid out, `reasons` says why; recall (E,) float32: mean
    share of the 10 nearest neighbours that the frame keeps, NaN where unknown; moves (E,) float32: mean move of a point
    since the frame before, as a share of the last frame's root mean square radius, 0 for the first; smoothed: whether
    this is the smoothed course of a round that has ended.
    """

    ids: NDArray[np.int64]
    epochs: tuple[int, ...]
    xy: NDArray[np.float32]
    repeated: NDArray[np.bool_]
    reasons: tuple[str, ...]
    recall: NDArray[np.float32]
    moves: NDArray[np.float32]
    smoothed: bool


def start(round_dir: Path, *, fresh: bool = False) -> MapState:
    """Start the process unless it runs or has laid out all epochs; return where it stands.

    Args:
        round_dir: the round's folder.
        fresh: forget the frames there are.

    Raises:
        MapError: the round has recorded no features.
    """
    if not results.tracked_epochs(round_dir):
        raise MapError(
            "This round has recorded no features yet",
            value=round_dir.name,
            way_out="They come with its first epoch; or look at another round.",
        )
    folder = round_dir / files.MOVING

    def plan() -> dict[str, Any]:
        if fresh:
            (folder / moving_map_work.FRAMES).unlink(missing_ok=True)
        return {"seed": 0}

    parent.start(folder, MODULE, plan, due=lambda status: fresh or status != "ready" or not _complete(round_dir))
    return state(round_dir)


def cancel(round_dir: Path) -> bool:
    """Ask the process to end; the frames so far stay. Return whether one ran."""
    return parent.cancel(round_dir / files.MOVING)


def state(round_dir: Path) -> MapState:
    """Return where the moving map stands: "none" also when the round has epochs that it lacks and nothing runs."""
    folder = round_dir / files.MOVING
    job = parent.state(folder)
    return MapState(
        "none" if job.status == "ready" and not _complete(round_dir) else job.status,
        stage=job.stage,
        fraction=job.fraction,
        points=job.counts.get("points", 0),
        error=job.error,
        version=_version(folder),
    )


def frames(round_dir: Path) -> Frames:
    """Return the frames so far.

    Raises:
        MapError: there are none yet.
    """
    course = moving_map_work.read_course(round_dir / files.MOVING)
    if not course.frames:
        raise MapError("There is no moving map of this round yet", value=round_dir.name, way_out="Start it.")
    xy = np.stack([frame.xy for frame in course.frames])
    ids = results.tracked_ids(round_dir)
    if len(ids) != xy.shape[1]:
        raise MapError("The moving map is of other images", value=round_dir.name, way_out="Compute it anew.")
    radius = float(np.sqrt(((xy[-1] - xy[-1].mean(0)) ** 2).sum(1).mean())) or 1.0
    moves = np.zeros(len(xy), np.float32)
    moves[1:] = np.linalg.norm(xy[1:] - xy[:-1], axis=2).mean(1) / radius
    return Frames(
        ids=ids,
        epochs=tuple(course.epochs),
        xy=xy,
        repeated=np.array([frame.repeated for frame in course.frames], bool),
        reasons=tuple(frame.reason for frame in course.frames),
        recall=np.array(course.recall, np.float32),
        moves=moves,
        smoothed=course.smoothed,
    )


def is_damaged(round_dir: Path) -> bool:
    """Return whether there are frames that cannot be read."""
    folder = round_dir / files.MOVING
    return (folder / moving_map_work.FRAMES).is_file() and not moving_map_work.read_course(folder).frames


def _complete(round_dir: Path) -> bool:
    """Whether every recorded epoch has its frame, of the features as they are now."""
    course = moving_map_work.read_course(round_dir / files.MOVING)
    known = results.tracked_epochs(round_dir)
    return course.epochs == known and course.stamps == [moving_map_work.stamp(round_dir, epoch) for epoch in known]


def _version(folder: Path) -> str:
    """Changes when the frames do."""
    try:
        return str((folder / moving_map_work.FRAMES).stat().st_mtime_ns)
    except FileNotFoundError:
        return ""
