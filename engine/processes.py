"""Whether a process that was started earlier, perhaps by another program, still works on its folder."""

from __future__ import annotations

from pathlib import Path

import psutil

SAME_START = 2.0
"""Seconds two readings of one process's creation time may differ (the clock may have been set in between)."""


def works_on(pid: int, folder: Path, created: float | None = None) -> bool:
    """Return whether this id is that of the process that works on the folder, and of no other that came after it.

    Args:
        pid: the process's id.
        folder: what its command line names.
        created: when it was created (Unix seconds), where that is known; then its command line need not be readable.
    """
    try:
        process = psutil.Process(pid)
        if created is not None and abs(process.create_time() - created) < SAME_START:
            return True
        return str(folder) in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return False


def alive(pid: int, folder: Path, created: float | None = None) -> bool:
    """Return whether the process that works on the folder still runs; a zombie does not. Arguments as in `works_on`."""
    try:
        return works_on(pid, folder, created) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
