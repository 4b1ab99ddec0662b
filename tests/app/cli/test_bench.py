from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from app.cli import main as cli
from engine.errors import ConfigError


@pytest.fixture(autouse=True)
def threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_bench_lists_the_benchmarks() -> None:
    done = CliRunner().invoke(cli.app, ["bench", "--list"])
    assert done.exit_code == 0
    assert "mnist-1000" in done.stdout
    assert done.stdout == CliRunner().invoke(cli.app, ["bench"]).stdout


def test_bench_prints_a_table_and_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [part for pair in ("batch_size=2", "unlabeled_ratio=1", "threads=1") for part in ("--set", pair)]
    out = tmp_path / "out.json"
    arguments = ["bench", "mpl-throughput", "--device", "cpu", "--minutes", "0.001", "--out", str(out), *sets]
    monkeypatch.setattr(sys, "argv", ["starling", *arguments])
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    assert "mpl-throughput on CPU, 1 thread" in done.stdout
    assert "seed 0" in done.stderr
    assert "seed 0" not in done.stdout
    content = json.loads(out.read_text())
    assert content["command"].startswith("starling bench mpl-throughput --device cpu")
    assert content["runs"][0]["train"]["batch_size"] == 2


def test_bench_says_a_missing_set_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["starling", "bench", "mpl-ablation", "--data", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert "MNIST was not found in this folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "pair", "words"),
    [
        ("map", "dots=3", "no such setting: dots=3.*Known: .*points"),
        ("review", "batch=many", "batch=many.*a whole number"),
        ("review", "batch=-1", "batch=-1"),
    ],
)
def test_a_wrong_setting_of_a_benchmark_on_a_project_is_refused(name: str, pair: str, words: str) -> None:
    done = CliRunner().invoke(cli.app, ["bench", name, "--set", pair])
    assert isinstance(done.exception, ConfigError)
    assert re.search(words, str(done.exception))
