"""Audits, checks, pace, and how good labels and predictions are measured to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.groups import FEW_GROUPS
from engine.records.labels import Action

AuditState = Literal["open", "closed"]
AuditScope = Literal["export", "rule"]
CheckKind = Literal["labels", "duplicates"]


@dataclass(frozen=True, slots=True)
class AcceptRule:
    """Which predictions are accepted together: calibrated confidence of at least the predicted class's threshold.

    thresholds: one a class of the round, 0..1; all equal for a global threshold. A threshold above 1 takes none.
    """

    round: int
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AcceptPreview:
    """What a rule would accept of the images without label and mark.

    expected_errors: sum of 1 − recalibrated confidence, and errors_between its 95 % interval; None where too few
    answers measured the round to write confidences in percent.
    """

    rule: AcceptRule
    count: int
    undecided: int
    expected_errors: float | None
    errors_between: Between | None
    per_class: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FrozenLabels:
    """The N labels that an audit is of, as they were at its freeze, ascending by image.

    label_code: index into `names`; source_code: into `sources`, which are those of an export, "pseudo" among them.
    suspicion: (N,) 0..1 as it was at the freeze; None where it was not noted. trusted: images, ascending, whose label a
    person had given or confirmed and that is taken as the truth, so that it is not among the N; None where the answers
    of people are audited too.
    """

    image_ids: NDArray[np.int64]
    label_code: NDArray[np.int32]
    source_code: NDArray[np.int8]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    suspicion: NDArray[np.float32] | None = None
    trusted: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the row of each of these images (M,), and whether it is frozen; the row of another means nothing."""
        at = np.minimum(np.searchsorted(self.image_ids, ids), max(len(self.image_ids) - 1, 0))
        return at, self.image_ids[at] == ids if len(self.image_ids) else np.zeros(len(ids), bool)

    @property
    def whole(self) -> int:
        """N and the labels that are taken as right: what a share of wrong labels is a share of."""
        return len(self) + (0 if self.trusted is None else len(self.trusted))

    def per_source(self) -> dict[str, int]:
        """Return how many labels come from each source that has one."""
        counts = np.bincount(self.source_code, minlength=len(self.sources)).tolist()
        return {name: n for name, n in zip(self.sources, counts, strict=True) if n}

    def per_class(self) -> dict[str, int]:
        """Return how many labels each class has that has one."""
        counts = np.bincount(self.label_code, minlength=len(self.names)).tolist()
        return {name: n for name, n in zip(self.names, counts, strict=True) if n}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit as stored, but for the labels it froze.

    scope: "export", all labels that an export of everything would hold; "rule", predictions of `round` that the
    thresholds accept. rate: the goal, the share wrong that is to be left at most, None without one; alpha: the chance
    that its bound fails. ledger_seq, ledger_hash: the ledger's head at the freeze. salt: of the order of all labels.
    digest: of what was frozen, see `engine.quality.frozen`. ordinal: the how-manieth audit of the project with an
    answer it is, from 1; None before its first. batch: what it let in; facts: what was shown when it was closed.
    """

    number: int
    created: str
    actor: str
    scope: AuditScope
    round: int | None
    thresholds: Mapping[str, float] | None
    rate: float | None
    alpha: float
    ledger_seq: int
    ledger_hash: str
    salt: int
    digest: str
    state: AuditState
    ordinal: int | None = None
    ended: str | None = None
    batch: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastAudit:
    """An audit from before labels were frozen: a random sample of fixed size of what a rule would accept.

    level: one-sided confidence of its bound. population, sample: how many images. facts: what it found, with its
    statement, where it was accepted; empty where it was given up.
    """

    number: int
    created: str
    actor: str
    round: int
    thresholds: Mapping[str, float]
    level: float
    look: int
    ledger_seq: int
    population: int
    sample: int
    state: Literal["accepted", "abandoned"]
    batch: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draw:
    """An image that an audit drew: along which order ("all", "class:cat", "source:human"), and the ledger's last entry
    before it."""

    image_id: int
    order: str
    ledger_seq: int


@dataclass(frozen=True, slots=True)
class Said:
    """One decision of a person who had an image alone in front, or the taking back of one.

    undoes: the entry taken back, else None. label: None where it gives none. asked: as the ledger has it, None where no
    audit asked.
    """

    seq: int
    image_id: int
    action: Action
    actor: str
    label: str | None
    time: str
    asked: str | None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """An image of an audit that was drawn or looked at since the freeze, and what came of it.

    order: along which it was drawn, None for a look at any other reason. said: what stands of what people said of it,
    oldest first. wrong: whether its frozen label counts as wrong. settled: whether that is final; an image that is not
    answered, or that waits for a second look, counts as wrong until then.
    """

    image_id: int
    order: str | None
    label: str
    source: str
    said: tuple[Said, ...]
    wrong: bool
    settled: bool
    second: bool = False
    """Whether it waits for a second look."""


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """Decisions recorded together. `undone` of its `decisions` were taken back. facts: what it carries as provenance,
    such as the bound of an audit; empty for most."""

    batch: str
    actor: str
    time: str
    seq: int
    action: str
    decisions: int
    undone: int
    label: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A label in force that out-of-fold predictions contradict. given/suggested: class names; the confidences are
    out-of-fold; score: 0..1, higher is more suspicious."""

    image_id: int
    given: str
    suggested: str
    given_confidence: float
    suggested_confidence: float
    score: float


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that look the same. labels: one an image, None without one; similarity: the least within it, 0..1;
    exact: whether the pixels compared are identical."""

    image_ids: tuple[int, ...]
    labels: tuple[str | None, ...]
    similarity: float
    exact: bool

    @property
    def differing(self) -> bool:
        """Whether two of its images carry different labels."""
        return len({label for label in self.labels if label is not None}) > 1


@dataclass(frozen=True, slots=True)
class CheckState:
    """Where a check of the project's labels or images stands; `stale`: labels or images changed since its result."""

    status: Literal["none", "running", "ready", "failed", "cancelled"]
    stage: str = ""
    fraction: float = 0.0
    error: str = ""
    made: str = ""
    stale: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one person decides: counts of single decisions (batches count apart) and median seconds of one.

    seconds is None without a timed decision; agreement is the share of shown predictions that were accepted, None where
    none was shown.
    """

    actor: str
    decisions: int
    batch_decisions: int
    seconds: float | None
    agreement: float | None
    last: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its exact two-sided 95 % interval, in 0..1, and how it was got. n 0: nothing known.

    images: how many images the groups have that the n are one each of; 0 where that is not asked. weighed: the share
    itself where it is not right / n, since parts of the images were measured unequally often.
    """

    right: int
    n: int
    low: float
    high: float
    how: str
    images: int = 0
    weighed: float | None = None

    @property
    def few(self) -> bool:
        """Whether so few groups of images stand behind it that no curve is drawn and nothing compared."""
        return self.images > self.n and 0 < self.n < FEW_GROUPS

    @property
    def value(self) -> float:
        """The share, right / n unless it is weighed; 0 when n is 0."""
        if self.weighed is not None:
            return self.weighed
        return self.right / self.n if self.n else 0.0


