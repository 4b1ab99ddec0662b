"""The desk of imports: look at a source, then take it in or throw it away."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from engine import garbage
from engine.importers.formats import AUTO
from engine.importers.grouping import FRAMES_OF_ONE_FILE, choose_grouping
from engine.importers.scan import ImportSource, discard, place, scan
from engine.project import given_predictions
from engine.project.workspace import Workspace, quiet
from engine.records.imports import ImportPreview, ImportResult
from engine.records.progress import Progress


class Imports:
    """What comes into one project."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def scan(
        self,
        source: ImportSource,
        progress: Progress = quiet,
        *,
        reading: str = AUTO,
        answers: Mapping[str, str] | None = None,
    ) -> ImportPreview:
        """Look at what a source holds. Nothing is written to the project but staged files, until `commit`; a preview
        that is not wanted goes to `engine.importers.scan.discard`.

        Args:
            source: what to look at.
            progress: told how far it is.
            reading: what to take it for; see `engine.importers.scan.scan`.
            answers: what a person decided about it, by the key of the question.

        Raises:
            ConfigError: there is no such format.
            ImportRefused: the source as a whole is not acceptable; nothing is left behind.
            ProjectReadOnly: the project is open read-only.
        """
        self._workspace.need_writable()
        self._workspace.hold_leftovers()
        return scan(source, self._workspace.root / "staging", progress, reading=reading, answers=answers)

    def commit(
        self,
        preview: ImportPreview,
        progress: Progress = quiet,
        *,
        use_labels: bool = True,
        group_by: str | None = None,
    ) -> ImportResult:
        """Take the scanned images and labels into the project: all of them or, where it is refused, none.

        Args:
            preview: from `scan`.
            progress: told how far it is.
            use_labels: False imports every image without a label.
            group_by: key of one of the preview's groupings, or "none"; None takes the one that the source says itself.
                The frames of a file are a group in any case.

        Raises:
            ConfigError: there is no such grouping; nothing was written.
            ImportRefused: a staged file is gone, or the disk is full.
            ProjectReadOnly: the project is open read-only; nothing was written.
        """
        self._workspace.need_writable()
        began = time.monotonic()
        grouping = choose_grouping(preview.groupings, preview.group_by if group_by is None else group_by)
        images = preview.found if use_labels else tuple(replace(image, label=None) for image in preview.found)
        if grouping is not None:
            images = tuple(replace(image, group=grouping.names.get(image.name, image.group)) for image in images)
        classes = list(preview.counts) if use_labels else []
        place(preview, self._workspace.root, progress)
        progress("Writing to the project", 0, 0)
        how = FRAMES_OF_ONE_FILE if grouping is None else grouping.title
        said = {image.sha256: image.predicted for image in images if image.predicted is not None} if use_labels else {}
        given_predictions.keep(self._workspace.root, said)  # by content: of no use until the images are there
        with garbage.put_off():
            result = self._workspace.store.add_import(
                preview.source, preview.layout, images, classes, preview.refused, how
            )
        discard(preview)
        return replace(result, seconds=time.monotonic() - began)
