"""The desk of labels: decisions into the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from engine.errors import ConfigError
from engine.project.quality.audits import Audits
from engine.project.quality.measured import Measured
from engine.project.quality.suspicions import Suspicions
from engine.project.workspace import Workspace
from engine.quality.parts import Part
from engine.records.labels import Ack, Asked, Decision


class Labels:
    """What people decide of one project's images; taking back and history are the store's."""

    def __init__(self, workspace: Workspace, measured: Measured, audits: Audits, suspicions: Suspicions) -> None:
        self._workspace, self._measured, self._audits = workspace, measured, audits
        self._suspicions = suspicions

    def decide(
        self,
        decisions: Sequence[Decision],
        batch: str | None = None,
        *,
        blind: Collection[int] = (),
        asked: Mapping[int, str] | None = None,
    ) -> list[Ack]:
        """Record decisions in the ledger; the answers come after the commit.

        Args:
            decisions: each is recorded or refused on its own.
            batch: records them under one batch id, taken back by one undo; see `Store.record_batch`.
            blind: images answered without a prediction in sight, since they measure: with its answer the measured set
                takes one in, and any that come before it, and notes what was suspected of them.
            asked: images answered because an audit asked, with `ReviewItem.asked` of each: with its answer the audit
                takes one in, and any that come before it. An audit that was closed meanwhile takes none.

        Raises:
            ConfigError: `asked` names no part of an audit.
            LedgerError: there is no such audit.
        """
        store, audited = self._workspace.store, asked or {}
        decisions = [self._measuring(one) if one.image_id in blind else one for one in decisions]
        decisions = [
            replace(one, asked=self._asked(audited[one.image_id], one.image_id)) if one.image_id in audited else one
            for one in decisions
        ]
        return store.record(decisions) if batch is None else store.record_batch(decisions, batch)

    def _measuring(self, decision: Decision) -> Decision:
        draws = self._measured.through(decision.image_id)
        return replace(decision, draws=draws, suspected=self._suspicions.before(draws), blind=True)

    def _asked(self, text: str, image_id: int) -> Asked | None:
        number, _, order = text.partition(" ")
        if not number.isdecimal() or len(number) > 9:
            raise ConfigError("There is no such audit", value=text[:100], way_out="Reload the page.")
        return self._audits.asked(int(number), Part.parse(order) if order else None, image_id)

    def add_class(self, name: str) -> tuple[str, ...]:
        """Add a class (once) and return all classes."""
        self._workspace.store.add_class(name.strip())
        return self._workspace.store.classes()


def new_uid() -> str:
    """Return a fresh uid for a decision."""
    return uuid.uuid4().hex
