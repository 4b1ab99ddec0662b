"""The most memory that a process and its children hold together, sampled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil


@contextmanager
def most_memory(process: psutil.Process | None = None, every: float = 0.05) -> Iterator[dict[str, Any]]:
    """Yield a dictionary that gets “most memory MB” and the part “of it the process MB”, once the block ends.

    Args:
        process: whose, with its children; this one's when None. It may end within the block.
        every: seconds between two looks.
    """
    figures: dict[str, Any] = {}
    watched, ended = process or psutil.Process(), threading.Event()
    command = _command(watched)  # a child that has this one too was forked just now, and its memory is the parent's
    most = own = 0.0

    def look() -> None:
        nonlocal most, own
        while not ended.wait(every):
            try:
                children = watched.children(recursive=True)
            except psutil.NoSuchProcess:
                return
            mine = _resident(watched)
            own = max(own, mine)
            most = max(most, mine + sum(_resident(one) for one in children if _command(one) != command))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()
        figures["most memory MB"] = round(most / 2**20)
        figures["of it the process MB"] = round(own / 2**20)


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
