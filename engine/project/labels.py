"""The desk of labels: decisions into the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from engine.project.workspace import Workspace
from engine.records.labels import Ack, Decision


class Labels:
    """What people decide of one project's images; taking back and history are the store's."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def decide(self, decisions: Sequence[Decision], batch: str | None = None) -> list[Ack]:
        """Record decisions in the ledger; the answers come after the commit.

        Args:
            decisions: each is recorded or refused on its own.
            batch: records them in one transaction under one batch id, taken back by one undo.
        """
        store = self._workspace.store
        return store.record(decisions) if batch is None else store.record_batch(decisions, batch)

    def add_class(self, name: str) -> tuple[str, ...]:
        """Add a class (once) and return all classes."""
        self._workspace.store.add_class(name.strip())
        return self._workspace.store.classes()


def new_uid() -> str:
    """Return a fresh uid for a decision."""
    return uuid.uuid4().hex
