"""Whether a worker was asked to stop, and the pulse that shows it lives."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from engine.files import read_json
from engine.rounds.folder import files
from engine.rounds.worker.recorder import RoundRecorder

PULSE_SECONDS = 1.0
QUIET_SECONDS = 1.5
"""A heartbeat is written when nothing else was for so long."""
GRACE_SECONDS = 4.0
"""After a stop was asked for, the work has so long to end by itself; then the pulse ends the process."""
EXIT_STOPPED = 2
EXIT_FENCED_OFF = 3


class Stopped(Exception):
    """The worker was asked to stop. Not an error: what is finished is kept."""


class Stop:
    """Call it at every step: True once the round was cancelled or the process was asked to end.

    Args:
        folder: the round's folder; a file control/cancel in it asks to stop.
    """

    def __init__(self, folder: Path) -> None:
        self._flag = folder / files.CANCEL
        self._signalled = False

    def __call__(self) -> bool:
        """Return whether a stop was asked for."""
        return self._signalled or self._flag.exists()

    @property
    def ending(self) -> str:
        """The event that says why: "cancelled" by a person, or "interrupted" by the system."""
        return "cancelled" if self._flag.exists() else "interrupted"

    def listen(self) -> None:
        """Take SIGTERM as a request to stop. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def check(self) -> None:
        """Raise Stopped if a stop was asked for."""
        if self():
            raise Stopped(self.ending)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True


class Pulse:
    """A thread that writes heartbeats, and ends the process where the work itself cannot.

    That is: when a stop was asked for and the work has not ended within the grace period (a long evaluation,
    say); when the round's folder is gone; when the round was given to another attempt.

    Args:
        recorder: writes the events.
        stop: whether a stop was asked for.
        token: this attempt's token; config.json must carry it.
    """

    def __init__(self, recorder: RoundRecorder, stop: Stop, token: str) -> None:
        self._recorder = recorder
        self._stop = stop
        self._token = token
        self._over = threading.Event()
        self._asked: float | None = None
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """End the thread; called before the last event."""
        self._over.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._over.wait(PULSE_SECONDS):
            if not self._recorder.in_place() or not self._ours():
                os._exit(EXIT_FENCED_OFF)
            now = time.monotonic()
            try:
                self._beat(now)
            except OSError as error:
                print(f"pulse: the heartbeat could not be written: {error}", flush=True)

    def _beat(self, now: float) -> None:
        if self._stop():
            self._asked = self._asked or now
            if now - self._asked >= GRACE_SECONDS - PULSE_SECONDS:
                self._recorder.event(self._stop.ending, durable=True)
                os._exit(EXIT_STOPPED)
        if now - self._recorder.last_written >= QUIET_SECONDS:
            self._recorder.event("heartbeat")

    def _ours(self) -> bool:
        """Return whether config.json still names this attempt; an unreadable moment counts as yes."""
        try:
            return read_json(self._recorder.folder / files.CONFIG).get("token") == self._token
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return True
