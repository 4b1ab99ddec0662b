"""Starting a worker process in a session of its own, telling whether it lives, and ending all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine import processes
from engine.rounds.folder import files
from engine.rounds.folder.lock import LOCK_VARIABLE, lock_folder

COMMAND = (sys.executable, "-m", "engine.rounds.worker")

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**31 - 1), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
"""glibc keeps freed activations instead of giving them back each step: fewer page faults, at the price of memory."""


@dataclass
class Worker:
    """One worker process: its id, when it was created (Unix seconds), and its handle if it is our own
    child."""

    pid: int
    created: float
    child: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        if self.child is None:
            self.child = next((child for child in _children if child.pid == self.pid), None)

    def alive(self, folder: Path) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        if self.child is not None:
            return not _exited(self.child.pid)
        return processes.alive(self.pid, folder, self.created)

    def exit_code(self) -> int | None:
        """Return the exit status of a child that has ended (negative: the signal); None for others."""
        return None if self.child is None else self.child.poll()


def start(folder: Path) -> Worker:
    """Start the worker of a round's folder; it outlives this process.

    The lock is taken here and inherited by the child, so that there is no moment in which a second start
    could slip in between the launch and the child's first instruction.

    Raises:
        WorkerBusy: a worker of this folder is alive.
        OSError: the process could not be started.
    """
    lock = lock_folder(folder)
    try:
        environment = {
            **os.environ,
            LOCK_VARIABLE: str(lock),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            **KEEP_MEMORY,
        }
        with open(folder / files.LOG, "ab") as log:
            child = subprocess.Popen(
                [*COMMAND, str(folder)],
                cwd=Path(__file__).resolve().parents[3],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
                env=environment,
            )
    finally:
        os.close(lock)
    _children[:] = [*(other for other in _children if other.poll() is None), child]
    return Worker(child.pid, psutil.Process(child.pid).create_time(), child)


def terminate(worker: Worker, folder: Path) -> None:
    """Ask the worker to stop (SIGTERM)."""
    if worker.alive(folder):
        _signal(lambda: os.kill(worker.pid, signal.SIGTERM))


def kill_group(worker: Worker, folder: Path) -> None:
    """Kill the worker and every process it started. Nothing happens if its id now belongs to another
    process."""
    known = worker.child is not None or processes.works_on(worker.pid, folder, worker.created)
    if not known and psutil.pid_exists(worker.pid):
        return
    _signal(lambda: os.killpg(worker.pid, signal.SIGKILL))


def reap(worker: Worker) -> int | None:
    """End the leftovers of a worker that has exited and return its exit status if it was our child."""
    _signal(lambda: os.killpg(worker.pid, signal.SIGKILL) if worker.child is not None else None)
    return worker.child.wait(timeout=10) if worker.child is not None else None


def _signal(send: Callable[[], object]) -> None:
    """Send a signal; a process that has just ended is what was wanted."""
    try:
        send()
    except (ProcessLookupError, PermissionError):
        return


def _exited(pid: int) -> bool:
    """Return whether a child has exited, leaving it to be reaped so that its id is not given away."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


_children: list[subprocess.Popen[bytes]] = []
"""Started here and perhaps no longer watched: kept until they have ended, so that they are reaped."""
