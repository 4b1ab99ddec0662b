"""Reading a round's events.jsonl while it grows."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

Event = dict[str, Any]


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
        try:
            event = json.loads(line)
        except ValueError:
            return None
        return event if isinstance(event, dict) and "type" in event else None


def read_events(path: Path, kinds: Collection[str] | None = None) -> list[Event]:
    """Return all complete events a file holds now, oldest first."""
    return EventTail(path, kinds).read()
