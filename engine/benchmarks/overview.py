"""`starling bench overview`: one table of all that files of results hold, with targets, seeds and CPU seconds.

A folder with files that `--out` wrote is named with --data. Accuracies are on test images in %, decisions those of a
person until the share of right labels is reached; the other studies have tables of their own and are only named. With
--out the rows are kept in a file, by which the table can be made anew; with --resume those that it has stay, but for
the ones measured again.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    """A row of the table. `values` by seed, None where a target was not reached at all; `fewer`: less is better; code:
    the version that measured it."""

    benchmark: str
    row: str
    published: float | None
    target: float | None
    values: Sequence[float | None]
    cpu_seconds: Sequence[float]
    unit: str
    places: int
    fewer: bool = False
    code: str = ""

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
    lines: dict[tuple[str, str], Line] = {}
    if options.out is not None and options.out.exists():
        if not options.resume:
            raise ConfigError(
                "This file is there already", value=options.out, way_out="Give --resume to keep its rows, or another."
            )
        lines = {(line.benchmark, line.row): line for line in kept(options.out)}
    for path in sorted(folder.glob("*.json")):
        content = read(path)
        of_file = [] if content is None else lines_of(content)
        lines |= {(line.benchmark, line.row): line for line in of_file}
        if not of_file:
            say(f"{path.name}: {'no rows' if content is None else content['benchmark']}, a table of its own")
    if not lines:
        raise SourceMissing(
            "There are no results of benchmarks here", value=folder, way_out="Name their folder: --data."
        )
    in_order = [lines[key] for key in sorted(lines, key=lambda key: key[0])]  # rows of a benchmark stay as they came
    if options.out is not None:
        results.save(options.out, {"lines": [asdict(line) for line in in_order]})
    return table(in_order)


def table(lines: Sequence[Line]) -> str:
    """Return the table of these rows in Markdown."""
    rows = [HEAD, ["---"] * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def kept(path: Path) -> list[Line]:
    """Return the rows that a file keeps.

    Raises:
        ConfigError: it is none of rows.
    """
    try:
        return [Line(**line) for line in json.loads(path.read_text(encoding="utf-8"))["lines"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("This is no file of rows", value=path, way_out="Give another --out.") from error


def read(path: Path) -> dict[str, Any] | None:
    """Return a document of runs as `--out` wrote it; None where the file holds figures of another kind.

    Raises:
        ConfigError: it is no object in JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError("This is no JSON", value=path, way_out="Take it out of the folder.") from error
    if not isinstance(content, dict):
        raise ConfigError("This is no file of benchmark results", value=path, way_out="Take it out of the folder.")
    runs = content.get("runs")
    whole = isinstance(content.get("benchmark"), str) and isinstance(runs, list) and all("row" in run for run in runs)
    return content if whole else None


def lines_of(content: Mapping[str, Any]) -> list[Line]:
    """Return the rows of a document that fit into the table, none of a study with figures of another kind."""
    if content["benchmark"] == DECISIONS:
        return _decisions(content["runs"], content.get("code", ""))
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
                code=content.get("code", ""),
            )
        )
    return lines


def _decisions(runs: Sequence[results.Run], code: str) -> list[Line]:
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
            code=code,
        )
        for (kind, _), mine in by_kind.items()
    ]


OVERVIEW = Study("one table of the files of results in the folder DATA: targets, means, seeds, CPU seconds", run)
