"""A line of `starling bench honesty`: a number that a page shows, what is promised of it, what it got, its controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.benchmarks import results

TOLERATED = 2.0
"""Standard errors by which a number may miss what is promised."""


@dataclass(frozen=True)
class Control:
    """A rule that is to miss what is promised: what it got and the standard error, in the unit of its line."""

    rule: str
    got: float
    error: float


@dataclass(frozen=True)
class Line:
    """A number of a page put to the test.

    number: which one. claim: what is said of it. at_most: whether `nominal` is a most (of failures, of errors) or a
    least (of intervals that hold). nominal, got, error: promised, found, and its standard error, in percent unless the
    claim says points. width: how wide the interval or bound was, in words. controls: other rules in the same runs.
    """

    number: str
    claim: str
    nominal: float
    at_most: bool
    got: float
    error: float
    width: str = ""
    controls: tuple[Control, ...] = ()

    def holds(self, got: float, error: float) -> bool:
        """Return whether a figure keeps what is promised within two standard errors."""
        beyond = got - self.nominal if self.at_most else self.nominal - got
        return beyond <= TOLERATED * error + 1e-9

    @property
    def fails(self) -> bool:
        """Whether the number misses what is promised of it."""
        return not self.holds(self.got, self.error)

    @property
    def kept(self) -> tuple[str, ...]:
        """Controls that do not miss although they are to: with one of them the row shows nothing of its rule."""
        return tuple(one.rule for one in self.controls if self.holds(one.got, one.error))

    @property
    def verdict(self) -> str:
        """Return "holds" or "FAILS", and "control holds" where one keeps what is promised."""
        said = "FAILS" if self.fails else ("" if self.kept else "holds")
        return ", ".join(part for part in (said, "control holds" if self.kept else "") if part)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Line:
        """Return the line that was stored as plain data."""
        controls = tuple(Control(**one) for one in stored["controls"])
        return cls(**{**stored, "controls": controls})


def percent_of(happened: Sequence[bool] | NDArray[np.bool_]) -> tuple[float, float]:
    """Return how often something happened, in percent, and the standard error; that of one more of each kind."""
    n = len(happened)
    share = float(np.mean(happened)) if n else math.nan
    careful = (float(np.sum(happened)) + 1.0) / (n + 2.0)
    return 100.0 * share, 100.0 * math.sqrt(careful * (1.0 - careful) / max(n, 1))


def worst(found: Mapping[str, tuple[float, float]], *, most: bool) -> tuple[float, float]:
    """Return the largest, or the smallest, of several figures with its standard error."""
    return (max if most else min)(found.values(), key=lambda pair: pair[0])


def counted(lines: Sequence[Line]) -> str:
    """Return how many rows fail, and of how many others a control holds that is to fail."""
    failing = sum(line.fails for line in lines)
    kept = sum(bool(line.kept) and not line.fails for line in lines)
    return f"{failing} of {len(lines)} rows fail, {kept} more with a control that holds"


def table(lines: Sequence[Line]) -> list[str]:
    """Return a line of text a number, and one beneath it for each further control."""
    cells = [["number", "claim", "nominal", "got", "width", "control that must fail", "got", "verdict"]]
    for line in lines:
        sign = "≤" if line.at_most else "≥"
        controls = [
            [one.rule, _figure(one.got, one.error) + (", holds" if one.rule in line.kept else "")]
            for one in line.controls
        ] or [["–", "–"]]
        cells.append([
            line.number, line.claim, f"{sign} {line.nominal:g}", _figure(line.got, line.error), line.width or "–",
            *controls[0], line.verdict,
        ])  # fmt: skip
        cells += [["", "", "", "", "", *one, ""] for one in controls[1:]]
    return results.aligned(cells)


def _figure(got: float, error: float) -> str:
    return "–" if math.isnan(got) else f"{got:.1f} ± {error:.1f}"
