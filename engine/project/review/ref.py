"""Which images a review is about, and how that is written in addresses and session state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.quality.parts import Part
from engine.store import LabelTable

Kind = Literal["unreviewed", "marked", "all", "labeled", "selection"]
ListKind = Literal["measured", "doubtful", "issues", "conflicts", "rare", "audit"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIT = "audit:"
OPEN = "open"
MOST_DIGITS = 9
"""Of an audit's number."""


@dataclass(frozen=True, slots=True)
class QueueRef:
    """Which images are reviewed.

    kind: "unreviewed" (no label, no mark), "marked" (skipped, unsure, flagged, rejected), "labeled", "all", "selection"
    (some images handed over), or a list with an order of its own: "measured" (the measured set), "doubtful" (labels
    and predictions, the most suspicious first), "issues", "conflicts", "rare" (images near a rare class), "audit".
    audit: its number; part: "" for the order of all its labels, "class:cat" or "source:human" for that of a class or
    source, "open" for what waits for an answer or a second look.
    """

    kind: Kind | ListKind = "unreviewed"
    audit: int | None = None
    part: str = ""

    @classmethod
    def parse(cls, text: str) -> QueueRef:
        """Read "unreviewed", "issues", "audit:3", "audit:3:class:cat", "audit:3:open", ….

        Raises:
            ConfigError: it names no queue.
        """
        whole: tuple[Kind | ListKind, ...] = (*KINDS, "measured", "doubtful", "issues", "conflicts", "rare")
        for kind in whole:
            if text == kind:
                return cls(kind)
        number, colon, part = text.removeprefix(AUDIT).partition(":")
        if text.startswith(AUDIT) and number.isdecimal() and len(number) <= MOST_DIGITS:
            return cls("audit", int(number), part if not colon or part == OPEN else str(Part.parse(part)))
        way_out = f"Use {', '.join(KINDS)}, measured, doubtful, issues, conflicts, rare or {AUDIT}1."
        raise ConfigError("There is no such queue", value=text, way_out=way_out)

    @classmethod
    def of_audit(cls, number: int, part: str = "") -> QueueRef:
        """Return the queue of what an audit asks, of all its labels or of a part."""
        return cls("audit", number, part)

    def __str__(self) -> str:
        if self.kind != "audit":
            return self.kind
        return f"{AUDIT}{self.audit}" + (f":{self.part}" if self.part else "")

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
