"""The desk of labels: decisions into the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace

from engine.project.quality.measured import Measured
from engine.project.workspace import Workspace
from engine.records.labels import Ack, Decision


class Labels:
    """What people decide of one project's images; taking back and history are the store's."""

    def __init__(self, workspace: Workspace, measured: Measured) -> None:
        self._workspace, self._measured = workspace, measured

    def decide(
        self, decisions: Sequence[Decision], batch: str | None = None, *, blind: Collection[int] = ()
    ) -> list[Ack]:
        """Record decisions in the ledger; the answers come after the commit.

        Args:
            decisions: each is recorded or refused on its own.
            batch: records them in one transaction under one batch id, taken back by one undo.
            blind: images answered without a prediction in sight, since they measure: with its answer the measured set
                takes one in, and any that come before it.
        """
        store = self._workspace.store
        decisions = [
            replace(one, draws=self._measured.through(one.image_id)) if one.image_id in blind else one
            for one in decisions
        ]
        return store.record(decisions) if batch is None else store.record_batch(decisions, batch)

    def add_class(self, name: str) -> tuple[str, ...]:
        """Add a class (once) and return all classes."""
        self._workspace.store.add_class(name.strip())
        return self._workspace.store.classes()


def new_uid() -> str:
    """Return a fresh uid for a decision."""
    return uuid.uuid4().hex
