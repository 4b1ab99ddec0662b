from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from engine.benchmarks import command, decisions_study, results
from engine.benchmarks import overview as overview_module
from engine.benchmarks.options import Options
from engine.benchmarks.spec import Benchmark, Row
from engine.errors import ConfigError, SourceMissing

A = Row("a", "supervised", {"set": "MNIST", "labels": 10}, train={"epochs": 3}, published=90.0, target=93.0)
B = dataclasses.replace(A, label="b", published=None, target=None)
SPEC = Benchmark("Two rows", lambda context: (A, B))


def made(row: Row, seed: int, value: float, cpu: float) -> dict[str, Any]:
    asked = results.asked(row, None)
    return {"row": row.label, "seed": seed, "asked": asked, "value": value, "more": {"CPU s": cpu}, "seconds": 99.0}


def saved(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(content))


def overview(folder: Path, said: list[str]) -> list[str]:
    return command.run(Options("overview", folder), said.append).splitlines()


def test_rows_of_several_files_stand_in_one_table_with_targets_seeds_and_cpu_seconds(tmp_path: Path) -> None:
    old = made(dataclasses.replace(A, train={"epochs": 9}), 2, 10.0, 500.0)  # of other settings
    runs = [made(A, 0, 90.0, 3), made(A, 1, 94.0, 5), made(B, 0, 80.0, 7), old]
    saved(tmp_path, "x.json", results.document("x", SPEC, [A, B], runs, {"minutes": None}))
    asked = dataclasses.asdict(decisions_study.DecisionSettings(model="transductive"))
    played = [
        {"row": "least_sure", "seed": seed, "asked": asked, "value": needed, "more": {}, "cpu": 20.0, "goal": 205}
        for seed, needed in enumerate((180, None))
    ]
    saved(tmp_path, "y.json", {"benchmark": "decisions", "runs": played})
    saved(tmp_path, "z.json", {"benchmark": "photos", "runs": []})
    said: list[str] = []
    lines = overview(tmp_path, said)
    assert lines[2:] == [
        "| decisions | transductive, 10,000 images, 100 labels, least_sure | – | 205 decisions | 180 in 1 of 2, missed "
        "| 2 | 20 |",
        "| x | a | 90.00 | 93.00 | 92.00 ± 2.83, missed | 2 | 4 |",
        "| x | b | – | – | 80.00 | 1 | 7 |",
    ]
    assert said == ["z.json: photos, a table of its own"]


def test_fewer_decisions_than_the_goal_are_no_miss(tmp_path: Path) -> None:
    asked = dataclasses.asdict(decisions_study.DecisionSettings())
    one = {"row": "least_sure", "seed": 0, "asked": asked, "value": 250, "more": {}, "goal": 300}
    saved(tmp_path, "y.json", {"benchmark": "decisions", "runs": [one]})
    assert "missed" not in overview(tmp_path, [])[2]


def test_rows_are_kept_in_a_file_until_they_are_measured_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "results", tmp_path / "measured.json"
    folder.mkdir()
    saved(
        folder, "x.json", results.document("x", SPEC, [A, B], [made(A, 0, 90.0, 3), made(B, 0, 80.0, 7)], {"code": "1"})
    )
    first = command.run(Options("overview", folder, out=out), print)
    with pytest.raises(ConfigError, match="there already"):
        command.run(Options("overview", folder, out=out), print)
    saved(folder, "x.json", results.document("x", SPEC, [A], [made(A, 0, 95.0, 3)], {"code": "2"}))
    again = command.run(Options("overview", folder, out=out, resume=True), print)
    assert again == first.replace("90.00, missed", "95.00")
    assert [(line.row, line.code) for line in overview_module.kept(out)] == [("a", "2"), ("b", "1")]
    assert overview_module.table(overview_module.kept(out)) == again
    out.write_text("{}")
    with pytest.raises(ConfigError, match="no file of rows"):
        command.run(Options("overview", folder, out=out, resume=True), print)


def test_the_table_in_the_readme_is_that_of_the_rows_kept_beside_it() -> None:
    folder = Path(overview_module.__file__).parent
    assert overview_module.table(overview_module.kept(folder / "measured.json")) in (folder / "README.md").read_text()


def test_what_is_no_file_of_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="no results"):
        overview(tmp_path, [])
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"a\.json"):
        overview(tmp_path, [])


def test_a_replay_knows_its_goal_only_under_the_conditions_it_was_set_for() -> None:
    usual = decisions_study.DecisionSettings(model="transductive", labels=10)
    assert decisions_study.goal_of(usual, "least_sure") == 230
    assert decisions_study.goal_of(usual, "random") is None
    assert decisions_study.goal_of(dataclasses.replace(usual, images=500), "least_sure") is None
    assert decisions_study.goal_of(dataclasses.replace(usual, network_at="0,50,100"), "least_sure") == 170
