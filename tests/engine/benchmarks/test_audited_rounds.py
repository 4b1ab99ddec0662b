from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.benchmarks import command
from engine.benchmarks.audited_rounds import Known, coverage
from engine.benchmarks.label_issues_study import figures_of, flip
from engine.benchmarks.options import Options
from engine.errors import ConfigError

SMALL = ("steps_per_epoch=3", "batch_size=8", "precision=float32", "threads=1", "images=200")


def known(share_wrong: float, n: int = 1000) -> Known:
    """Half of the images at 0.99 all right, half at 0.6 of which so many are wrong."""
    truth = np.zeros(n, np.int64)
    confidence = np.where(np.arange(n) < n // 2, 0.99, 0.6)
    first = np.ones(n, np.bool_)
    first[n // 2 : n // 2 + round(share_wrong * n / 2)] = False
    p = np.where(first, confidence, 1 - confidence)
    p[~first] = 0.4
    return Known(np.stack([p, 1 - p], 1).astype(np.float32), torch.zeros(n, 2), truth, 1.0, 0)


def test_coverage_counts_only_what_is_accepted() -> None:
    found = coverage(known(0.5), np.array([0.9, 0.9]), 50, 20)
    assert found["accepted"] == 500
    assert found["wrong"] == 0.0
    assert found["holds"] == 1.0
    assert found["bound"] == pytest.approx(1 - 0.05 ** (1 / 50))  # none of 50 wrong


def test_the_bound_of_a_random_sample_holds_in_most_audits_but_not_in_all() -> None:
    found = coverage(known(0.4), np.zeros(2), 100, 200)
    assert found["wrong"] == pytest.approx(0.2)
    assert 0.93 <= found["holds"] < 1.0
    assert 0.2 < found["bound"] < 0.35
    assert found["rest_holds"] >= 0.93


def test_the_bound_of_the_rest_holds_where_half_of_a_small_population_was_looked_at() -> None:
    few = known(0.4)
    few = dataclasses.replace(few, probabilities=few.probabilities[:200], truth=few.truth[:200])
    found = coverage(few, np.zeros(2), 100, 200)
    assert found["rest_holds"] >= 0.95


def test_a_rule_that_takes_nothing_is_told_as_such() -> None:
    assert coverage(known(0.5), np.full(2, 2.0), 50, 20) == {"accepted": 0}


def test_audits_of_a_round_are_counted_and_kept(opened: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    sets = (*SMALL, "images=1300", "audits=10", "target_error=0.3")
    shown = command.run(Options("audited-rounds", tmp_path, "1", "cpu", out, sets))
    (run,) = json.loads(out.read_text())["runs"]
    assert [(case["rule"], case["size"]) for case in run["cases"]][-3:] == [("every image", n) for n in (50, 100, 200)]
    assert run["cases"][-1]["accepted"] == 300
    assert run["cases"][-1]["wrong"] == pytest.approx(1 - run["value"] / 100)
    assert run["heldout"] == 200
    assert "of 10" in shown
    again = command.run(Options("audited-rounds", tmp_path, "1", "cpu", out, sets, resume=True))
    assert again == shown
    assert len(json.loads(out.read_text())["runs"]) == 1


def test_calibration_is_measured_on_all_three_sets(opened: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    sets = (*SMALL, "images=1300", "rand_ops=1")
    shown = command.run(Options("calibration", tmp_path, "1", "cpu", out, sets))
    runs = json.loads(out.read_text())["runs"]
    assert [run["row"] for run in runs] == ["digits", "MNIST", "CIFAR-10"]
    assert [run["heldout"] for run in runs] == [18, 100, 200]
    assert all({"ECE before, %", "ECE after, %", "temperature"} <= set(run["more"]) for run in runs)
    assert all(run["more"]["ECE before, %"] != run["more"]["ECE after, %"] for run in runs)
    assert "CIFAR-10" in shown


def test_exactly_the_asked_share_of_labels_is_flipped_to_another_class() -> None:
    truth = np.arange(1000) % 10
    given = flip(truth, 0.05, 0)
    assert (given != truth).sum() == 50
    assert set(given) <= set(range(10))
    assert (flip(truth, 0.05, 0) == given).all()
    assert (flip(truth, 0.05, 1) != given).any()
    assert len(set((given - truth)[given != truth] % 10)) == 9  # every other class


def test_the_list_of_issues_is_held_against_the_planted_ones() -> None:
    truth = np.arange(100) % 2
    given = truth.copy()
    given[:10] = 1 - given[:10]
    sure = np.eye(2, dtype=np.float32)[truth] * 0.98 + 0.01
    sure[5:10] = sure[5:10, ::-1]  # five of the wrong ones are believed
    sure[50] = sure[50, ::-1]  # and one right one is not
    found = figures_of(truth, given, sure)
    assert found == pytest.approx(
        {"planted": 10, "listed": 6, "precision, %": 100 * 5 / 6, "recall, %": 50, "suggestion right, %": 100}
    )


def test_label_issues_runs_over_the_seeds(opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.algorithms.out_of_fold.steps_for", lambda labeled, batch: 4)
    out = tmp_path / "out.json"
    shown = command.run(Options("label-issues", tmp_path, "2", "cpu", out, ("images=200", "share=0.1", "threads=1")))
    runs = json.loads(out.read_text())["runs"]
    assert [run["more"]["planted"] for run in runs] == [20.0, 20.0]
    assert "mean ± sd" in shown
    for pair in ("share=0", "share=1", "net=mlp"):
        with pytest.raises(ConfigError):
            command.run(Options("label-issues", tmp_path, "1", "cpu", None, (pair,)))
