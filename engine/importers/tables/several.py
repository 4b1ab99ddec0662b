"""Cells that hold several labels: lists, and texts with bars, semicolons or commas between labels.

A cell with a separator holds several labels where one of its parts is also a label by itself, in another row or in a
cell that is known to hold several. Where no part is, “cat, domestic” is one class; only bars and semicolons in most
cells, or with the same parts in other mixtures, speak for several then. With commas in the same mixtures it is asked,
and the whole text is proposed. A list in JSON always holds several.
"""

from __future__ import annotations

import ast
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from engine.importers.names import shown
from engine.importers.tables.rows import Answers
from engine.records.imports import Question

SEVERAL = "several"
LEAVE, FIRST, WHOLE = "leave", "first", "whole"
SEPARATORS = ("|", ";", ",")
MANY, FEWEST_SHARED = 0.5, 2


@dataclass(frozen=True)
class Several:
    """Which cells hold several labels, and what is done with them.

    Attributes:
        parts: by cell, the labels that it holds where they are not the cell itself; none for an empty list.
        how: LEAVE, FIRST or WHOLE.
        asked: a person should be asked.
        doubt: and should look.
        count: rows whose cell has several labels.
        example: such a cell.
    """

    parts: Mapping[str, tuple[str, ...]]
    how: str = LEAVE
    asked: bool = False
    doubt: bool = False
    count: int = 0
    example: str = ""

    def labels(self, cell: str) -> tuple[str, ...]:
        """Return the labels of a cell: none, one, or several that contradict each other."""
        if self.how == WHOLE:
            return (cell,) if cell.strip() else ()
        parts = self.parts.get(cell)
        if parts is None:
            return (cell,) if cell.strip() else ()
        return parts[:1] if self.how == FIRST else parts

    def questions(self) -> tuple[Question, ...]:
        """Return what a person may decide of such cells."""
        if not self.asked:
            return ()
        options = (
            (LEAVE, "leave these images unlabeled and list them"),
            (FIRST, "take the first label"),
            (WHOLE, "the whole text is one class"),
        )
        hint = f"{self.count:,} cells, such as “{shown(self.example, 60)}”."
        return (Question(SEVERAL, "Cells that seem to hold several labels", options, self.how, hint, self.doubt),)


def find_several(cells: Mapping[str, int], answers: Answers, tags: bool = False) -> Several:
    """Return which cells hold several labels.

    Args:
        cells: of the label columns, with the number of rows each is in.
        answers: "several" may hold LEAVE, FIRST or WHOLE.
        tags: the column is called as one of several words.
    """
    total = sum(count for cell, count in cells.items() if cell.strip())
    lists = {cell: members for cell in cells if (members := _list(cell)) is not None}
    found = dict(lists)
    maybe: dict[str, tuple[str, ...]] = {}
    marked = False
    for separator in (*SEPARATORS, *((" ",) if tags else ())):
        split = {cell: ends for cell in cells if cell not in found and (ends := _split(cell, separator))}
        if not split:
            continue
        surely = _by_their_parts(split, {cell.strip() for cell in cells if cell not in split})
        if separator == " " and sum(map(cells.__getitem__, surely)) < MANY * total:
            continue
        if surely:
            found |= surely
            continue
        with_it = sum(cells[cell] for cell in split)
        shared = _shared(split)
        if separator == "," or (with_it < MANY * total and shared < FEWEST_SHARED):
            if separator != "," or shared >= FEWEST_SHARED:
                maybe |= split
                marked = marked or separator in "|;"  # of which no name of a class is likely
        elif separator != " " or shared >= FEWEST_SHARED:
            found |= split
    several = {cell: many for cell, many in found.items() if len(many) > 1}
    answer = answers.get(SEVERAL, "")
    if answer in (LEAVE, FIRST, WHOLE):
        parts = found | maybe
        several = {cell: split for cell, split in parts.items() if len(split) > 1}
        how, doubt = answer, False
    elif several:
        parts, how, doubt = found, LEAVE, True
    else:
        parts, how = found, LEAVE
        doubt = marked or _shared(maybe) >= FEWEST_SHARED
    asked = several or {cell: split for cell, split in maybe.items() if len(split) > 1}
    if maybe and not several and not answer:
        how = LEAVE if lists else WHOLE
        parts = found
    count = sum(cells[cell] for cell in asked)
    return Several(parts, how, bool(asked), doubt, count, next(iter(asked), ""))


def _by_their_parts(split: Mapping[str, tuple[str, ...]], alone: set[str]) -> dict[str, tuple[str, ...]]:
    """The cells one of whose parts is a label by itself, or is in a cell that is known to hold several."""
    cells_of: dict[str, list[str]] = defaultdict(list)
    for cell, parts in split.items():
        for part in parts:
            cells_of[part].append(cell)
    waiting = [part for part in cells_of if part in alone]
    known, found = set(waiting), {}
    while waiting:
        for cell in cells_of[waiting.pop()]:
            if cell not in found:
                found[cell] = split[cell]
                more = [part for part in split[cell] if part not in known]
                known.update(more)
                waiting += more
    return found


def _shared(split: Mapping[str, tuple[str, ...]]) -> int:
    """How many parts are in several different cells."""
    counts = Counter(part for parts in split.values() for part in set(parts))
    return sum(count > 1 for count in counts.values())


def _split(cell: str, separator: str) -> tuple[str, ...]:
    if separator not in cell:
        return ()
    parts = tuple(dict.fromkeys(part.strip() for part in cell.split(separator)))
    return parts if len(parts) > 1 and all(parts) else ()


def _list(cell: str) -> tuple[str, ...] | None:
    """The members of a list in JSON, or as Python or numpy write one; None where it is none."""
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")) and not text.startswith('{"choices"'):
        return None
    try:
        read = json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        try:
            read = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    if isinstance(read, dict):
        read = read.get("choices")
    if not isinstance(read, list) or any(isinstance(one, (list, dict, bool)) for one in read):
        return None
    return tuple(dict.fromkeys(str(one) for one in read if one is not None and str(one).strip()))
