from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.algorithms.supervised import Supervised
from engine.benchmarks import run as runs
from engine.benchmarks.data import load_problem
from engine.benchmarks.run import accuracy_run, fit_budget, train_config
from engine.benchmarks.spec import Row
from engine.errors import ConfigError, TrainingDiverged
from engine.training.protocol import Metrics

CPU = torch.device("cpu")
TRAIN = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 8, "precision": "float32", "augment": "none"}
ROW = Row("small", "supervised", {"set": "MNIST", "labels": 20}, train=TRAIN)


def test_the_test_set_is_opened_once_after_the_last_step(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Supervised.steps

    def told(self: Supervised, epoch: int) -> Iterator[Metrics]:
        for metrics in steps(self, epoch):
            opened.append("step")
            yield metrics

    monkeypatch.setattr(Supervised, "steps", told)
    outcome = accuracy_run(ROW, 0, load_problem(ROW.data, tmp_path, 0), CPU, None)
    assert opened == ["MNIST train"] + ["step"] * 6 + ["MNIST test"]
    assert outcome.steps == 6


def test_the_accuracy_is_in_percent_of_the_model_the_algorithm_gives(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("long", "supervised", {"set": "MNIST", "labels": 100}, train={**TRAIN, "steps_per_epoch": 100})
    task = load_problem(row.data, tmp_path, 0)
    outcome = accuracy_run(row, 0, task, CPU, None)
    assert 80 < outcome.value <= 100
    assert set(outcome.more) == {"CPU s"}
    monkeypatch.setattr(Supervised, "eval_model", lambda self: Threes())
    assert accuracy_run(row, 0, task, CPU, None).value == pytest.approx(10.0)


class Threes(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[3].expand(len(images), 10)


def test_the_same_seed_gives_the_same_figure(opened: list[str], tmp_path: Path) -> None:
    first, again = (accuracy_run(ROW, 5, load_problem(ROW.data, tmp_path, 5), CPU, None) for _ in range(2))
    assert first.value == again.value
    assert first.train["seed"] == 5


def test_a_class_without_labels_is_left_out_of_the_second_figure(opened: list[str], tmp_path: Path) -> None:
    row = Row("missing", "supervised", {"set": "MNIST", "labels": 90, "missing": [7]}, train={**TRAIN, "epochs": 30})
    outcome = accuracy_run(row, 0, load_problem(row.data, tmp_path, 0), CPU, None)
    assert outcome.value == pytest.approx(0.9 * outcome.more["% of the 9 labeled classes"])
    assert outcome.value > 40


def test_a_run_of_some_epochs_ends_there(opened: list[str], tmp_path: Path) -> None:
    row = Row("first epoch", "supervised", ROW.data, train=TRAIN, epochs_run=1)
    assert accuracy_run(row, 0, load_problem(row.data, tmp_path, 0), CPU, None).steps == 3


def test_no_run_goes_beyond_its_own_epochs(opened: list[str], tmp_path: Path) -> None:
    row = Row("short", "supervised", ROW.data, train=TRAIN, epochs_run=9)
    assert accuracy_run(row, 0, load_problem(row.data, tmp_path, 0), CPU, None).steps == 6


@pytest.mark.parametrize(
    ("seconds", "epochs", "steps"),
    [
        (1000.0, 20, 485),  # 9,700 possible of 20,000
        (3000.0, 20, 1000),  # more than enough: nothing is stretched
        (2.0, 1, 19),
    ],
)
def test_the_schedule_is_made_to_fit_the_budget(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, epochs: int, steps: int
) -> None:
    monkeypatch.setattr(runs, "measure_rate", lambda algorithm, device, seconds: 10.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    row = Row("long", "supervised", ROW.data, train={**TRAIN, "epochs": 20, "steps_per_epoch": 1000})
    pools = load_problem(row.data, tmp_path, 0).pools
    fitted = fit_budget(row, train_config(row, 0, CPU), pools, CPU, seconds)
    assert (fitted.epochs, fitted.steps_per_epoch) == (epochs, steps)


def test_a_budget_keeps_the_share_of_the_fine_tuning(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "measure_rate", lambda algorithm, device, seconds: 10.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    train = {**TRAIN, "epochs": 20, "steps_per_epoch": 1000}
    row = Row("mpl", "meta_pseudo_labels", ROW.data, {"finetune_share": 0.25}, train)
    pools = load_problem(row.data, tmp_path, 0).pools
    fitted = fit_budget(row, train_config(row, 0, CPU), pools, CPU, 1000.0)
    run = runs.build(row, fitted, pools, CPU)
    assert [run.steps_in(epoch) for epoch in range(run.epochs)] == [388] * 20 + [1940]  # 9,700 possible of 25,000


def test_an_algorithm_with_epochs_of_its_own_gets_fewer_of_them(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "measure_rate", lambda algorithm, device, seconds: 10.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    row = Row(
        "article",
        "pseudo_label",
        ROW.data,
        {"schedule": "interleaved", "unlabeled_batches": 50},
        {**TRAIN, "epochs": 90},
    )
    pools = load_problem(row.data, tmp_path, 0).pools
    fitted = fit_budget(row, train_config(row, 0, CPU), pools, CPU, 100.0)
    assert fitted.epochs == 18  # 970 steps, 50 + 3 an epoch: 18 epochs take 954


def test_a_real_budget_is_kept(opened: list[str], tmp_path: Path) -> None:
    row = Row("long", "supervised", ROW.data, train={**TRAIN, "epochs": 100, "steps_per_epoch": 100_000})
    outcome = accuracy_run(row, 0, load_problem(row.data, tmp_path, 0), CPU, 0.05)
    assert 1 <= outcome.steps < 100_000
    assert outcome.seconds < 20


def test_a_budget_for_no_step_is_refused(opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "measure_rate", lambda algorithm, device, seconds: 0.01)
    with pytest.raises(ConfigError, match="too small for one step"):
        accuracy_run(ROW, 0, load_problem(ROW.data, tmp_path, 0), CPU, 0.01)


def test_a_loss_that_is_no_number_ends_the_run(opened: list[str], tmp_path: Path) -> None:
    row = Row("wild", "supervised", ROW.data, train={**TRAIN, "learning_rate": 10.0, "grad_clip": 0.0, "epochs": 60})
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        accuracy_run(row, 0, load_problem(row.data, tmp_path, 0), CPU, None)
