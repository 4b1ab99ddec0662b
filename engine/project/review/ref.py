"""Which images a review is about, and how that is written in addresses and session state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.store import LabelTable

Kind = Literal["unreviewed", "marked", "all", "labeled", "selection"]
ListKind = Literal["measured", "issues", "conflicts", "rare", "audit"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIT = "audit:"


@dataclass(frozen=True, slots=True)
class QueueRef:
    """Which images are reviewed.

    kind: "unreviewed" (no label, no mark), "marked" (skipped, unsure, flagged, rejected), "labeled", "all", "selection"
    (some images handed over), or a list with an order of its own: "measured" (the measured set), "issues", "conflicts",
    "rare" (images near a rare class), "audit". audit: its number.
    """

    kind: Kind | ListKind = "unreviewed"
    audit: int | None = None

    @classmethod
    def parse(cls, text: str) -> QueueRef:
        """Read "unreviewed", "issues", "audit:3", ….

        Raises:
            ConfigError: it names no queue.
        """
        whole: tuple[Kind | ListKind, ...] = (*KINDS, "measured", "issues", "conflicts", "rare")
        for kind in whole:
            if text == kind:
                return cls(kind)
        number = text.removeprefix(AUDIT)
        if text.startswith(AUDIT) and number.isdecimal():
            return cls("audit", int(number))
        way_out = f"Use {', '.join(KINDS)}, measured, issues, conflicts, rare or {AUDIT}1."
        raise ConfigError("There is no such queue", value=text, way_out=way_out)

    @classmethod
    def of_audit(cls, number: int) -> QueueRef:
        """Return the queue of what is left of an audit's sample."""
        return cls("audit", number)

    def __str__(self) -> str:
        return f"{AUDIT}{self.audit}" if self.kind == "audit" else self.kind

    @property
    def is_list(self) -> bool:
        """Whether it has an order of its own that no query strategy changes."""
        return self.kind in get_args(ListKind)


UNREVIEWED = QueueRef()


def chosen(table: LabelTable, ref: QueueRef, among: Collection[int] | None) -> NDArray[np.bool_]:
    """Return which images (N,) of the table are of this kind, and among the given ones; for a list, all."""
    kinds = {"unreviewed": table.undecided, "marked": table.marked, "labeled": table.labeled & ~table.marked}
    mask = kinds.get(ref.kind, np.ones(len(table.image_ids), bool))
    return mask if among is None else mask & table.among(among)
