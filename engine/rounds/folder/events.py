"""A round's events.jsonl: what its lines say, and reading them while they grow.

Every event has `type`, `time` (Unix seconds) and `token`, the token of the attempt that wrote it. Types:

started       pid, pid_created, attempt            the worker's first word
heartbeat                                          nothing else was said for a while
progress      phase, epoch, step, metrics, …       at most one a second
epoch         phase, epoch, metrics, memory_mb     an epoch is recorded
checkpoint    phase, epoch, file, sha256           a state to go on from
recovery      phase, kind, message                 what is done otherwise from here on
baseline, ablation   heldout                       what was trained beside the round is measured
finished; cancelled; interrupted; failed (kind, cause, way_out, traceback, retry)   how the attempt ended
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from engine.rounds.folder import files

Event = dict[str, Any]
ENDINGS = frozenset({"finished", "failed", "cancelled", "interrupted"})
SILENT_SECONDS = 30.0
"""A round whose events stop for so long has ended without saying so: its worker writes one every second or two."""
_LAST_BYTES = 65536


class EventTail:
    """Returns each complete event of a file once, in order.

    A last line without its newline is kept until the rest arrives. A line that is not a JSON object (the end
    of a worker that was killed while writing) is passed over.

    Args:
        path: events.jsonl; it need not exist yet.
        kinds: only events of these types are parsed and returned; None for all.
    """

    def __init__(self, path: Path, kinds: Collection[str] | None = None) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""
        self._marks = None if kinds is None else tuple(f'"type": "{kind}"'.encode() for kind in kinds)

    def read(self) -> list[Event]:
        """Return the events completed since the last call."""
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self._offset)
                data = handle.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if (event := self._parse(line)) is not None]

    def _parse(self, line: bytes) -> Event | None:
        if self._marks is not None and not any(mark in line for mark in self._marks):
            return None
        return _event(line)


def read_events(path: Path, kinds: Collection[str] | None = None) -> list[Event]:
    """Return all complete events a file holds now, oldest first."""
    return EventTail(path, kinds).read()


def round_over(folder: Path) -> bool:
    """Return whether the round's last event ends it, or none came for half a minute, after its plan if there is none
    at all."""
    path = folder / files.EVENTS
    try:
        if not path.exists():
            return time.time() - (folder / files.CONFIG).stat().st_mtime > SILENT_SECONDS
        if time.time() - path.stat().st_mtime > SILENT_SECONDS:
            return True
        with open(path, "rb") as handle:
            handle.seek(max(0, path.stat().st_size - _LAST_BYTES))
            lines = handle.read().split(b"\n")
    except FileNotFoundError:
        return True
    last = next((event for line in reversed(lines) if (event := _event(line)) is not None), None)
    return last is not None and last["type"] in ENDINGS


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "type" in event else None
