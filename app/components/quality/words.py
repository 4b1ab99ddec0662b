"""How figures, times and names are written on the quality and history pages."""

from __future__ import annotations

import html


def chart_text(text: object) -> str:
    """Return a name as a chart shows it: Plotly takes tags in texts for markup."""
    return html.escape(str(text), quote=False)


def when(time: str) -> str:
    """Return a stored time to the minute: 2026-03-01T09:05:12+00:00 → 2026-03-01 09:05."""
    return time[:16].replace("T", " ")


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
