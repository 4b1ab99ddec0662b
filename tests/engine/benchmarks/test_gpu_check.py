from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.benchmarks import gpu_check, run
from engine.files import read_json
from engine.nets.build import build_net

CPU = torch.device("cpu")


def test_a_part_that_fails_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    given = ["--device", "cpu", "--data", str(tmp_path), "--parts", "mnist,mpl", "--out", str(out), "--seconds", "500"]
    assert gpu_check.main(given) == 1
    parts = read_json(out)["parts"]
    assert parts["mnist"]["state"] == "failed"
    assert "MNIST was not found" in parts["mnist"]["said"]
    assert parts["mpl"]["state"] == "done"
    assert parts["mpl"]["target"] == 45.0
    assert parts["mpl"]["compile off"]["steps/s"] > 0
    assert parts["mpl"]["compile off"]["% of product"] > 0


def test_a_part_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    assert gpu_check.main(["--device", "cpu", "--parts", "fixmatch", "--out", str(out), "--seconds", "0.5"]) == 1
    assert read_json(out)["parts"]["fixmatch"]["state"] == "stopped"


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--parts", "smoke,warp"]) == 1
    assert "warp" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["mnist", "cifar10"])
def test_accuracy_is_measured_within_the_seconds(part: str, opened: list[str]) -> None:
    told: list[dict[str, Any]] = []
    gpu_check.PARTS[part](gpu_check.Ask(CPU, Path(), time.time() + 3, told.append))
    assert 0 <= told[-1]["test accuracy in %"] <= 100
    assert told[-1]["steps"] >= 1
    assert opened[-1].endswith("test")
    assert told[-1][{"mnist": "target after 60 s", "cifar10": "target after 600 s"}[part]] in (99.4, 95.0)


def test_cifar_10_is_left_after_four_minutes_of_a_schedule_of_ten(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten steps a second, and a clock that goes on by each of them."""
    clock = [1000.0]
    monkeypatch.setattr(gpu_check.time, "time", lambda: clock[0])
    monkeypatch.setattr(gpu_check.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(run, "measure_rate", lambda algorithm, device, seconds: 10.0)

    def epoch(algorithm: Any, number: int) -> int:
        done = next(iter(algorithm.steps(number)))
        assert done["loss"] is not None
        clock[0] += algorithm.steps_per_epoch / 10
        return int(algorithm.steps_per_epoch)

    monkeypatch.setattr(gpu_check, "run_epoch", epoch)
    told: list[dict[str, Any]] = []
    gpu_check.PARTS["cifar10"](gpu_check.Ask(CPU, Path(), clock[0] + 255.0, told.append))
    assert told[-1]["schedule's seconds"] == 600.0
    assert told[-1]["schedule's steps"] == pytest.approx(5820, abs=10)  # but for what is kept for the test
    assert told[-1]["steps"] / told[-1]["schedule's steps"] == pytest.approx(0.4, abs=0.02)
    assert told[-1]["seconds"] == pytest.approx(240.0, abs=5)


@pytest.mark.parametrize(("part", "seconds"), [("cifar10", 240.0), ("mnist", 50.0)])
def test_the_time_of_a_part_leaves_what_it_is_to_train_for(part: str, seconds: float) -> None:
    """Five seconds go to the start of its process, and what `MARGIN` says to its end."""
    left = gpu_check.SHARES[part] * gpu_check.SECONDS / sum(gpu_check.SHARES.values()) - 5.0
    assert left - min(gpu_check.MOST_MARGIN, gpu_check.MARGIN * left) >= seconds


def test_the_smoke_tells_what_failed_and_tries_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (("supervised", {}), ("no_such_algorithm", {}), ("pi_model", {}))
    monkeypatch.setattr(gpu_check, "CASES", cases)
    monkeypatch.setattr(gpu_check, "NETS", ("simple_cnn",))
    told: list[dict[str, Any]] = []
    gpu_check.PARTS["smoke"](gpu_check.Ask(CPU, Path(), 0.0, told.append))
    assert told[-1]["tried"] == 3
    assert list(told[-1]["failed"]) == ["no_such_algorithm {} simple_cnn"]


def test_operations_are_counted_on_the_device_alone() -> None:
    with gpu_check.throughput.Launches("meta") as launches:
        x = torch.ones(3, device="meta")
        y = (x + 1).view(3, 1)
        torch.ones(3) + 1
        y.copy_(torch.ones(3, 1))
    assert launches.count == 3  # made, added, copied


def test_the_profiler_counts_what_is_dispatched() -> None:
    """Outermost operations, each once, whether they are made of others or seen by their name alone."""
    net = build_net("wrn_28_2", (3, 32, 32), 10, ([0.5] * 3, [0.2] * 3))
    x = torch.rand(4, 4, requires_grad=True)

    def work() -> None:
        y = torch.nn.functional.linear(x, x).softmax(1).mean()
        torch.where(x > 0.5, x, 0.0).reshape(2, 8).t().contiguous().log_softmax(0).mean(1)
        torch.empty(3)
        y.backward()  # type: ignore[no-untyped-call]
        x.grad = None

    for one in (work, lambda: net(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))):
        with gpu_check.throughput.Launches("cpu") as dispatched:
            one()
        assert gpu_check.throughput.launches(one) == dispatched.count > 10


def test_the_shares_are_those_of_eight_minutes() -> None:
    assert gpu_check.SHARES.keys() == gpu_check.PARTS.keys()
    assert sum(gpu_check.SHARES.values()) == 480
    assert gpu_check.SECONDS < 480


def test_a_strong_view_takes_more_operations_than_a_weak_one_and_compiled_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_check, "_compiled", lambda code, call: 4)  # compiling takes minutes
    counts = gpu_check.count()
    assert counts["weak view, on the device"] < counts["strong view, on the device"] < counts["strong view"]
    assert counts["the same, compiled"] == 8
    assert counts["forward and backward pass of wrn_28_2"] < counts["step of fixmatch"]
    assert counts["step of fixmatch"] < counts["step of meta_pseudo_labels"]


def test_a_compiled_call_is_counted_by_its_fused_kernels() -> None:
    def several(x: torch.Tensor) -> torch.Tensor:
        return (x.sin() + 1).exp() * 2

    x = torch.ones(64)
    assert gpu_check.throughput.launches(lambda: several(x)) == 4
    assert gpu_check._compiled(several, lambda made: made(x)) == 1
