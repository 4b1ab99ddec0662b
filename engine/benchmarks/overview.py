"""`starling bench overview`: one table of all that files of results hold, with targets, seeds and CPU seconds.

A folder with files that `--out` wrote is named with --data. Accuracies are on test images in %, decisions those of a
person until the share of right labels is reached; the other studies have tables of their own and are only named.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.benchmarks import results
from engine.benchmarks.options import Options, data_root
from engine.benchmarks.study import Say, Study
from engine.errors import ConfigError, SourceMissing

DECISIONS = "decisions"
HEAD = ("benchmark", "row", "its figure", "target", "measured", "seeds", "CPU s a run")


@dataclass(frozen=True)
class Line:
    """A row of the table. `values` by seed, None where a target was not reached at all; `fewer`: less is better."""

    benchmark: str
    row: str
    published: float | None
    target: float | None
    values: Sequence[float | None]
    cpu_seconds: Sequence[float]
    unit: str
    places: int
    fewer: bool = False

    def cells(self) -> list[str]:
        """Return the row's words."""
        shown = [self._number(self.published), self._number(self.target, self.unit), self._measured()]
        cpu = f"{statistics.fmean(self.cpu_seconds):.0f}" if self.cpu_seconds else "–"
        return [self.benchmark, self.row, *shown, str(len(self.values)), cpu]

    def _measured(self) -> str:
        known = [value for value in self.values if value is not None]
        if not known:
            return "not reached"
        spread = results.mean_spread(known, self.places)
        if len(known) < len(self.values):
            spread += f" in {len(known)} of {len(self.values)}"
        return spread + (", missed" if self._missed(known) else "")

    def _missed(self, known: Sequence[float]) -> bool:
        if self.target is None:
            return False
        mean = statistics.fmean(known)
        return len(known) < len(self.values) or (mean > self.target if self.fewer else mean < self.target)

    def _number(self, value: float | None, unit: str = "") -> str:
        return "–" if value is None else f"{value:.{self.places}f}{unit}"


def run(options: Options, say: Say) -> str:
    """Return the table of all files of results in the folder; `say` hears of those that it leaves out.

    Raises:
        SourceMissing: the folder has no file of results.
    """
    folder = data_root(options.data)
    lines: list[Line] = []
    for path in sorted(folder.glob("*.json")):
        content = read(path)
        of_file = lines_of(content)
        lines += of_file
        if not of_file:
            say(f"{path.name}: {content['benchmark']} has a table of its own")
    if not lines:
        raise SourceMissing(
            "There are no results of benchmarks here", value=folder, way_out="Name their folder: --data."
        )
    rows = [HEAD, ["---"] * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def read(path: Path) -> dict[str, Any]:
    """Return a document as `--out` wrote it.

    Raises:
        ConfigError: it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = isinstance(content["benchmark"], str) and all("row" in run for run in content["runs"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ConfigError("This is no file of benchmark results", value=path, way_out="Take it out of the folder.")
    return dict(content)


def lines_of(content: Mapping[str, Any]) -> list[Line]:
    """Return the rows of a document that fit into the table, none of a study with figures of another kind."""
    if content["benchmark"] == DECISIONS:
        return _decisions(content["runs"])
    if "summary" not in content:
        return []
    accuracy = content["measure"] == "accuracy"
    in_force = {row["row"]: {name: row[name] for name in row if name != "row"} for row in content["rows"]}
    lines: list[Line] = []
    for part in content["summary"]:
        mine = [run for run in content["runs"] if run["row"] == part["row"] and run["asked"] == in_force[part["row"]]]
        lines.append(
            Line(
                content["benchmark"],
                part["row"],
                part["published"],
                part["target"],
                list(part["values"].values()),
                [run["more"]["CPU s"] for run in mine if "CPU s" in run["more"]],
                "" if accuracy else " steps/s",
                2,
            )
        )
    return lines


def _decisions(runs: Sequence[results.Run]) -> list[Line]:
    """Return a line for each strategy with each kind of settings."""
    by_kind: dict[tuple[str, str], list[results.Run]] = {}
    for one in runs:
        asked = one["asked"]
        images = f"{asked['images']:,} images" if asked["images"] else "60,000 images"
        network = f", networks at {asked['network_at']}" if asked["network_at"] else ""
        kind = f"{asked['model']}, {images}, {asked['labels']} labels{network}, {one['row']}"
        by_kind.setdefault((kind, json.dumps(asked, sort_keys=True)), []).append(one)
    return [
        Line(
            DECISIONS,
            kind,
            None,
            mine[0].get("goal"),
            [one["value"] for one in mine],
            [one["cpu"] for one in mine if "cpu" in one],
            " decisions",
            0,
            fewer=True,
        )
        for (kind, _), mine in by_kind.items()
    ]


OVERVIEW = Study("one table of the files of results in the folder DATA: targets, means, seeds, CPU seconds", run)
