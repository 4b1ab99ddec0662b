"""Images, the labels in force, decisions, and the ledger's entries and answers.

Who saw an image when its label was given is said in these words, here and in every export.

A decision is made **alone** when one image is in front of a person who answers for it: on the review surface, or by any
call that groups it with no other one. It is made **by its tile** when the image is one of many that get an answer
together, in the grid or in a selection on the map; `seen_seconds` is then how long the tile, with its picture, was at
least half visible on a page in the foreground, and 0 where it never was.

The source of a label in force is one of
    imported: it came with an import, and nobody has answered for it here;
    human: a person gave it, where there was no prediction or against it, alone or by tiles;
    confirmed: a person saw this image alone and agreed with the prediction;
    accepted_in_batch: a prediction accepted by its tile, which was on the screen;
    accepted_by_threshold: a prediction that a rule let in, or that was accepted with others and was on no screen;
    pseudo: a round's prediction that nobody accepted; it is in no ledger, only in exports that ask for it.

A label is **reviewed** if it was given alone. A tile that was on the screen is *seen*: its label is not reviewed,
whatever its source. A mark and an undo look at nothing: the label they keep or bring back stays what it was.
Where batches of before revision 0005 of the store are read, tiles were not timed: what was accepted in the grid or on
the map counts as accepted_in_batch, with unknown seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Action = Literal["import", "label", "accept", "correct", "reject", "skip", "unsure", "flag", "undo"]
LabelSource = Literal["imported", "human", "confirmed", "accepted_in_batch", "accepted_by_threshold"]
LedgerSource = LabelSource | Literal["accepted"]
"""As an entry has it; "accepted" in those from before revision 0005, see `engine.store.sources`."""
Mark = Literal["reject", "skip", "unsure", "flag"]
ACTIONS_OF_PEOPLE: tuple[Action, ...] = tuple(one for one in get_args(Action) if one not in ("import", "undo"))
RESERVED = frozenset({"import", "starling", "system", "model", "pseudo"})
"""Names that nobody may take: an export or a history would say that no person decided."""
ACCEPTED: tuple[LabelSource, ...] = ("confirmed", "accepted_in_batch", "accepted_by_threshold")
"""Labels that began as a prediction: they may teach a model, but never measure one."""


def is_reserved(actor: str) -> bool:
    """Return whether a name is one that no person can have."""
    return actor.strip().casefold() in RESERVED


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image of a project. `name` is the original relative path, data only: never used to open a file."""

    id: int
    sha256: str
    name: str
    format: str
    width: int
    height: int
    channels: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LabelState:
    """What is in force for one image. `version` is the ledger seq of its last entry, 0 before any; source and reviewed
    are those of the decision that gave the label."""

    image_id: int
    version: int = 0
    label: str | None = None
    source: LabelSource | None = None
    round: int | None = None
    confidence: float | None = None
    reviewed: bool = False
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """How an audit asked for an answer: blind, so that neither label nor prediction was in sight.

    audit: its number. order: along which random order, "all", "class:cat" or "source:human"; "" where none, for a
    second look or one asked again. draws: images that the audit takes in with this answer, in their order.
    """

    audit: int
    order: str = ""
    draws: tuple[int, ...] = ()


class Suspected(NamedTuple):
    """An image that a person is asked about, with the label that an export would have held and how far that was
    suspected, 0..1; None and 0 where it had none, or a person had looked at the image before."""

    image_id: int
    label: str | None
    suspicion: float


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing a person (or an import) says of one image; becomes one ledger entry.

    `uid` makes it idempotent: the same uid twice is recorded once. `base_version` is the version of the image that
    was looked at. `round` and `confidence` tell which prediction was on screen. `batch` groups what is undone
    together. `seconds`: how long the image was in front alone; `seen_seconds`: how long its tile was on the screen, 0
    for never; None where it was not a tile, or nobody measured. At most one of the two is given. `draws`: images that
    the measured set takes in with this answer, in their order; `suspected`: what was suspected of them before it.
    `asked`: how an audit asked; None where none did. `blind`: answered without a prediction in sight because the image
    measures.
    """

    uid: str
    image_id: int
    base_version: int
    action: Action
    label: str | None = None
    actor: str = "local"
    round: int | None = None
    confidence: float | None = None
    batch: str | None = None
    seconds: float | None = None
    seen_seconds: float | None = None
    draws: tuple[int, ...] = ()
    asked: Asked | None = None
    blind: bool = False
    suspected: tuple[Suspected, ...] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """The ledger's answer to one decision, given only after the commit.

    `saved`: recorded now; `duplicate`: this uid was recorded before; `conflict`: the image changed since
    `base_version`, nothing recorded; `refused`: the decision itself is wrong (see `message`).
    `state` is what is in force afterwards.
    """

    uid: str
    status: Literal["saved", "duplicate", "conflict", "refused"]
    state: LabelState | None = None
    seq: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the append-only ledger: the decision and the state it put in force, as it was written.

    source and reviewed of entries from before revision 0005 are read by `engine.store.sources`. asked: who asked for it
    blind: an audit, with the digest of what it froze (see `engine.store.audit_draws`), or the measured set
    (`engine.store.measured.MEASURES`).
    """

    seq: int
    uid: str
    image_id: int
    base_version: int
    action: Action
    actor: str
    label: str | None
    source: LedgerSource | None
    round: int | None
    confidence: float | None
    reviewed: bool
    mark: Mark | None
    batch: str | None
    undoes: int | None
    seconds: float | None
    time: str
    prev_hash: str
    hash: str
    seen_seconds: float | None = None
    asked: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectCounts:
    """How many images are in which state. labeled: the sum of the five sources; unlabeled = images - labeled."""

    images: int
    labeled: int
    unlabeled: int
    imported: int
    human: int
    confirmed: int
    accepted_in_batch: int
    accepted_by_threshold: int
    marked: int
    per_class: Mapping[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """All labels that began as a prediction."""
        return self.confirmed + self.accepted_in_batch + self.accepted_by_threshold
