"""Starting the process of a map or a check in a session of its own, reading how far it is, and ending it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

PROGRESS = "progress.json"
CANCEL = "cancel"
"""Marks a job that was asked to end: its process may not have come so far that it can say so itself."""
LOCK = "lock"
NAMED_SECONDS = 5.0


@contextlib.contextmanager
def held(job: Path) -> Iterator[None]:
    """Hold the job against other starts, of this process or another, until the block ends; makes its folder."""
    job.mkdir(parents=True, exist_ok=True)
    with open(job / LOCK, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def launch(module: str, job: Path, log: str = "map.log") -> None:
    """Start `python -m module job`; until it writes its own progress, progress.json names its process. Call it while
    the job is held."""
    (job / CANCEL).unlink(missing_ok=True)
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with open(job / log, "ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(job)], cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment,
        )  # fmt: skip
    _wait_until_named(process, job)
    first = {"status": "running", "stage": "Starting", "fraction": 0.0, "points": 0, "pid": process.pid}
    temporary = job / "progress.first"
    temporary.write_text(json.dumps(first))
    if read(job).get("pid") != process.pid:  # not written by this process: what an earlier one left
        os.replace(temporary, job / PROGRESS)
    else:
        temporary.unlink()
    _children.append(process)


def read(job: Path) -> dict[str, Any]:
    """Return progress.json; empty when there is none."""
    try:
        found = json.loads((job / PROGRESS).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def state(job: Path, log: str = "map.log") -> dict[str, Any]:
    """Return progress.json, its status "failed" where the process that should be running has gone, and "cancelled"
    where that was asked for."""
    reap()
    found = read(job)
    if found.get("status") == "running" and not alive(int(found.get("pid", 0)), job):
        found = read(job)  # it may have ended between the two looks
        if found.get("status") == "running" and (job / CANCEL).exists():
            found |= {"status": "cancelled", "stage": "Cancelled"}
        elif found.get("status") == "running":
            found |= {"status": "failed", "error": f"The process ended unexpectedly; its log is {job / log}."}
    elif found.get("status") == "running" and (job / CANCEL).exists():
        found["stage"] = "Cancelling"
    return found


def alive(pid: int, job: Path) -> bool:
    """Return whether this process runs and works on this job."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(job) in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return False


def cancel(job: Path) -> bool:
    """Ask the job's process to end; return whether there was one."""
    pid = int(read(job).get("pid", 0))
    if not pid or not alive(pid, job):
        return False
    (job / CANCEL).touch()
    os.kill(pid, signal.SIGTERM)
    return True


def _wait_until_named(process: subprocess.Popen[bytes], job: Path) -> None:
    """Wait until the system shows the arguments of a new process: before that it looks like a dead one."""
    end = time.monotonic() + NAMED_SECONDS
    while process.poll() is None and not alive(process.pid, job) and time.monotonic() < end:
        time.sleep(0.005)


def reap() -> None:
    """Take the exit status of children that have ended."""
    for process in list(_children):
        if process.poll() is not None:
            _children.remove(process)


_children: list[subprocess.Popen[bytes]] = []
