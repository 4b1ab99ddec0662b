from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def starling(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=200)


def test_bench_lists_the_benchmarks(tmp_path: Path) -> None:
    done = starling("--list", cwd=tmp_path)
    assert done.returncode == 0
    assert "mnist-1000" in done.stdout
    assert done.stdout == starling(cwd=tmp_path).stdout


def test_bench_prints_a_table_and_writes_the_file(tmp_path: Path) -> None:
    sets = [part for pair in ("batch_size=2", "unlabeled_ratio=1", "threads=1") for part in ("--set", pair)]
    arguments = ["mpl-throughput", "--device", "cpu", "--minutes", "0.001", "--out", "out.json", *sets]
    done = starling(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mpl-throughput on CPU, 1 thread" in done.stdout
    assert "seed 0" in done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["command"].startswith("starling bench mpl-throughput --device cpu")
    assert content["runs"][0]["train"]["batch_size"] == 2


def test_bench_says_a_missing_set_in_one_sentence(tmp_path: Path) -> None:
    done = starling("mpl-ablation", "--data", "here", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "MNIST was not found in this folder: here" in done.stderr
    assert "Traceback" not in done.stderr
