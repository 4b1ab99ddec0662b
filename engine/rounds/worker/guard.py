"""Decides what of a finished round counts, and whether it comes into force."""

from __future__ import annotations

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
BY_LUCK = 0.1
"""A round is held back where always guessing the largest class reaches as many right by luck in a larger share, unless
it has all of them right: of few held-out labels nothing more can be asked."""
HARDLY_ANY = 0.01
"""Below this share in every epoch, pseudo-labels were hardly used."""
CHOSEN = "chosen by them, so no measure of accuracy"
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
    """Return whether the labels alone had more of the same held-out images right than the round's algorithm.

    One more is enough, of however few images or scenes: one of two models must come into force, and the one that had
    more right is the better guess. Nothing is claimed by it; of few scenes `verdict` says neither is better.
    """
    return baseline is not None and baseline.n > 0 and baseline.correct > own.correct


def verdict(
    own: HeldoutFigures,
    baseline: HeldoutFigures | None,
    previous: PreviousRound | None,
    judged: Judged,
    passed_over: HeldoutFigures | None = None,
) -> Verdict:
    """Return whether the round is promoted, and why.

    A round's result is the better one of its algorithm and its baseline, which learns from the labels alone, on the
    same held-out images, see `better_alone`. The result is held back when one of these is so:

    - It is not above the share of the largest class among the held-out labels, or so little that always guessing that
      class would have as many right by luck in 1 of 10 cases, the better of two such guesses where a baseline is
      measured, and not all right; with labels held out of one class alone, when none is right.
    - Nearly all unlabeled images are predicted as one class that does not have as much of the labels, unless the lower
      end of its 95 % Clopper–Pearson interval lies above the share of the largest class among the held-out labels.
    - Pseudo-labels were hardly used in any epoch, and no baseline is measured that the round is at least as good as.

    Whether it is better or worse than another round is no matter of held-out labels, which are of other images in each
    round and choose within it: the measured set tells, which the worker never sees, see
    `engine.rounds.supervisor.verdict`. For the same reason held-out labels are told as counts, not as an accuracy.

    Without a held-out image it is promoted unmeasured unless it is held back by the second or third. Where fewer than
    30 groups of images are held out they choose as well, but the words compare nothing: they say how many the result
    had right, and where that is the baseline's, how many the algorithm had.

    Args:
        own: what the round's result reached.
        baseline: what the baseline reached, or None where it was not run.
        previous: the round in force, or None.
        judged: what else is looked at, of the result.
        passed_over: what the round's algorithm reached, where the result is the baseline's; else None.
    """
    hardly_used = passed_over is None and bool(judged.used) and max(judged.used) < HARDLY_ANY
    problem = _no_better_than_a_guess(own, baseline, judged) or _nearly_one_class(own, judged)
    if hardly_used and (baseline is None or not baseline.n):
        problem = problem or _nothing_used(max(judged.used))
    if problem is not None:
        return Verdict(False, f"Held back: {problem}")
    if not own.n:
        return Verdict(True, _unmeasured(previous))
    hint = " Pseudo-labels were hardly used in it." if hardly_used else ""
    if own.few:
        return Verdict(True, f"{_not_compared(own, passed_over)}{hint}{_silent_on(judged)}")
    return Verdict(True, f"{_promoted(own, baseline, previous, passed_over)}{hint}{_silent_on(judged)}")


def _no_better_than_a_guess(own: HeldoutFigures, baseline: HeldoutFigures | None, judged: Judged) -> str | None:
    if not own.n:
        return None
    several = sum(count > 0 for count in judged.heldout_labels) > 1
    if not several:
        return None if own.correct else f"{_say(own)}. {WAY_OUT}"
    largest = max(judged.heldout_labels)
    name = judged.classes[list(judged.heldout_labels).index(largest)]
    tries = 2 if baseline is not None and baseline.n else 1  # the better one of two models is lucky more often
    luck = 1.0 - float(binom.cdf(own.correct - 1, own.n, largest / own.n)) ** tries
    if own.correct > largest and (luck <= BY_LUCK or own.correct == own.n):
        return None
    if own.correct > largest:
        return (
            f"{_say(own)}, hardly above the {largest:,} that always guessing {name} would have: luck has as many right "
            f"in {100 * luck:.0f} of 100 such rounds. {WAY_OUT}"
        )
    return (
        f"{_say(own)}, which is not above the {largest:,} that always guessing {name}, the largest class among them, "
        f"would have. {WAY_OUT}"
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
    return f"In force: {_say(own)}; {CHOSEN}.{alone} Whether it is better or worse than another {CANNOT_TELL}."


def _promoted(
    own: HeldoutFigures,
    baseline: HeldoutFigures | None,
    previous: PreviousRound | None,
    passed_over: HeldoutFigures | None,
) -> str:
    if passed_over is not None:
        said = (
            f"Promoted with the model of the labels alone: {_say(own)}. The round's algorithm had "
            f"{passed_over.correct:,} of them right, so its model and predictions were left aside. These labels chose "
            "the round, so that they measure no accuracy."
        )
    elif baseline is not None and baseline.n:
        said = f"Promoted: {_say(own)}, {baseline.correct:,} by the labels alone; {CHOSEN}."
    else:
        said = f"Promoted: {_say(own)}; {CHOSEN}."
    if previous is None:
        return said
    return f"{said} Whether it is better or worse than round {previous.number} is told by random images asked blind."


def _silent_on(judged: Judged) -> str:
    """Return of how many classes nothing was held out, in a sentence; "" where of each something was."""
    silent = sum(not count for count in judged.heldout_labels)
    if not silent:
        return ""
    return (
        f" Of {silent:,} of the {len(judged.heldout_labels):,} classes nothing was held out, so nothing was measured."
    )


def _say(figures: HeldoutFigures) -> str:
    if figures.grouped:
        behind = f"one image of each is counted, {figures.images:,} have a label"
        return f"{figures.correct:,} of {figures.n:,} held-out scenes right ({behind})"
    return f"{figures.correct:,} of {figures.n:,} held-out labels right"
