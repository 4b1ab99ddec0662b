"""Watching a round from outside the engine thread: for the command line and for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.records.rounds import RoundRecord

if TYPE_CHECKING:
    from engine.store import Store

POLL_SECONDS = 0.3


def follow(store: Store, number: int, *, poll: float = POLL_SECONDS) -> Iterator[RoundRecord]:
    """Yield the round's record now and after each change, the last time when nothing more will happen to it.

    A finished round is still to be judged, so it ends with "promoted" or "held_back".

    Args:
        store: the open project.
        number: the round.
        poll: seconds between two looks.

    Raises:
        RoundError: there is no such round.
    """
    shown: RoundRecord | None = None
    while True:
        record = store.round(number)
        if record != shown:
            shown = record
            yield record
        if not record.active and record.state != "finished":
            return
        time.sleep(poll)
