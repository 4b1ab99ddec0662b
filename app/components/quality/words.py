"""How figures, times and names are written on the quality and history pages."""

from __future__ import annotations

import html
import math


def chart_text(text: object) -> str:
    """Return a name as a chart shows it: Plotly takes tags in texts for markup."""
    return html.escape(str(text), quote=False)


def when(time: str) -> str:
    """Return a stored time to the minute: 2026-03-01T09:05:12+00:00 → 2026-03-01 09:05."""
    return time[:16].replace("T", " ")


def percent(share: float) -> str:
    """Return a share of 0..1 with as many digits as it needs: 0.062 → 6.2%, 0.0004 → 0.04%."""
    return f"{share:.1%}" if share >= 0.01 or share == 0 else f"{share:.2%}"


def minutes(value: float | None) -> str:
    """Return minutes in words: None → –, 0.4 → under 1 min, 75 → 1:15 h."""
    if value is None:
        return "–"
    if value < 1:
        return "under 1 min"
    whole = round(value)
    return f"{whole} min" if whole < 60 else f"{whole // 60:,}:{whole % 60:02d} h"


def some(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun: 1 label, 2 labels."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def level(value: float) -> str:
    """Return the level of a bound as a percentage, rounded down so that it never claims more: 0.98333 → 98.3%."""
    return f"{math.floor(1000 * value + 1e-6) / 10:g}%"


def at_most(bound: float) -> str:
    """Return an upper bound as a percentage, rounded up so that it never claims more: 0.06162 → 6.2%."""
    digits = 1 if bound >= 0.01 else 2
    return f"{math.ceil(100 * bound * 10**digits - 1e-6) / 10**digits:.{digits}f}%"
