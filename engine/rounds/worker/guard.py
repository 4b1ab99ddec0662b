"""Decides whether a finished round comes into force."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def verdict(
    report: Mapping[str, Any], baseline: Mapping[str, Any] | None, last_promoted: Mapping[str, Any] | None
) -> tuple[bool, str]:
    """Return whether the round is promoted, and why, in words for the person.

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
        report: the round's report.json; `heldout` {n, correct, accuracy, low, high} is read.
        baseline: the baseline's figures in the same form, or None where it was not run.
        last_promoted: {number, heldout} of the round in force, or None.

    Source: R. G. Newcombe (1998), Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17, 873–890 (joining two single intervals by squares; here with exact single
    intervals).
    """
    own = report.get("heldout") or {}
    other = (last_promoted or {}).get("heldout") or {}
    if not own.get("n"):
        if last_promoted is None:
            return True, "Promoted unmeasured: no image was held out, and no other round is in force."
        return (
            False,
            f"Held back: no image was held out to compare it with round {last_promoted.get('number')}.",
        )
    if baseline and baseline.get("n") and own["high"] < baseline["accuracy"]:
        return False, (
            f"Held back: {_say(own)} is worse than the supervised baseline's "
            f"{_percent(baseline['accuracy'])} on the same images."
        )
    if last_promoted is not None and other.get("n") and _difference_high(own, other) < 0:
        return False, (
            f"Held back: {_say(own)} is worse than round {last_promoted['number']}'s {_say(other)}, "
            f"which stays in force."
        )
    return True, f"Promoted: {_say(own)}{_compared(baseline, last_promoted, other)}."


def _difference_high(own: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the upper end of the interval of own − other accuracy."""
    spread = math.hypot(own["high"] - own["accuracy"], other["accuracy"] - other["low"])
    return float(own["accuracy"] - other["accuracy"] + spread)


def _compared(
    baseline: Mapping[str, Any] | None, last_promoted: Mapping[str, Any] | None, other: Mapping[str, Any]
) -> str:
    against = []
    if baseline and baseline.get("n"):
        against.append(f"the supervised baseline ({_percent(baseline['accuracy'])})")
    if last_promoted is not None and other.get("n"):
        against.append(f"round {last_promoted['number']} ({_percent(other['accuracy'])})")
    if not against:
        return "; there was nothing to compare it with"
    return f" is not shown to be worse than {' or '.join(against)}"


def _say(figures: Mapping[str, Any]) -> str:
    interval = f"95% interval {_percent(figures['low'])} to {_percent(figures['high'])}"
    right = f"{figures['correct']:,} of {figures['n']:,} held-out images right"
    return f"{right} ({_percent(figures['accuracy'])}, {interval})"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}%"
