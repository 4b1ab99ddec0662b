"""The results as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def table(content: Mapping[str, Any], note: str = "") -> str:
    """Return the table of a results document: a line a row with mean ± sample deviation, each seed and the time."""
    percent = content["measure"] == "accuracy"
    places = 2 if percent else 3
    head = ["", "mean ± sd" + (", %" if percent else ", steps/s"), "each seed", "s/run"]
    summed = content["summary"]
    shown = {key: any(part[key] is not None for part in summed) for key in ("published", "target")}
    head += [key for key, some in shown.items() if some]
    names = list(dict.fromkeys(name for part in summed for name in part["more"]))
    lines = [head + names]
    for part in summed:
        line = [part["row"], _spread(part, places), _each(part, places), f"{part['seconds']:.0f}"]
        line += [_number(part[key], places) for key, some in shown.items() if some]
        lines.append(line + [_number(part["more"].get(name), 2) for name in names])
    told = [f"{content['benchmark']} on {content['device']}, torch {content['torch']}", "", *aligned(lines)]
    for part in content["differences"]:
        first, second = part["pair"]
        told.append(f"{first} − {second}: {_spread(part, places, '+')} ({_each(part, places, '+')})")
    return "\n".join([*told, *textwrap.wrap(note, 100)])


def _number(value: float | None, places: int, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{places}f}"


def _spread(part: Mapping[str, Any], places: int, sign: str = "") -> str:
    mean = _number(part["mean"], places, sign)
    return mean if part["sd"] is None else f"{mean} ± {part['sd']:.{places}f}"


def _each(part: Mapping[str, Any], places: int, sign: str = "") -> str:
    return " ".join(f"{value:{sign}.{places}f}" for value in part["values"].values())


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    sized = [[line[0].ljust(widths[0])] for line in lines]
    for line, new in zip(lines, sized, strict=True):
        new += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
    return ["  ".join(new).rstrip() for new in sized]
