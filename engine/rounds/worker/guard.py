"""Decides whether a finished round comes into force."""

from __future__ import annotations

import math

from engine.percent import percent
from engine.records.rounds import HeldoutFigures, Verdict
from engine.rounds.folder.plan import PreviousRound


def verdict(own: HeldoutFigures, baseline: HeldoutFigures | None, previous: PreviousRound | None) -> Verdict:
    """Return whether the round is promoted, and why.

    A round is held back only when the held-out images show it to be worse, beyond what their number leaves
    open:

    - Against the supervised baseline, measured on the same held-out images: the upper end of the round's own
      95 % Clopper–Pearson interval lies below the baseline's accuracy.
    - Against the last promoted round, measured on other held-out images: the upper end of the interval of the
      difference lies below 0. The interval joins both rounds' Clopper–Pearson intervals by squares,
      d + sqrt((high₁ − p₁)² + (p₂ − low₂)²), since two independent measurements are compared.
    - Without a held-out image nothing can be shown: the round is promoted only if no other is in force.

    Few held-out images therefore rarely hold a round back; the reason names their number and the interval.

    Args:
        own: what the round reached.
        baseline: what the baseline reached, or None where it was not run.
        previous: the round in force, or None.

    Source: R. G. Newcombe (1998), Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17, 873–890 (joining two single intervals by squares; here with exact single
    intervals).
    """
    if not own.n:
        if previous is None:
            return Verdict(True, "Promoted unmeasured: no image was held out, and no other round is in force.")
        return Verdict(False, f"Held back: no image was held out to compare it with round {previous.number}.")
    if baseline is not None and baseline.n and own.high < baseline.accuracy:
        reason = (
            f"Held back: {_say(own)} is worse than the supervised baseline's "
            f"{percent(baseline.accuracy)} on the same images."
        )
        return Verdict(False, reason)
    if previous is not None and previous.heldout.n and _difference_high(own, previous.heldout) < 0:
        reason = (
            f"Held back: {_say(own)} is worse than round {previous.number}'s {_say(previous.heldout)}, "
            f"which stays in force."
        )
        return Verdict(False, reason)
    return Verdict(True, f"Promoted: {_say(own)}{_compared(baseline, previous)}.")


def _difference_high(own: HeldoutFigures, other: HeldoutFigures) -> float:
    """Return the upper end of the interval of own − other accuracy."""
    return own.accuracy - other.accuracy + math.hypot(own.high - own.accuracy, other.accuracy - other.low)


def _compared(baseline: HeldoutFigures | None, previous: PreviousRound | None) -> str:
    against = []
    if baseline is not None and baseline.n:
        against.append(f"the supervised baseline ({percent(baseline.accuracy)})")
    if previous is not None and previous.heldout.n:
        against.append(f"round {previous.number} ({percent(previous.heldout.accuracy)})")
    if not against:
        return "; there was nothing to compare it with"
    return f" is not shown to be worse than {' or '.join(against)}"


def _say(figures: HeldoutFigures) -> str:
    interval = f"95 % interval {percent(figures.low)} to {percent(figures.high)}"
    return f"{figures.correct:,} of {figures.n:,} held-out images right ({percent(figures.accuracy)}, {interval})"
