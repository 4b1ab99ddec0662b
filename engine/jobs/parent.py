"""A job as its starter sees it: starting its process in a session of its own, how far it is, and ending it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine import processes
from engine.files import replacing, write_json
from engine.jobs.folder import CANCEL, JOB, LOG, PROGRESS, held, read_progress

NAMED_SECONDS = 5.0
_FRAME = {"status", "stage", "fraction", "seconds_left", "error", "pid", "time"}

JobStatus = Literal["none", "running", "ready", "failed", "cancelled"]


@dataclass(frozen=True)
class JobState:
    """Where a job stands: what the person reads, the share done 0..1, the seconds to its end, None while nobody can
    say, and the job's own counts."""

    status: JobStatus = "none"
    stage: str = ""
    fraction: float = 0.0
    error: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds_left: float | None = None


def start(
    folder: Path,
    module: str,
    plan: Callable[[], Mapping[str, Any]],
    *,
    due: Callable[[JobStatus], bool] = lambda status: status != "ready",
) -> None:
    """Start `python -m module folder` unless it runs or is not due; makes the folder.

    Args:
        folder: the job's folder.
        module: the job's module, which ends with `child.main`.
        plan: writes the job's inputs into the folder and returns job.json.
        due: told where the job stands when it does not run; whether it is to be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        status = state(folder).status
        if status != "running" and due(status):
            write_json(folder / JOB, plan())
            launch(folder, module)


def launch(folder: Path, module: str) -> None:
    """Start the process of a job that is held; until it writes its own progress, progress.json names it."""
    (folder / CANCEL).unlink(missing_ok=True)
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with open(folder / LOG, "ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder)], cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment,
        )  # fmt: skip
    _children.append(process)
    _wait_until_named(process, folder)
    with replacing(folder / PROGRESS, durable=False) as aside:
        aside.write_text(f'{{"status": "running", "stage": "Starting", "fraction": 0.0, "pid": {process.pid}}}')


def state(folder: Path) -> JobState:
    """Return where a job stands: failed where the process that should be running has gone, cancelled where that was
    asked for."""
    reap()
    written = read_progress(folder)
    if written.get("status") == "running" and not _works(written, folder):
        written = read_progress(folder)  # it may have ended between the two looks
        if written.get("status") == "running" and (folder / CANCEL).exists():
            written |= {"status": "cancelled", "stage": "Cancelled"}
        elif written.get("status") == "running":
            written |= {"status": "failed", "error": f"The process ended unexpectedly; its log is {folder / LOG}."}
    elif written.get("status") == "running" and (folder / CANCEL).exists():
        written["stage"] = "Cancelling"
    return JobState(
        status=written.get("status", "none"),
        stage=written.get("stage", ""),
        fraction=float(written.get("fraction", 0.0)),
        error=written.get("error", ""),
        counts={name: number for name, number in written.items() if name not in _FRAME},
        seconds_left=written.get("seconds_left"),
    )


def cancel(folder: Path) -> bool:
    """Ask the job's process to end; return whether there was one."""
    written = read_progress(folder)
    if written.get("status") != "running" or not _works(written, folder):
        return False
    (folder / CANCEL).touch()
    os.kill(written["pid"], signal.SIGTERM)
    return True


def reap() -> None:
    """Take the exit status of children that have ended."""
    for process in list(_children):
        if process.poll() is not None:
            _children.remove(process)


def _works(written: Mapping[str, Any], folder: Path) -> bool:
    return processes.alive(int(written.get("pid", 0)), folder)


def _wait_until_named(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the system shows the arguments of a new process: before that it looks like a dead one."""
    end = time.monotonic() + NAMED_SECONDS
    while process.poll() is None and not processes.alive(process.pid, folder) and time.monotonic() < end:
        time.sleep(0.005)


_children: list[subprocess.Popen[bytes]] = []
