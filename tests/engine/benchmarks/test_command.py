from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.benchmarks import BENCHMARKS, Context, command
from engine.benchmarks.command import run
from engine.benchmarks.options import Options, parse_seeds
from engine.errors import ConfigError, SourceMissing, StarlingError
from tests.engine.benchmarks import conftest

ROOT = Path(__file__).resolve().parents[3]
CONTEXT = Context(Path("nowhere"), torch.device("cpu"))
SMALL = ("epochs=1", "batch_size=4", "unlabeled_ratio=2", "precision=float32")
QUICK = {name: (*SMALL, "steps_per_epoch=2") for name in BENCHMARKS}
for _name in ("cifar10-1000", "cifar10-4000", "mpl-ablation"):
    QUICK[_name] += ("finetune_share=0.01",)
for _name in ("cifar10-1000", "mpl-throughput", "fixmatch-throughput"):  # cifar10-4000 runs on the network of its rows
    QUICK[_name] += ("net=simple_cnn",)
for _name in ("logreg", "logreg-curve"):
    QUICK[_name] = ("sample_rate=0.5", "dimensions=5")
for _name in ("mnist-1000", "mnist-article", "mnist-article-whole"):
    QUICK[_name] += ("unlabeled_batches=2", "labeled_epoch_every=2", "t1=0")

QUICK["failures"] += ("start_steps=2",)


def known(name: str) -> bool:
    return all(row.algorithm in ALGORITHMS for row in BENCHMARKS[name].rows(CONTEXT))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs(name: str, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not known(name):
        pytest.skip("an algorithm of it is not there")
    if name == "mnist-joined":  # pretrained networks see every image
        monkeypatch.setitem(conftest.TRAIN_IMAGES, "MNIST", 200)
    out = tmp_path / "out.json"
    minutes = 0.01 if BENCHMARKS[name].measure == "throughput" else 5.0
    shown = run(Options(name, tmp_path, "1", "cpu", out, QUICK[name], minutes, command="the command"))
    content = json.loads(out.read_text())
    rows = [row.label for row in BENCHMARKS[name].rows(CONTEXT)]
    assert [part["row"] for part in content["runs"]] == rows
    assert all(row in shown for row in rows)
    assert content["command"] == "the command"
    assert all(part["device"].startswith("CPU") and part["torch"] == torch.__version__ for part in content["runs"])
    assert all(part["value"] >= 0 for part in content["runs"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_settings_of_every_row_are_valid(name: str) -> None:
    from engine.benchmarks.overrides import settings_class
    from engine.benchmarks.run import train_config
    from engine.training.settings import settings_from

    for row in BENCHMARKS[name].rows(CONTEXT):
        train_config(row, 0, CONTEXT.device)
        if row.algorithm in ALGORITHMS:
            settings_from(settings_class(row), row.config)


FAST = Options("mpl-ablation", seeds="2", device="cpu", set=(*SMALL, "steps_per_epoch=1", "finetune_share=0.01"))


def test_an_interrupted_benchmark_goes_on_where_it_stopped(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    options = dataclasses.replace(FAST, data=tmp_path, out=out)
    rows = [row.label for row in BENCHMARKS["mpl-ablation"].rows(CONTEXT)]
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == len(rows) + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, stop)
    before = json.loads(out.read_text())["runs"]
    assert [(part["row"], part["seed"]) for part in before] == [*((row, 0) for row in rows), (rows[0], 1)]
    with pytest.raises(ConfigError, match="--resume"):
        run(options)
    assert json.loads(out.read_text())["runs"] == before
    opened.clear()
    lines.clear()
    run(dataclasses.replace(options, resume=True), lines.append)
    after = json.loads(out.read_text())
    assert after["runs"][: len(before)] == before
    assert len(after["runs"]) == 2 * len(rows)
    assert opened.count("MNIST test") == sum(row.startswith("MNIST") for row in rows)
    assert [line.endswith("kept from the file") for line in lines] == [True] * len(before) + [False] * (len(rows) - 1)
    assert len(after["differences"][0]["values"]) == 2


@pytest.mark.parametrize(("text", "seeds"), [("5", (0, 1, 2, 3, 4)), ("0,1,7", (0, 1, 7)), ("3,", (3,)), ("1", (0,))])
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "a", "1,1", "1,-2", ","])
def test_what_are_no_seeds(text: str) -> None:
    with pytest.raises(ConfigError, match="no seeds"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options("mnist"), "no benchmark of this name: mnist.*mnist-1000.*label-issues"),
        (Options("mpl-ablation", set=("epoch=3",)), "no such setting.*epoch=3.*epochs"),
        (Options("mpl-ablation", set=("epochs=many",)), "epochs=many.*a whole number"),
        (Options("mpl-ablation", set=("ablate=perhaps",)), "ablate=perhaps.*on or off"),
        (Options("mpl-ablation", minutes=0.0), "minutes must be more than 0"),
        (Options("mpl-ablation", resume=True), "--out"),
        (Options("mpl-ablation", device="tpu"), "tpu"),
    ],
)
def test_wrong_options_are_refused_with_the_way_out(options: Options, words: str) -> None:
    with pytest.raises(StarlingError, match=words):
        run(options)


def test_the_folder_of_the_data_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STARLING_DATA", str(tmp_path / "of the environment"))
    with pytest.raises(SourceMissing, match="of the environment"):
        run(Options("mpl-ablation", device="cpu"))


def test_it_runs_where_little_but_torch_is_installed() -> None:
    missing = ("typer", "streamlit", "sqlalchemy", "alembic", "pandas", "psutil", "plotly", "pyarrow", "rich")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        "from engine.benchmarks.__main__ import main\n"
        "sets = ['batch_size=2', 'unlabeled_ratio=1', 'threads=1']\n"
        "sys.exit(main(['mpl-throughput', '--device', 'cpu', '--minutes', '0.001', '--set', *sets]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "meta_pseudo_labels" in done.stdout
    assert "seed 0" in done.stderr


def test_the_list_names_every_benchmark_and_study() -> None:
    lines = command.listing().splitlines()
    assert [line.split()[0] for line in lines] == [*BENCHMARKS, *command.STUDIES]


def test_the_ablation_tells_how_loud_each_feedback_was_and_compares_it_with_none(
    opened: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    shown = run(Options("mpl-ablation", tmp_path, "1", "cpu", out, (*SMALL, "steps_per_epoch=2", "student_wait=0")))
    content = json.loads(out.read_text())
    loud = {part["row"]: part["more"].get("feedback_ratio") for part in content["runs"]}
    for run_of in ("moons, sampled", "moons, exact", "MNIST, sampled", "MNIST, exact"):
        paper, middle, full = (loud[f"{run_of}, {weight}"] for weight in ("1", "√B_u", "B_u"))
        assert 0 < paper < middle < full
        assert loud[f"{run_of}, h = 0"] is None
        assert all(f"{run_of}, {weight} − {run_of}, h = 0" in shown for weight in ("1", "√B_u", "B_u"))
    assert len(content["differences"]) == 12
