"""Decides what of a finished round counts, and whether it comes into force."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binom  # type: ignore[import-untyped]

from engine.groups import FEW_GROUPS
from engine.percent import percent
from engine.records.rounds import HeldoutFigures, Verdict
from engine.rounds.folder.plan import PreviousRound

NEARLY_ALL = 0.98
"""From this share of the unlabeled images on, one predicted class is nearly all of them."""
MOSTLY = 0.9
"""A class that has this share of the labels may be nearly all of the unlabeled images too."""
LEAST_PREDICTED = 20
"""Fewer unlabeled images than this may well be of one class."""
BY_LUCK = 0.3
"""A round is held back where always guessing the largest class reaches as many right by luck in a larger share."""
HARDLY_ANY = 0.01
"""Below this share in every epoch, pseudo-labels were hardly used."""
CANNOT_TELL = f"cannot be told with fewer than {FEW_GROUPS} scenes"
WAY_OUT = "Label more images, those of rare classes first, or choose another algorithm, then train again."


@dataclass(frozen=True)
class Judged:
    """What is looked at of a round besides its held-out accuracy, by the K classes of its plan.

    labels: all labels of the round by class (K,). heldout_labels: those held out (K,). predicted: the unlabeled images
    by predicted class (K,). used: share of the unlabeled images whose pseudo-label counted, by epoch, 0..1; () where
    the algorithm reports none.
    """

    classes: Sequence[str]
    labels: Sequence[int]
    heldout_labels: Sequence[int]
    predicted: Sequence[int]
    used: Sequence[float] = ()


def better_alone(own: HeldoutFigures, baseline: HeldoutFigures | None) -> bool:
    """Return whether the labels alone had more of the same held-out images right than the round's algorithm."""
    return baseline is not None and baseline.n > 0 and baseline.correct > own.correct


def verdict(
    own: HeldoutFigures,
    baseline: HeldoutFigures | None,
    previous: PreviousRound | None,
    judged: Judged,
    passed_over: HeldoutFigures | None = None,
) -> Verdict:
    """Return whether the round is promoted, and why.

    A round's result is the better one of its algorithm and its supervised baseline on the same held-out images, see
    `better_alone`. The result is held back when one of these is so:

    - It is not above the share of the largest class among the held-out labels, or so little that always guessing that
      class would have as many right by luck in 3 of 10 cases; with labels held out of one class alone, when none is
      right.
    - Nearly all unlabeled images are predicted as one class that does not have as much of the labels, unless the lower
      end of its 95 % Clopper–Pearson interval lies above the share of the largest class among the held-out labels.
    - Pseudo-labels were hardly used in any epoch, and no baseline is measured that the round is at least as good as.
    - It is worse than the last promoted round, measured on other held-out images: the upper end of the interval of the
      difference lies below 0. The interval joins both rounds' Clopper–Pearson intervals by squares,
      d + sqrt((high₁ − p₁)² + (p₂ − low₂)²), since two independent measurements are compared.

    The last is decided by the measured set where there is one, which the worker never sees; see
    `engine.rounds.supervisor.verdict`.

    Without a held-out image it is promoted unmeasured unless it is held back by the second or third. Where fewer than
    30 groups of images are held out it is compared with no other round and no baseline.

    Args:
        own: what the round's result reached.
        baseline: what the baseline reached, or None where it was not run.
        previous: the round in force, or None.
        judged: what else is looked at, of the result.
        passed_over: what the round's algorithm reached, where the result is the baseline's; else None.

    Source: R. G. Newcombe (1998), Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17, 873–890 (joining two single intervals by squares; here with exact single
    intervals).
    """
    hardly_used = passed_over is None and bool(judged.used) and max(judged.used) < HARDLY_ANY
    problem = _no_better_than_a_guess(own, judged) or _nearly_one_class(own, judged)
    if hardly_used and (baseline is None or not baseline.n):
        problem = problem or _nothing_used(max(judged.used))
    if problem is not None:
        return Verdict(False, f"Held back: {problem}")
    worse = _worse_than_before(own, previous)
    if worse is not None and previous is not None:
        return Verdict(False, f"Held back: {worse}", previous.number)
    if not own.n:
        return Verdict(True, _unmeasured(previous))
    hint = " Pseudo-labels were hardly used in it." if hardly_used else ""
    if own.few:
        return Verdict(True, f"{_not_compared(own, passed_over)}{hint}{_silent_on(judged)}")
    return Verdict(True, f"{_promoted(own, baseline, previous, passed_over)}{hint}{_silent_on(judged)}")


