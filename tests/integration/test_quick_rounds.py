"""Rounds on frozen pretrained features, with weights made here: the worker never needs a connection."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from engine.importers.scan import ImportSource
from engine.project.opened import Project
from engine.records.rounds import PoolCounts
from engine.rounds.folder import files, results
from engine.rounds.folder.events import read_events
from engine.rounds.worker import apply
from tests.engine.nets.weights_samples import SMALL, save_weights
from tests.integration.conftest import RoundBench, make_project, write_project
from tests.integration.test_clear_messages import in_this_process
from tests.integration.test_evaluate import _mnist_like

NET = f"frozen:{SMALL}"
QUICK = {"net": NET, "epochs": 3, "steps_per_epoch": 30, "learning_rate": 0.01, "run_baseline": False}


@contextmanager
def small_bench(folder):
    """Give a project of 120 red or blue pictures, 40 labeled, where no weights are yet and none can be had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder / "home"))
        patch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there: every download fails at once
        made = RoundBench(folder / "project", write_project(folder / "project", tinted(120, 40)))
        yield made
        made.close()


@pytest.fixture
def small(tmp_path):
    with small_bench(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The bench of a project whose quick round has ended, and the round's number."""
    folder = tmp_path_factory.mktemp("quick")
    with small_bench(folder) as made:
        save_weights(folder / "home")
        engine = made.engine()
        number = made.queue("pseudo_label", **QUICK)
        made.wait(number, "promoted", "held_back", "failed")
        engine.stop()
        yield made, number


def tinted(images, labeled):
    """Pictures of noise, red (even ones) or blue."""
    found = []
    for k in range(images):
        noise = np.random.default_rng(k).integers(0, 120, (32, 32, 3), dtype=np.uint8)
        noise[..., 2 * (k % 2)] += 120
        found.append((noise, ("red", "blue")[k % 2] if k < labeled else None))
    return found


def messages(bench, number):
    return [event.get("message") for event in read_events(bench.folder(number) / files.EVENTS, {"progress"})]


def test_a_quick_round_learns_and_the_next_one_computes_no_feature_again(learned):
    small, first = learned
    record = small.store.round(first)
    assert record.state == "promoted", (record.error, small.log(first))
    assert record.report.counts == PoolCounts(train=32, heldout=8, unlabeled=80)
    assert record.report.heldout.correct >= 7
    assert "Computing features" in messages(small, first)
    second = small.queue("supervised", **QUICK, image_size=16)
    assert in_this_process(small, second)[0] == 0
    assert "Computing features" not in messages(small, second)
    assert [path.name.split("-")[0] for path in (small.root / "cache").iterdir() if path.is_dir()] == ["features"]


def test_the_map_of_a_quick_round_moves_by_its_logits(learned):
    small, number = learned
    _, early = results.tracked_features(small.folder(number), 1)
    _, late = results.tracked_features(small.folder(number), 3)
    assert early.shape == (120, 2)
    assert np.abs(early - late).max() > 0.1
    found = results.final_predictions(small.folder(number))
    assert np.array_equal(late.argmax(1), found.probabilities.argmax(1))


def test_without_weights_and_connection_the_round_fails_naming_file_and_source_and_ends_well_once_they_are_there(
    small, tmp_path
):
    number = small.queue("supervised", **QUICK)
    _, failed = in_this_process(small, number)
    assert (failed["type"], failed["kind"]) == ("failed", "ConfigError")
    expected = save_weights(tmp_path / "elsewhere")
    place = tmp_path / "home" / "hub" / "checkpoints" / expected.name
    assert str(place) in failed["cause"]
    assert f"https://download.pytorch.org/models/{expected.name}" in failed["way_out"]
    assert str(place) in failed["way_out"]
    save_weights(tmp_path / "home")
    assert in_this_process(small, number)[1]["type"] == "finished"


def test_accuracy_on_a_test_split_is_measured_with_features_prepared_like_the_rounds_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    save_weights(tmp_path / "home")
    _mnist_like(tmp_path, "train", 60, 1)
    _mnist_like(tmp_path, "t10k", 60, 1)  # the same images, so that what is right is known from the round itself
    with Project.create(tmp_path / "pair") as project:
        project.imports.commit(
            project.imports.scan(ImportSource("torchvision", tmp_path, name="MNIST", labels_kept=20))
        )
        truth = {image.id: int(Path(image.name).stem) % 2 for image in project.store.images()}
        bench = RoundBench(project.root, project.store)
        number = bench.queue("supervised", epochs=1, steps_per_epoch=3, net=NET, learning_rate=0.001)
        assert in_this_process(bench, number)[0] == 0
    folder = tmp_path / "pair" / "rounds" / "0001"
    final = pd.read_parquet(folder / files.FINAL)
    right = int((final["class"].to_numpy() == final["image_id"].map(truth).to_numpy()).sum())
    found = apply.test_accuracy(folder, "MNIST", tmp_path)
    assert (found["n"], found["correct"]) == (60, right)


def test_digits_are_labeled_as_a_set_by_gradients_joined_with_a_network(tmp_path):
    bench = RoundBench(tmp_path / "digits", make_project(tmp_path / "digits", images=100, labeled=40))
    settings = {"net": "frozen:hog+efficientnet_lite0", "run_baseline": False}
    number = bench.queue("transductive", **settings)
    _, last = in_this_process(bench, number)
    assert last["type"] == "finished", last
    found = results.final_predictions(bench.folder(number))
    best = np.array(found.classes)[found.probabilities[40:].argmax(1)]
    assert (best == load_digits().target[40:100].astype(str)).mean() > 0.8
    kept = {path.name.split("-")[1] for path in (bench.root / "cache").glob("features-*")}
    assert kept == {"hog", "efficientnet_lite0"}
    bench.close()
