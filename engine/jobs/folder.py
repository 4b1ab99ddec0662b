"""What a job's folder holds, whatever the job is.

job.json        what is to be done, written before the process starts; names in it are relative to the folder
progress.json   status (running, ready, failed or cancelled), stage, fraction, error, pid, time and the job's own counts
job.log         what the process prints
cancel          there once the job was asked to end: its process may not have come so far that it can say so itself
lock            held while a job is started

All else are the job's own inputs and results. The folder's place in the project tells where the project is.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.files import read_json

JOB = "job.json"
PROGRESS = "progress.json"
LOG = "job.log"
CANCEL = "cancel"
LOCK = "lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the job against other starts, of this process or another, until the block ends."""
    with open(folder / LOCK, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read_progress(folder: Path) -> dict[str, Any]:
    """Return progress.json; empty when there is none that can be read."""
    try:
        progress = read_json(folder / PROGRESS)
    except (FileNotFoundError, ValueError):
        return {}
    return progress if isinstance(progress, dict) else {}
