"""The desk of upkeep: a check of everything the project holds."""

from __future__ import annotations

from engine.images import thumbnails
from engine.project.workspace import Workspace, quiet
from engine.records.progress import Progress
from engine.rounds.folder import identity


class Upkeep:
    """What keeps one project sound; a copy of its database is `Store.backup`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def doctor(self, progress: Progress = quiet) -> list[str]:
        """Check the database, the ledger's chain, whose the rounds' folders are and every original's bytes.

        Returns:
            The problems found, a sentence each.
        """
        problems = self._workspace.store.verify()
        uids = {record.number: record.uid for record in self._workspace.store.rounds()}
        for folder, why in identity.strangers(self._workspace.root, uids).items():
            problems.append(f"folder {folder}: {why}; move it away, or leave it for a round of this number to do so")
        items = self._workspace.items()
        for done, item in enumerate(items):
            if done % 500 == 0:
                progress("Checking originals", done, len(items))
            fault = thumbnails.verify_original(self._workspace.root, item.sha256)
            if fault:
                problems.append(f"image {item.id} ({item.name}): {fault}")
        return problems
