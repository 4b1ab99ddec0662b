"""People err too: what counts as a wrong label when two blind looks differ, and how often people are wrong.

An answer that differs from the label is asked once more, blind, by another person if there is one. Without it 2 %
of slips would read as 2 % of wrong labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import ConfigError
from engine.quality.betting import ALPHA, ConfidenceSequence, threshold

Label = TypeVar("Label")


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
