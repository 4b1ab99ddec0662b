"""People err too: what counts as a wrong label when two blind looks differ, and how often people are wrong.

An answer that differs from the label is asked once more, blind, by another person if there is one. Without it 2 %
of slips would read as 2 % of wrong labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from scipy.stats import beta  # type: ignore[import-untyped]

from engine.errors import ConfigError
from engine.quality.betting import ALPHA, ConfidenceSequence, threshold

Label = TypeVar("Label")
SUPPOSED = 1, 24
"""Before a label was asked again: as if of 25 of them one had been answered otherwise, of which half are slips: 2 %."""
CAREFUL = 0.975
"""Quantile of how often people may slip that an interval reckons with."""


@dataclass(frozen=True, slots=True)
class Settled(Generic[Label]):
    """What two blind looks come to: whether the label counts as wrong, the label from now on, and what is missing.

    open: the second look is still missing; until then the label counts as wrong, which only weakens a bound.
    """

    wrong: bool
    label: Label
    open: bool = False


def settled(label: Label, first: Label, second: Label | None = None) -> Settled[Label]:
    """Return what blind answers say of a label: wrong only where neither of two looks agrees with it.

    Args:
        label: the frozen one.
        first: the first blind answer.
        second: the second; needed only where the first differs from the label. Where it differs too, it is the label
            from now on.
    """
    if first == label:
        return Settled(False, label)
    if second is None:
        return Settled(True, label, open=True)
    return Settled(second != label, second)


@dataclass(frozen=True, slots=True)
class PeopleError:
    """How often a person's label is wrong: share h and its upper limit, 0..1, from so many human labels asked again.

    Without one h is 0 and the limit 1/2: nothing is known.
    """

    share: float
    upper: float
    asked: int


def people_error(disagreed: Sequence[bool], humans: int, alpha: float = ALPHA) -> PeopleError:
    """Return how often people err, by the human labels that a random order drew and a person was asked anew.

    Two looks that err alike often disagree about twice as often as one errs, so h is half of the disagreements. Where
    both err in the same way nothing is seen: see `ConfidenceSequence.left_wrong`.

    Args:
        disagreed: for each of them in the order drawn, whether the first blind answer differs from the label.
        humans: human labels in the frozen set.
        alpha: chance that the limit ever fails, at whatever answer one looks.

    Raises:
        ConfigError: more answers than human labels.
    """
    if not disagreed:
        return PeopleError(0.0, 0.5, 0)
    if len(disagreed) > humans:
        raise ConfigError("There are more answers than human labels", value=f"{len(disagreed)} of {humans}")
    sequence = ConfidenceSequence(humans, threshold(alpha))
    for place, differs in enumerate(disagreed):
        sequence.add(place, "random", 1, float(differs))
    return PeopleError(sum(disagreed) / len(disagreed) / 2, sequence.upper / humans / 2, len(disagreed))


@dataclass(frozen=True, slots=True)
class Slips:
    """How often an answer is a slip, 0..1: to be expected, and what is to be reckoned with in one case of 40."""

    expected: float
    careful: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.expected <= self.careful < 1.0:
            raise ConfigError(
                "The share of slips is outside its range",
                value=f"{self.expected}, {self.careful}",
                way_out="Give a share from 0, and one that is no less and below 1.",
            )


NO_SLIPS = Slips(0.0, 0.0)


def slips(asked: int = 0, differed: int = 0) -> Slips:
    """Return how often people slip, by their labels that were asked again, blind.

    How often two answers differ has a Beta(1, 24) distribution before the first, which they update to
    Beta(1 + differed, 24 + asked − differed); half of it are slips, as in `people_error`. Unlike the limit there this
    is for one look at a time.

    Args:
        asked: labels that people gave and that chance chose to be asked again.
        differed: how many of these got another answer.

    Raises:
        ConfigError: there are more differences than answers, or fewer than none.
    """
    if not 0 <= differed <= asked:
        raise ConfigError("More answers differ than there are", value=f"{differed} of {asked}", way_out="Count again.")
    a, b = SUPPOSED[0] + differed, SUPPOSED[1] + asked - differed
    return Slips(a / (a + b) / 2, float(beta.ppf(CAREFUL, a, b)) / 2)
