"""Columns that say how likely each class is, one column a class: what a model said, as most tools write it out."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from engine.importers.grouping import is_group_header
from engine.importers.names import label_flaw
from engine.importers.tables.headers import label_rank
from engine.importers.tables.rows import Rows

_SHARE = re.compile(r"\s*(\d*\.?\d+|\d+\.)([eE][-+]?\d+)?\s*")
_WORD = (
    r"(?:class[\s_.-]*)?(?:probability|probabilities|probs?|p|pr|scores?|confidence|conf|softmax|pred|prediction|share)"
)
_BEFORE = re.compile(rf"{_WORD}(?:[\s_.:-]+(?P<plain>.+)|\s*\(\s*(?P<inside>.+?)\s*\))", re.IGNORECASE)
_AFTER = re.compile(rf"(?P<plain>.+?)[\s_.:-]+{_WORD}", re.IGNORECASE)
_OFF = 0.02
"""Shares that were rounded add up to 1 but for so much."""


@dataclass(frozen=True)
class Shares:
    """Columns of shares.

    Attributes:
        columns: by position, in the table's order; none where the table has no such columns.
        classes: that each column is for.
    """

    columns: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


NO_SHARES = Shares()


def find_shares(rows: Rows, taken: Collection[int]) -> Shares:
    """Return the columns whose numbers, from 0 to 1, add up to 1 in nearly every row and are not the same in all rows.

    Args:
        rows: the table.
        taken: columns that are for something else.
    """
    sample = rows.sample()
    columns = [
        at for at, header in enumerate(rows.header)
        if at not in taken and header and rows.headed and rows.header.count(header) == 1 and _may_name_class(header)
        and all(_SHARE.fullmatch(rows.columns[at][row]) for row in sample)
    ]  # fmt: skip
    if len(columns) < 2 or not sample:
        return NO_SHARES
    told = [tuple(float(rows.columns[at][row]) for at in columns) for row in sample]
    whole = sum(max(one) <= 1 + _OFF and abs(sum(one) - 1) <= _OFF for one in told)
    fractions = any(share not in (0, 1) for one in told for share in one)
    classes = _classes([rows.header[at].strip() for at in columns])
    if whole < 0.9 * len(told) or not fractions or (len(told) > 1 and len(set(told)) == 1) or not classes:
        return NO_SHARES
    return Shares(tuple(columns), classes)


def likeliest(rows: Rows, shares: Shares) -> list[tuple[str, float] | None]:
    """Return of each row the class with the largest share, the first of equals, and that share, at most 1; None where a
    cell is no number, or all are 0, or there are no columns of shares."""
    found: list[tuple[str, float] | None] = []
    for row in range(len(rows.lines)):
        cells = [rows.columns[at][row] for at in shares.columns]
        numbers = [float(cell) for cell in cells if _SHARE.fullmatch(cell)]
        best = max(numbers, default=0.0)
        if len(numbers) < len(cells) or best <= 0:
            found.append(None)
        else:
            found.append((shares.classes[numbers.index(best)], min(1.0, best)))
    return found


def agrees(rows: Rows, at: int, shares: Shares) -> bool:
    """Return whether a column only repeats which share is the largest."""
    pairs = [(cell, one) for cell, one in zip(rows.columns[at], likeliest(rows, shares), strict=True) if cell.strip()]
    same = sum(one is not None and cell.strip().casefold() == one[0].casefold() for cell, one in pairs)
    return bool(pairs) and same >= 0.98 * len(pairs)


def _may_name_class(header: str) -> bool:
    said = _inner_word(header)
    return label_rank(header) in (3, 4) or (
        (said is not None and label_rank(said) in (3, 4)) and not is_group_header(header)
    )


def _inner_word(header: str) -> str | None:
    match = _BEFORE.fullmatch(header.strip()) or _AFTER.fullmatch(header.strip())
    return None if match is None else next(word for word in match.groupdict().values() if word)


def _classes(headers: list[str]) -> tuple[str, ...]:
    """Return the class of each header: without the word for “probability” where all have it; none where two are equal
    or one cannot name a class."""
    inner = [_inner_word(header) for header in headers]
    named = tuple(word for word in inner if word is not None)
    classes = named if len(named) == len(headers) else tuple(headers)
    return classes if len(set(classes)) == len(classes) and not any(map(label_flaw, classes)) else ()
