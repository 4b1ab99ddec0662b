"""Computes a project's fixed map: `python -m engine.jobs.fixed_map_work JOB_DIR`.

Reads job.json {project_root, source, round_dir, spec {size, channels}, previous, seed} and images.parquet (image_id,
sha256). Writes progress.json {status, stage, fraction, points, placed, error, pid, time}, features.npy and basis.npz
(see `map_sources.Components`) and map.parquet (image_id, x, y, placed), each whole or not at all. map.parquet holds the
first picture within seconds and is replaced as the layout gets better; its positions are final when the status is
"ready". With `previous`, the folder of a finished map of some of the images, those stay exactly where they are and only
the others are placed. Ends with status "failed" on an error and "cancelled" on SIGTERM. Never touches the database.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from engine.errors import StarlingError
from engine.files import read_json, write_atomic, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.jobs.fixed_map_sources import Components

JOB = "job.json"
IMAGES = "images.parquet"
PROGRESS = "progress.json"
MAP = "map.parquet"
SOURCE_SHARE, FEATURES_SHARE = 0.2, 0.25
_BETWEEN = 0.5  # seconds between two writes of a progress without a new picture


class Cancelled(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way takes it for a failure."""


@dataclass
class Recorder:
    """Writes what the job has reached into its folder."""

    folder: Path
    points: int = 0
    placed: int = 0
    stage: str = "Starting"
    fraction: float = 0.0
    written: float = 0.0
    held: bool = False

    def progress(self, status: str, stage: str, fraction: float, error: str = "") -> None:
        """Write progress.json."""
        self.stage, self.fraction, self.written = stage, fraction, time.monotonic()
        write_json(
            self.folder / PROGRESS,
            {
                "status": status,
                "stage": stage,
                "fraction": round(fraction, 4),
                "points": self.points,
                "placed": self.placed,
                "error": error,
                "pid": os.getpid(),
                "time": time.time(),
            },
        )

    def step(self, stage: str, done: int, total: int) -> None:
        """Write the progress of reading images and their features, at most twice a second; it never falls."""
        share = SOURCE_SHARE * min(1.0, done / total) if total else 0.0
        if stage != self.stage or time.monotonic() - self.written > _BETWEEN:
            self.progress("running", stage, max(share, self.fraction))

    def picture(self, ids: NDArray[np.int64], xy: NDArray[np.float32], placed: NDArray[np.bool_]) -> None:
        """Replace map.parquet; `placed` (N,) marks the images that came after the layout. Where all images are laid
        out anew, the map there was stays until the new one is `done`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"image_id": ids, "x": xy[:, 0], "y": xy[:, 1], "placed": placed}
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        if self.held:
            return
        self.placed = int(placed.sum())
        write_atomic(self.folder / MAP, lambda path: pq.write_table(table, path))


def run(folder: Path) -> int:
    """Compute the map of a job folder; return the exit status: 0 ready, 1 failed, 143 cancelled."""
    recorder = Recorder(folder)
    try:
        recorder.progress("running", "Starting", 0.0)
        _compute(folder, recorder)
        recorder.progress("ready", "Ready", 1.0)
    except Cancelled:
        recorder.progress("cancelled", "Cancelled", recorder.fraction)
        return 128 + signal.SIGTERM
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, StarlingError) else f"{type(error).__name__}: {error}"
        recorder.progress("failed", recorder.stage, recorder.fraction, text)
        return 1
    return 0


def threads() -> int:
    """Return how many threads the map may use: half the cores this process may run on, at most 8.

    On two cores that is one: beside a busy training worker a second thread makes OpenMP many times slower.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // 2))


@dataclass(frozen=True)
class Task:
    """What is to be mapped: job.json, the images, and what tells these features from others."""

    job: dict[str, Any]
    ids: NDArray[np.int64]
    shas: list[str]
    stamp: str


@dataclass(frozen=True)
class Before:
    """A finished map of some of the images: its name, its features and basis, and of its images the `rows` among all
    (N,), the positions (N, 2) and whether each was placed later (N,)."""

    name: str
    parts: Components
    rows: NDArray[np.int64]
    xy: NDArray[np.float32]
    placed: NDArray[np.bool_]


def _compute(folder: Path, recorder: Recorder) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    from engine.jobs import fixed_map_sources

    job = read_json(folder / JOB)
    table = pq.read_table(folder / IMAGES, columns=["image_id", "sha256"])
    ids = table.column("image_id").to_numpy().astype(np.int64)
    recorder.points = len(ids)
    if str(job["source"]).startswith("pretrained-"):
        recorder.progress("running", "Reading the network's weights", 0.0)
    task = Task(job, ids, [str(sha) for sha in table.column("sha256").to_pylist()], fixed_map_sources.stamp(job))
    recorder.held = bool(job.get("fresh")) and (folder / MAP).exists()
    before = _before(task)
    if before is None:
        _lay_out(folder, recorder, task)
    else:
        _place(folder, recorder, task, before)


