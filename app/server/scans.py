"""Looks into sources in the background: a page asks how far one is, and may be left and opened again meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from engine.importers.formats import AUTO
from engine.importers.scan import ImportSource, discard
from engine.project.imports import Imports
from engine.records.imports import ImportPreview


class _Stopped(Exception):
    """Nobody wants the preview any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far a scan is: what it does, done of total; total is 0 where that is not known."""

    label: str = "Looking inside"
    done: int = 0
    total: int = 0


class BackgroundScan:
    """One look into a source, on a thread of its own, which begins at once.

    Attributes:
        source: what is looked at.
        told: how far it is.

    Args:
        imports: of the project.
        source: what to look at.
        reading: what to take it for; see `engine.importers.scan.scan`.
        answers: what a person decided about it before.
    """

    def __init__(
        self, imports: Imports, source: ImportSource, *, reading: str = AUTO, answers: Mapping[str, str] | None = None
    ) -> None:
        self.source = source
        self.told = Told()
        self._imports, self._reading, self._answers = imports, reading, answers
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._preview: ImportPreview | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="starling-scan", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for its end, but no longer than so many seconds; return whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def preview(self) -> ImportPreview | None:
        """Return what was found, once it has ended; None where it was stopped. `stop` throws it away again.

        Raises:
            StarlingError: why the source cannot be read; see `engine.importers.scan.scan`.
        """
        self._thread.join()
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._preview

    def stop(self) -> None:
        """End it soon, and throw away what it has found."""
        with self._lock:
            self._stop.set()
            preview, self._preview = self._preview, None
        if preview is not None:
            discard(preview)

    def _run(self) -> None:
        try:
            found = self._imports.scan(self.source, self._progress, reading=self._reading, answers=self._answers)
        except _Stopped:
            return
        except Exception as error:  # whoever asks for the preview is told
            self._error = error
            return
        with self._lock:
            if not self._stop.is_set():
                self._preview = found
                return
        discard(found)

    def _progress(self, label: str, done: int, total: int) -> None:
        self.told = Told(label, done, total)
        if self._stop.is_set():
            raise _Stopped
