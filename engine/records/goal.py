"""A project's goal, where its labels stand, and the plan to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import ConfigError

StepKind = Literal["label", "train", "look", "freeze", "audit", "export"]


@dataclass(frozen=True, slots=True)
class Goal:
    """At most this share of the labels wrong, that sure: for all labels together, or in every class.

    rate: 0..1, below 1. level: .5..1, both excluded, one-sided.
    """

    rate: float = 0.01
    level: float = 0.95
    per_class: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate < 1.0:
            raise ConfigError(
                "The share of wrong labels in a goal is outside 0 to 1", value=self.rate, way_out="Try 0.01 for 1 %."
            )
        if not 0.5 < self.level < 1.0:
            raise ConfigError(
                "How sure a goal is to be lies between 0.5 and 1", value=self.level, way_out="Try 0.95 for 95 %."
            )


@dataclass(frozen=True, slots=True)
class GoalSet:
    """One time that the goal was set: when, by whom, what to."""

    time: str
    actor: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class SourceShare:
    """Labels of one source: how many, how many of them a person looked at, how many are expected to be wrong now, and
    how many are at least and at most by the audit, None where too few of its answers are of this source."""

    source: str
    labels: int
    looked: int
    wrong: float
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class GoalStanding:
    """How many of the labels that an export of everything would hold are expected to be wrong now.

    labels: labels in force, and predictions of images without one. blank: images that have neither. wrong: expected,
    within low..high, two-sided by the audit's answers; both None below 20 of them. answers: random answers of the audit
    behind it; 0 where the estimate rests on `measured` answers of the measured set, to images whose labels were
    suspected before, or, without these, is the model's own guess. people: share of wrong labels among those that people
    gave, supposed until enough of them were asked again; people_asked: how many were. rebuilt: whether what was
    suspected before the answers was not noted at their time.
    """

    labels: int
    blank: int
    wrong: float
    low: int | None
    high: int | None
    by_source: tuple[SourceShare, ...]
    answers: int
    people: float
    people_asked: int
    measured: int = 0
    rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and how many images that is; 0 where it is not counted in images."""

    kind: StepKind
    images: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """The rest of the way: answers that live labels learn from, looks at doubtful images, then random answers of the
    audit, all together at least and at most; minutes that they take at the measured pace, None where nobody's is
    measured. learns: whether live labels go on learning by it; else the way is of labels as they are. supposed: whether
    how they learn is what is usual, since nothing has measured it yet."""

    first: int
    audit: int
    low: int
    high: int
    minutes: float | None
    label: int = 0
    learns: bool = False
    supposed: bool = False


@dataclass(frozen=True, slots=True)
class GoalReport:
    """The goal, where the labels stand, and the way to it.

    way: None where no plan can be made yet, or where none leads to the goal (`why` says so). reached: "" or what the
    certificate states. audit: number of the frozen audit under way or ended last, None before any.
    """

    goal: Goal
    standing: GoalStanding
    way: Way | None
    step: Step
    why: str = ""
    reached: str = ""
    audit: int | None = None