def _lay_out(folder: Path, recorder: Recorder, task: Task) -> None:
    """Lay all images out anew."""
    import numpy as np

    from engine.jobs import fixed_map_sources
    from engine.maps.features import fit_basis
    from engine.maps.fixed_map import fixed_map

    parts = _kept(folder, task, "")
    if parts is None:
        rows = fixed_map_sources.features(task.job, task.shas, recorder.step)
        recorder.progress("running", "Comparing images", SOURCE_SHARE)
        basis = fit_basis(rows)
        parts = fixed_map_sources.Components(basis.apply(rows), basis, task.stamp)
        parts.write(folder)
    placed = np.zeros(len(task.ids), bool)

    def report(stage: str, fraction: float, xy: NDArray[Any]) -> None:
        recorder.held &= fraction < 1
        recorder.picture(task.ids, xy, placed)
        recorder.progress("running", stage, FEATURES_SHARE + (1 - FEATURES_SHARE) * fraction)

    fixed_map(parts.features, seed=int(task.job["seed"]), report=report, threads=threads())


def _place(folder: Path, recorder: Recorder, task: Task, before: Before) -> None:
    """Keep every image of the map before where it is and place the others among them."""
    import numpy as np

    from engine.jobs import fixed_map_sources
    from engine.maps.fixed_map import place

    placed = np.ones(len(task.ids), bool)
    placed[before.rows] = False
    new = np.flatnonzero(placed)
    parts = _kept(folder, task, before.name)
    if parts is None:
        rows = fixed_map_sources.features(task.job, [task.shas[row] for row in new], recorder.step)
        recorder.progress("running", "Comparing images", SOURCE_SHARE)
        found = np.empty((len(task.ids), before.parts.features.shape[1]), np.float32)
        found[before.rows], found[new] = before.parts.features, before.parts.basis.apply(rows)
        parts = fixed_map_sources.Components(found, before.parts.basis, task.stamp, before.name)
        parts.write(folder)
    placed[before.rows] = before.placed
    xy = np.empty((len(task.ids), 2), np.float32)
    xy[before.rows] = before.xy

    def report(fraction: float, positions: NDArray[Any]) -> None:
        xy[new] = positions
        recorder.picture(task.ids, xy, placed)
        stage = f"Placing {len(new):,} new images among {len(before.rows):,}"
        recorder.progress("running", stage, FEATURES_SHARE + (1 - FEATURES_SHARE) * fraction)

    reference = np.asarray(before.parts.features)
    place(reference, before.xy, parts.features[new], seed=int(task.job["seed"]), threads=threads(), report=report)


def _kept(folder: Path, task: Task, previous: str) -> Components | None:
    """Return the features that an attempt that was cut off has left, if they are those that are needed."""
    from engine.jobs import fixed_map_sources

    found = fixed_map_sources.read_components(folder)
    if found is None or (found.stamp, found.previous) != (task.stamp, previous):
        return None
    return found if len(found.features) == len(task.ids) else None


def _before(task: Task) -> Before | None:
    """Return the map to place new images on; None where there is none to be trusted with it: lay all out anew."""
    import numpy as np
    import pyarrow.parquet as pq

    from engine.jobs import fixed_map_sources
    from engine.maps.fixed_map import can_place

    if not task.job.get("previous"):
        return None
    folder = Path(task.job["previous"])
    parts = fixed_map_sources.read_components(folder)
    try:
        table = pq.read_table(folder / MAP, columns=["image_id", "x", "y", "placed"])
    except (OSError, ValueError, KeyError):  # pyarrow's own errors are of these kinds
        return None
    ids = table.column("image_id").to_numpy()
    place_of = {image: row for row, image in enumerate(task.ids.tolist())}
    fits = parts is not None and parts.stamp == task.stamp and len(parts.features) == len(ids)
    if parts is None or not fits or not can_place(parts.features) or not set(ids.tolist()) < set(place_of):
        return None
    xy = np.stack([table.column(name).to_numpy() for name in ("x", "y")], axis=1)
    rows = np.array([place_of[image] for image in ids.tolist()], np.int64)
    return Before(folder.name, parts, rows, xy, table.column("placed").to_numpy())


def prepare_process() -> None:
    """Be polite to a training worker, before any numeric library is loaded: they read these once."""
    os.nice(10)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads()))
    signal.signal(signal.SIGTERM, _cancel)


def _cancel(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one must not cut off the last progress
    raise Cancelled


if __name__ == "__main__":
    prepare_process()
    sys.exit(run(Path(sys.argv[1])))