Tier = Literal["none", "share", "words", "tens", "percent"]
"""How much of a round's confidences is written: their order only; the share right; words; tens of percent; percent."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How the confidences of one round are written for a person; see `engine.quality.scale`.

    n: measured answers behind it, right of them. a, b: logit p' = a + e^b · logit p, both 0 where nothing is
    recalibrated. words: of the tier "words", from the surest; empty in others. brief: what is measured, in few words;
    note: in full. unsure: a and b where the answers say more than the priors, their variances, and their covariance:
    what intervals are drawn from; zeros where nothing is recalibrated.
    """

    tier: Tier
    n: int
    right: int
    a: float
    b: float
    words: tuple[str, ...]
    brief: str
    note: str
    unsure: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Between:
    """A 95 % interval of a number that is counted, from `low` to `high`, both whole."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One complete round on the learning curve: labels it trained on and its accuracy on held-out images, or where none
    was held out on those picked at random."""

    round: int
    algorithm: str
    labels: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether going on is worth it.

    next_corrections: expected wrong predictions among the next `next_count` of the least-confident queue. seconds_each:
    median pace, None when unknown. errors_left: expected wrong predictions among all undecided. decisions_left:
    decisions, least confident first, until the expected share of wrong labels over all images is at most 1 − target;
    None when it cannot be said. scale: of the round in force, None without one. The estimates are made with confidences
    that it recalibrates, and all but the pace are None before it writes them in tens of percent; each has an interval
    (`engine.quality.stopping.intervals`). advice: one or two plain sentences, honest when there is too little to say.
    """

    curve: tuple[CurvePoint, ...]
    scale: Scale | None
    next_count: int
    next_corrections: float | None
    next_between: Between | None
    seconds_each: float | None
    errors_left: float | None
    errors_between: Between | None
    target: float
    decisions_left: int | None
    decisions_between: Between | None
    minutes_left: float | None
    advice: str


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions whose confidence lies in (low, high]: how many, their mean confidence and share right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well confidence tells the share right: bins, expected calibration error 0..1 and number of images."""

    bins: tuple[ReliabilityBin, ...]
    ece: float
    n: int
    how: str
