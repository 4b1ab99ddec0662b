"""The frame of a job's process: it starts, does its work, and ends ready, failed or cancelled, and always says so.

A job is a module with a function `work(folder, progress)` and, at its end, `child.main(work)`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import StarlingError
from engine.files import write_json
from engine.jobs.folder import PROGRESS, held
from engine.records.progress import Progress

BETWEEN = 0.5
"""Seconds between two writes of a progress that only counts."""
EARLY, EARLY_SECONDS = 0.05, 2.0
"""Before this share of the work, and this long, nothing is said of how long it takes."""


class Cancelled(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way takes it for a failure."""


@dataclass
class JobProgress:
    """Writes how far a job is into its folder. `counts` are numbers of the job's own that are written with it."""

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    stage: str = "Starting"
    fraction: float = 0.0
    written: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    def running(self, stage: str, fraction: float) -> None:
        """Say what is being done and how much of the whole, 0..1, is done."""
        self.write("running", stage, fraction)

    def part(self, start: float, end: float) -> Progress:
        """Return what tells the progress of the part of the whole from `start` to `end`, 0..1.

        It writes at most twice a second, or when another stage begins; the share never falls.
        """

        def tell(stage: str, done: int, total: int) -> None:
            if stage != self.stage or time.monotonic() - self.written > BETWEEN:
                share = start + (end - start) * min(1.0, done / max(total, 1))
                self.running(stage, max(share, self.fraction))

        return tell

    def write(self, status: str, stage: str, fraction: float, error: str = "") -> None:
        """Write progress.json."""
        self.stage, self.fraction, self.written = stage, fraction, time.monotonic()
        written: dict[str, Any] = {"status": status, "stage": stage, "fraction": round(fraction, 4), "error": error}
        written["seconds_left"] = None if status != "running" else left(fraction, self.written - self.begun)
        write_json(self.folder / PROGRESS, {**written, **self.counts, "pid": os.getpid(), "time": time.time()})


def left(fraction: float, seconds: float) -> float | None:
    """Return the seconds to the end of work of which this share, 0..1, took so many seconds, if it goes on as fast.

    None below a twentieth of the work or two seconds, when nobody can say.
    """
    if fraction < EARLY or seconds < EARLY_SECONDS:
        return None
    return round(seconds * (1 - fraction) / fraction, 1)


Work = Callable[[Path, JobProgress], None]


def main(work: Work) -> None:
    """Do the work of the job folder that the command line names, and end the process."""
    prepare_process()
    folder = Path(sys.argv[1])
    with held(folder):  # until the one who started it has named this process as the one that runs
        pass
    sys.exit(run(folder, work))


def run(folder: Path, work: Work) -> int:
    """Do the work of a job folder; return the exit status: 0 ready, 1 failed, 143 cancelled."""
    progress = JobProgress(folder)
    try:
        progress.running("Starting", 0.0)
        work(folder, progress)
        progress.write("ready", "Ready", 1.0)
    except Cancelled:
        progress.write("cancelled", "Cancelled", progress.fraction)
        return 128 + signal.SIGTERM
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, StarlingError) else f"{type(error).__name__}: {error}"
        progress.write("failed", progress.stage, progress.fraction, text)
        return 1
    return 0


def threads() -> int:
    """Return how many threads a job may use: half the cores this process may run on, at most 8.

    On two cores that is one: beside a busy training worker a second thread makes OpenMP many times slower.
    """
    return max(1, min(8, cores() // 2))


def cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
