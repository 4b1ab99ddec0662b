"""Computes a project's fixed map: `python -m engine.rounds.map_job JOB_DIR`.

Reads job.json {project_root, source, spec {size, channels}, seed} and images.parquet (image_id, sha256).
Writes progress.json {status, stage, fraction, points, error, pid, time} and map.parquet (image_id, x, y),
both whole or not at all. map.parquet holds the first picture within seconds and is replaced as the layout gets
better; its positions are final when the status is "ready". Ends with status "failed" on an error and
"cancelled" on SIGTERM. Never touches the database.
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

from engine.errors import ConfigError, StarlingError
from engine.rounds import files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JOB = "job.json"
IMAGES = "images.parquet"
PROGRESS = "progress.json"
MAP = "map.parquet"
ARRAYS_SHARE, FEATURES_SHARE = 0.2, 0.25
_BETWEEN = 0.5  # seconds between two writes of a progress without a new picture


class Cancelled(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way takes it for a failure."""


@dataclass
class Recorder:
    """Writes what the job has reached into its folder."""

    folder: Path
    points: int = 0
    stage: str = "Starting"
    fraction: float = 0.0
    written: float = 0.0

    def progress(self, status: str, stage: str, fraction: float, error: str = "") -> None:
        """Write progress.json."""
        self.stage, self.fraction, self.written = stage, fraction, time.monotonic()
        files.write_json(
            self.folder / PROGRESS,
            {
                "status": status,
                "stage": stage,
                "fraction": round(fraction, 4),
                "points": self.points,
                "error": error,
                "pid": os.getpid(),
                "time": time.time(),
            },
        )

    def step(self, stage: str, done: int, total: int) -> None:
        """Write the progress of building arrays, at most twice a second."""
        share = ARRAYS_SHARE * done / total if total else 0.0
        if stage != self.stage or time.monotonic() - self.written > _BETWEEN:
            self.progress("running", stage, min(share, ARRAYS_SHARE))

    def picture(self, ids: NDArray[np.int64], xy: NDArray[np.float32]) -> None:
        """Replace map.parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"image_id": pa.array(ids), "x": pa.array(xy[:, 0]), "y": pa.array(xy[:, 1])})
        files.write_atomic(self.folder / MAP, lambda path: pq.write_table(table, path))


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


def _compute(folder: Path, recorder: Recorder) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    from engine.images.array_cache import ArraySpec, build_arrays
    from engine.maps.features import pixels
    from engine.maps.fixed_map import fixed_map

    job = files.read_json(folder / JOB)
    if job["source"] != "pixels":
        raise ConfigError("Unknown source of map features", value=job["source"], way_out='Use "pixels".')
    table = pq.read_table(folder / IMAGES, columns=["image_id", "sha256"])
    ids = table.column("image_id").to_numpy().astype(np.int64)
    recorder.points = len(ids)
    spec = ArraySpec(size=int(job["spec"]["size"]), channels=int(job["spec"]["channels"]))
    images = build_arrays(
        Path(job["project_root"]), [str(sha) for sha in table.column("sha256").to_pylist()], spec, recorder.step
    )
    recorder.progress("running", "Comparing images", ARRAYS_SHARE)
    features = pixels(images)

    def report(stage: str, fraction: float, xy: NDArray[Any]) -> None:
        recorder.picture(ids, xy)
        recorder.progress("running", stage, FEATURES_SHARE + (1 - FEATURES_SHARE) * fraction)

    fixed_map(features, seed=int(job["seed"]), report=report, threads=threads())


def _prepare_process() -> None:
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
    _prepare_process()
    sys.exit(run(Path(sys.argv[1])))
