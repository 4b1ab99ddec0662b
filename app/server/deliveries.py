"""Sources that were handed over to a project and are not imported yet: every browser sees them, and a restart too."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.server.scans import BackgroundScan
from engine.errors import ProjectReadOnly, SourceMissing
from engine.files import read_json, write_json
from engine.importers.formats import AUTO
from engine.importers.scan import ImportSource, discard, read_again
from engine.project.imports import Imports
from engine.project.workspace import DELIVERY
from engine.records.imports import ImportPreview
from engine.records.progress import Progress

SCAN_ENDS = 5.0
"""Seconds that a scan gets to end when its project is closed."""
_NOTE = ".json"


@dataclass
class Delivery:
    """One source, from the moment it is handed over until it is imported or thrown away.

    Attributes:
        id: names it in this project.
        source: what is looked at.
        uploaded: the source is an upload, which is removed with the delivery.
        reading: what a person had it read as last.
        answers: what they answered to its questions.
        scan: the look into it; None where Starling was stopped meanwhile and nobody has had it begun again.
        preview: how it was read last, once a person has had it read in another way than at first.
        lock: held while it is imported, read in another way or thrown away.
        gone: it is imported or thrown away.
    """

    id: str
    source: ImportSource
    uploaded: bool
    reading: str = AUTO
    answers: Mapping[str, str] = field(default_factory=dict)
    scan: BackgroundScan | None = None
    preview: ImportPreview | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    gone: bool = False


class Deliveries:
    """The deliveries of one project. Thread-safe.

    Each has a note beside its upload in the project's staging folder, so that a process that comes later finds it.

    Args:
        imports: of the project.
        staging: where uploads lie; None for a project that is open read-only, which has no deliveries.
    """

    def __init__(self, imports: Imports, staging: Path | None) -> None:
        self._imports, self._staging = imports, staging
        self._lock = threading.Lock()
        self._all: dict[str, Delivery] = {}
        if staging is not None:
            self._find(staging)

    def all(self) -> list[Delivery]:
        """Return those that are not imported yet, the oldest first."""
        with self._lock:
            return list(self._all.values())

    def get(self, key: str) -> Delivery | None:
        """Return the one with this id, None where it is imported or thrown away."""
        with self._lock:
            return self._all.get(key)

    def begin(self, source: ImportSource, *, uploaded: bool) -> Delivery:
        """Take a source and begin to look into it, in the background.

        Args:
            source: what to look at.
            uploaded: the source is an upload, which is the delivery's from here on and is moved to beside its note.

        Raises:
            ProjectReadOnly: the project is open read-only.
        """
        delivery = Delivery(uuid.uuid4().hex, source, uploaded)
        if uploaded:
            kept = self._folder / f"{DELIVERY}{source.path.name}"
            delivery.source = ImportSource(source.kind, kept, name=source.name)
            self._write(delivery)
            os.replace(source.path, kept)
        else:
            self._write(delivery)
        self._look(delivery)
        with self._lock:
            self._all[delivery.id] = delivery
        return delivery

    def look_again(self, delivery: Delivery) -> None:
        """Begin anew to look into one that a stop of Starling cut off, with what was answered before."""
        with delivery.lock:
            if delivery.scan is None and not delivery.gone:
                self._look(delivery)

    def read_again(
        self, delivery: Delivery, preview: ImportPreview, reading: str, answers: Mapping[str, str], progress: Progress
    ) -> ImportPreview:
        """Return the preview of another reading; see `engine.importers.scan.read_again`.

        Raises:
            SourceMissing: the delivery was imported or thrown away meanwhile.
        """
        with delivery.lock:
            self._refuse_gone(delivery)
            fresh = read_again(preview, reading, answers, progress)
            delivery.preview, delivery.reading, delivery.answers = fresh, reading, dict(answers)
            self._write(delivery)
            return fresh

    @contextmanager
    def taking(self, delivery: Delivery) -> Iterator[None]:
        """Import a delivery in this block, which no other caller enters; when it ends well, the delivery is gone.

        Raises:
            SourceMissing: on entry, where it was imported or thrown away meanwhile.
        """
        with delivery.lock:
            self._refuse_gone(delivery)
            yield
            self._remove(delivery)

    def drop(self, delivery: Delivery) -> None:
        """Throw a delivery away, with its upload and what was staged of it; fine when it is gone already."""
        with delivery.lock:
            self._remove(delivery)

    def close(self) -> None:
        """End the scans; the deliveries stay, for the next time that the project is opened."""
        scans = [one.scan for one in self.all() if one.scan is not None]
        for scan in scans:
            scan.stop()
        for scan in scans:
            scan.wait(SCAN_ENDS)

    def _look(self, delivery: Delivery) -> None:
        delivery.scan = BackgroundScan(
            self._imports, delivery.source, reading=delivery.reading, answers=delivery.answers
        )

    def _refuse_gone(self, delivery: Delivery) -> None:
        if delivery.gone:
            raise SourceMissing(
                "This was imported or thrown away meanwhile, in another window",
                value=delivery.source.name,
                way_out="Hand it over again if it is still wanted.",
            )

    def _remove(self, delivery: Delivery) -> None:
        with self._lock:
            self._all.pop(delivery.id, None)
        delivery.gone = True
        if delivery.scan is not None:
            delivery.scan.stop()
        if delivery.preview is not None:
            discard(delivery.preview)
        if delivery.uploaded:
            delivery.source.path.unlink(missing_ok=True)
        self._note(delivery.id).unlink(missing_ok=True)

    def _note(self, key: str) -> Path:
        return self._folder / f"{DELIVERY}{key}{_NOTE}"

    @property
    def _folder(self) -> Path:
        if self._staging is None:
            raise ProjectReadOnly(
                "The project is open read-only, so nothing can be imported",
                way_out="Open it where its folder can be written, without --read-only.",
            )
        return self._staging

    def _write(self, delivery: Delivery) -> None:
        source = delivery.source
        write_json(
            self._note(delivery.id),
            {
                "kind": source.kind,
                "path": source.path.name if delivery.uploaded else str(source.path.absolute()),
                "name": source.name,
                "uploaded": delivery.uploaded,
                "reading": delivery.reading,
                "answers": dict(delivery.answers),
            },
        )

    def _find(self, staging: Path) -> None:
        """Find what an earlier process was given; an upload without its note, or the other way round, is removed."""
        kept: set[Path] = set()
        for note in sorted(staging.glob(f"{DELIVERY}*{_NOTE}"), key=lambda path: path.stat().st_mtime):
            try:
                delivery = self._noted(note)
            except (json.JSONDecodeError, KeyError):  # damaged: what it is about cannot be known any more
                continue
            path = delivery.source.path
            if delivery.uploaded and not path.is_file():
                continue
            kept |= {note, path}
            self._all[delivery.id] = delivery
        for path in staging.glob(f"{DELIVERY}*"):
            if path not in kept:
                path.unlink()

    def _noted(self, note: Path) -> Delivery:
        said = read_json(note)
        path = self._folder / said["path"] if said["uploaded"] else Path(said["path"])
        source = ImportSource(said["kind"], path, name=said["name"])
        key = note.name.removeprefix(DELIVERY).removesuffix(_NOTE)
        return Delivery(key, source, said["uploaded"], said["reading"], said["answers"])