def _no_better_than_a_guess(own: HeldoutFigures, judged: Judged) -> str | None:
    if not own.n:
        return None
    several = sum(count > 0 for count in judged.heldout_labels) > 1
    if not several:
        return None if own.correct else f"{_say(own)}. {WAY_OUT}"
    largest = max(judged.heldout_labels)
    name = judged.classes[list(judged.heldout_labels).index(largest)]
    luck = float(binom.sf(own.correct - 1, own.n, largest / own.n))
    if own.correct > largest and luck <= BY_LUCK:
        return None
    if own.correct > largest:
        return (
            f"{_say(own)}, hardly above the {percent(largest / own.n)} that always guessing {name} would reach: luck "
            f"has as many right in {100 * luck:.0f} of 100 such rounds. {WAY_OUT}"
        )
    return (
        f"{_say(own)}, which is not above the {percent(largest / own.n)} that always guessing {name}, the largest "
        f"class among them, would reach. {WAY_OUT}"
    )


def _nearly_one_class(own: HeldoutFigures, judged: Judged) -> str | None:
    total = sum(judged.predicted)
    most = max(judged.predicted, default=0)
    if total < LEAST_PREDICTED or most < NEARLY_ALL * total:
        return None
    place = list(judged.predicted).index(most)
    if judged.labels[place] >= MOSTLY * sum(judged.labels):
        return None
    if own.n and own.low > max(judged.heldout_labels) / own.n:
        return None
    return f"{most:,} of the {total:,} unlabeled images are predicted as one class, {judged.classes[place]}. {WAY_OUT}"


def _nothing_used(most: float) -> str:
    share = f"at most {percent(most)} of the pseudo-labels were" if most else "no pseudo-label was"
    return (
        f"{share} used in any epoch, so the round learned nothing from the unlabeled images. Train longer, or choose a "
        "threshold rule that adapts, such as freematch, or the supervised algorithm."
    )


def _worse_than_before(own: HeldoutFigures, previous: PreviousRound | None) -> str | None:
    if previous is None or not own.n or not previous.heldout.n or own.few or previous.heldout.few:
        return None
    if _difference_high(own, previous.heldout) >= 0:
        return None
    return f"{_say(own)} is worse than round {previous.number}'s {_say(previous.heldout)}, which stays in force."


def _difference_high(own: HeldoutFigures, other: HeldoutFigures) -> float:
    """Return the upper end of the interval of own − other accuracy."""
    return own.accuracy - other.accuracy + math.hypot(own.high - own.accuracy, other.accuracy - other.low)


def _unmeasured(previous: PreviousRound | None) -> str:
    before = "" if previous is None else f" It takes the place of round {previous.number} without a comparison."
    return (
        f"Promoted unmeasured: no label was held out, so nothing was measured.{before} Random images on the Review "
        "page measure it."
    )


def _not_compared(own: HeldoutFigures, passed_over: HeldoutFigures | None) -> str:
    alone = ""
    if passed_over is not None:
        alone = (
            f" This is the model of the labels alone; the round's algorithm had {passed_over.correct:,} of them right, "
            "so its model and predictions were left aside."
        )
    return f"In force: {_say(own)}.{alone} Whether it is better or worse than another {CANNOT_TELL}."


def _promoted(
    own: HeldoutFigures,
    baseline: HeldoutFigures | None,
    previous: PreviousRound | None,
    passed_over: HeldoutFigures | None,
) -> str:
    against = []
    if passed_over is None and baseline is not None and baseline.n:
        against.append(f"the supervised baseline ({percent(baseline.accuracy)})")
    if previous is not None and previous.heldout.n and not previous.heldout.few:
        against.append(f"round {previous.number} ({percent(previous.heldout.accuracy)})")
    if passed_over is not None:
        start = (
            f"Promoted with the model of the labels alone: {_say(own)}, by the supervised baseline. The round's "
            f"algorithm had {passed_over.correct:,} of them right ({percent(passed_over.accuracy)}), so its model and "
            "predictions were left aside"
        )
        return f"{start}. It is not shown to be worse than {against[0]}." if against else f"{start}."
    if not against:
        return f"Promoted: {_say(own)}; there was nothing to compare it with."
    return f"Promoted: {_say(own)} is not shown to be worse than {' or '.join(against)}."


def _silent_on(judged: Judged) -> str:
    """Return of how many classes nothing was held out, in a sentence; "" where of each something was."""
    silent = sum(not count for count in judged.heldout_labels)
    if not silent:
        return ""
    return (
        f" Of {silent:,} of the {len(judged.heldout_labels):,} classes nothing was held out, so nothing was measured."
    )


def _say(figures: HeldoutFigures) -> str:
    interval = f"95 % interval {percent(figures.low)} to {percent(figures.high)}"
    if figures.grouped:
        share = "" if figures.few else f"{percent(figures.accuracy)}, "
        behind = f"one image of each is counted, {figures.images:,} have a label"
        return f"{figures.correct:,} of {figures.n:,} held-out scenes right ({share}{interval}; {behind})"
    return f"{figures.correct:,} of {figures.n:,} held-out images right ({percent(figures.accuracy)}, {interval})"
