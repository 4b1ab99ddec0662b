from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.benchmarks import gpu_check
from engine.files import read_json

CPU = torch.device("cpu")


def test_a_part_that_fails_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    given = ["--device", "cpu", "--data", str(tmp_path), "--parts", "mnist,mpl", "--out", str(out), "--seconds", "300"]
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


def test_the_shares_are_those_of_eight_minutes() -> None:
    assert gpu_check.SHARES.keys() == gpu_check.PARTS.keys()
    assert sum(gpu_check.SHARES.values()) == 480
    assert gpu_check.SECONDS < 480


def test_a_strong_view_takes_more_operations_than_a_weak_one_and_compiled_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_check, "_kernels", lambda: 12)  # compiling takes half a minute
    counts = gpu_check.count()
    assert counts["weak view"] < counts["strong view, its distortions compiled"] < counts["strong view"]
    assert counts["forward and backward pass of wrn_28_2"] < counts["step of fixmatch"]
    assert counts["step of fixmatch"] < counts["step of meta_pseudo_labels"]
