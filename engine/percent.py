"""How shares are written for a person: one writer of percentages for the whole product."""

from __future__ import annotations

import math


def percent(share: float, digits: int | None = None) -> str:
    """Return a share of 0..1 in percent: 0.062 → 6.2 %.

    Args:
        share: 0..1, or a difference of two shares.
        digits: after the point; one when None, two below 1 %.
    """
    return f"{100 * share:.{_digits(share) if digits is None else digits}f} %"


def short(share: float) -> str:
    """Return a share that a person has set, with the digits it needs: 0.995 → 99.5 %, 0.99 → 99 %."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def at_most(bound: float) -> str:
    """Return an upper bound in percent, rounded up so that it never claims more: 0.06101 → 6.2 %."""
    digits = 1 if bound >= 0.01 else 2
    return f"{math.ceil(100 * bound * 10**digits - 1e-6) / 10**digits:.{digits}f} %"


def at_least(level: float) -> str:
    """Return the level of a bound in percent, rounded down so that it never claims more: 0.98333 → 98.3 %."""
    return f"{math.floor(1000 * level + 1e-6) / 10:g} %"


def _digits(share: float) -> int:
    return 2 if 0 < abs(share) < 0.01 else 1
