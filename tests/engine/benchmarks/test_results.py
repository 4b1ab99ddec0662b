from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from engine import files
from engine.benchmarks import results
from engine.benchmarks.spec import Benchmark, Row
from engine.errors import ConfigError

A = Row("a", "supervised", {"set": "MNIST", "labels": 10}, train={"epochs": 3}, published=90.0)
B = dataclasses.replace(A, label="b", published=None)
SPEC = Benchmark("Two rows", lambda context: (A, B), pairs=(("a", "b"),))
CPU = "CPU, 1 thread"
TOLD = {"command": "starling bench x", "device": CPU, "torch": "2.9", "minutes": None}


def made(row: Row, seed: int, value: float, **more: float) -> dict[str, Any]:
    asked = results.asked(row, None)
    return {"row": row.label, "seed": seed, "asked": asked, "value": value, "more": more, "seconds": 10.0,
        "device": CPU,
    }  # fmt: skip


RUNS = [made(A, 0, 90.0), made(A, 1, 94.0), made(B, 0, 89.0), made(B, 1, 92.0)]


def test_the_summary_has_mean_and_sample_deviation() -> None:
    first = results.summary([A], RUNS)[0]
    assert first["mean"] == 92.0
    assert first["sd"] == pytest.approx(8**0.5)
    assert results.summary([A], RUNS[:1])[0]["sd"] is None


def test_a_mean_is_written_with_the_sample_deviation_of_several_values() -> None:
    assert results.mean_spread([90.0, 94.0]) == "92.0 ± 2.8"
    assert results.mean_spread([90.126], 2) == "90.13"


def test_differences_pair_the_seeds_that_both_rows_have() -> None:
    found = results.differences(SPEC.pairs, results.summary([A, B], [*RUNS, made(A, 2, 50.0)]))
    assert found[0]["values"] == {"0": 1.0, "1": 2.0}
    assert found[0]["mean"] == 1.5
    assert found[0]["sd"] == pytest.approx(0.5**0.5)


def test_the_table_shows_mean_deviation_seeds_time_and_the_published_figure() -> None:
    lines = results.table(results.document("x", SPEC, [A, B], RUNS, TOLD), "Published: somewhere.").splitlines()
    assert lines[0] == "x on CPU, 1 thread, torch 2.9"
    assert lines[2].split() == ["mean", "±", "sd,", "%", "each", "seed", "s/run", "published"]
    assert lines[3] == "a  92.00 ± 2.83  90.00 94.00     10      90.00"
    assert lines[4].split()[-1] == "–"
    assert lines[5] == "a − b: +1.50 ± 0.71 (+1.00 +2.00)"
    assert lines[6] == "Published: somewhere."


def test_a_stored_run_counts_only_with_the_same_row_seed_and_settings() -> None:
    assert results.done_already(RUNS, A, 1, None, CPU) == RUNS[1]
    assert results.done_already(RUNS, A, 2, None, CPU) is None
    assert results.done_already(RUNS, A, 1, 5.0, CPU) is None
    assert results.done_already(RUNS, A, 1, None, "NVIDIA H200") is None
    assert results.done_already(RUNS, dataclasses.replace(A, train={"epochs": 4}), 1, None, CPU) is None


def test_runs_of_other_settings_stay_in_the_file_but_out_of_the_summary() -> None:
    changed = dataclasses.replace(A, train={"epochs": 4})
    content = results.document("x", SPEC, [changed, B], [*RUNS, made(changed, 0, 10.0)], TOLD)
    assert len(content["runs"]) == 5
    assert content["summary"][0]["values"] == {"0": 10.0}


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    results.save(path, {"benchmark": "x", "runs": RUNS})
    with pytest.raises(TypeError):
        results.save(path, {"benchmark": "x", "runs": [object()]})
    assert results.load(path, "x") == json.loads(json.dumps(RUNS))
    assert [found.name for found in path.parent.iterdir()] == ["out.json"]


def test_the_file_is_replaced_at_once_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.json"
    results.save(path, {"benchmark": "x", "runs": RUNS})

    def killed(aside: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.save(path, {"benchmark": "x", "runs": []})
    assert len(results.load(path, "x")) == 4


@pytest.mark.parametrize("text", ["", "[]", '{"benchmark": "x"}', '{"benchmark": "y", "runs": []}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"out\.json"):
        results.load(path, "x")
