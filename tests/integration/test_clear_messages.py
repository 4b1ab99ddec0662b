"""What a person is told when a round cannot go well, and rounds on unusual but honest data."""

import numpy as np
import pandas as pd
import pytest
import torch

from app.cli import rounds
from engine.errors import ConfigError
from engine.files import read_json
from engine.records.rounds import RESUMABLE_STATES
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import read_plan
from engine.rounds.supervisor.prepare import write_plan
from engine.rounds.worker import __main__ as worker
from engine.rounds.worker import session
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Pulse, Stop
from tests.integration.conftest import RoundBench, write_project

FAST = {"epochs": 2, "steps_per_epoch": 5, "run_baseline": False}


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a bench of a project with these pictures."""
    made = []

    def make(pictures):
        made.append(RoundBench(tmp_path / "project", write_project(tmp_path / "project", pictures)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pictures(classes, each, unlabeled, shape):
    """Noise of this shape, the brightness of each class its own; unlabeled ones last."""
    generator = np.random.default_rng(0)
    names = [f"class {k:02d}" for k in range(classes)]
    labels = [name for name in names for _ in range(each)] + [None] * unlabeled
    shade = [k * 180 // classes for k in range(classes) for _ in range(each)]
    shade += [k % classes * 180 // classes for k in range(unlabeled)]
    return [
        (generator.integers(s, s + 70, shape, dtype=np.uint8), label) for s, label in zip(shade, labels, strict=True)
    ]


def in_this_process(bench, number):
    """Run the worker's own code here; return its exit status and the last event."""
    folder = write_plan(bench.store, bench.store.round(number), bench.root)
    plan = read_plan(folder)
    recorder, stop = RoundRecorder(folder, plan.token), Stop(folder)
    pulse = Pulse(recorder, stop, plan.token)
    pulse.start()
    try:
        status = worker.run(folder, plan, recorder, stop, pulse)
    finally:
        pulse.end()
        recorder.close()
    return status, read_events(folder / files.EVENTS)[-1]


@pytest.mark.parametrize("net", ["frozen:resnet19", "torchvision:resnet19"])
def test_an_unknown_network_is_refused_on_the_command_line_before_anything_is_queued(project, net):
    bench = project(pictures(2, 4, 4, (8, 8)))
    bench.store.close()
    with pytest.raises(ConfigError, match=r"no classifier of this name: resnet19.*for example resnet18"):
        rounds.round_(bench.root, algorithm="supervised", set_=[f"net={net}"], device="cpu")
    assert not (bench.root / "rounds" / "0001").exists()


def test_a_diverging_round_recovers_twice_then_fails_in_plain_words_and_can_be_resumed(project):
    bench = project(pictures(2, 10, 10, (8, 8)))
    engine = bench.engine()
    number = bench.queue(
        "supervised", epochs=1, steps_per_epoch=300, learning_rate=10.0, grad_clip=0.0, weight_decay=1.0
    )
    record = bench.wait(number, "failed", "promoted", "held_back")
    assert record.state == "failed"
    assert "The loss is no longer a finite number" in record.error["cause"]
    assert "Lower the learning rate" in record.error["way_out"]
    assert "Traceback" in record.error["traceback"]
    assert record.state in RESUMABLE_STATES
    engine.stop()
    bench.store.transition(number, "queued", token=record.token)
    _, again = in_this_process(bench, number)
    assert again["cause"].split(":")[0] == record.error["cause"].split(":")[0]
    assert len(read_events(bench.folder(number) / files.EVENTS, {"recovery"})) == 2


def test_memory_that_runs_out_again_and_again_is_told_with_what_to_make_smaller(project, monkeypatch):
    bench = project(pictures(2, 10, 10, (8, 8)))
    batches = []

    def short(algorithm, *_, **__):
        batches.append(algorithm._train.batch_size)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(session.loop, "train", short)
    status, last = in_this_process(bench, bench.queue("supervised", **FAST, batch_size=64))
    assert status == worker.EXIT_FAILED
    assert batches == [64, 32, 16]
    assert (last["type"], last["kind"]) == ("failed", "OutOfMemory")
    assert "Tried to allocate 2.00 GiB" in last["cause"]
    assert "smaller labeled batch" in last["way_out"]


@pytest.mark.parametrize("net", ["auto", "article_convnet", "wrn_28_2", "torchvision:shufflenet_v2_x0_5"])
def test_pictures_of_a_single_pixel_run_a_round(project, net):
    bench = project([(np.full((1, 1), k * 6, np.uint8), str(k % 2) if k < 12 else None) for k in range(20)])
    status, last = in_this_process(bench, bench.queue("supervised", **FAST, net=net, batch_size=8))
    assert (status, last["type"]) == (0, "finished"), last


def test_thirty_classes_with_six_labels_each_run_to_the_end_and_the_report_says_how_little_it_knows(project):
    bench = project(pictures(30, 6, 20, (6, 9, 3)))
    number = bench.queue("pseudo_label", **FAST, heldout_fraction=0.1)
    status, last = in_this_process(bench, number)
    assert (status, last["type"]) == (0, "finished"), last
    frame = pd.read_parquet(bench.folder(number) / files.LABELS)
    held = frame[frame["role"] == "heldout"]["label"]
    assert sorted(set(frame[frame["role"] == "train"]["label"])) == list(range(30))
    assert len(held) == len(set(held)) == 18  # round(0.1 * 180), no class twice while others have none
    report = read_json(bench.folder(number) / files.REPORT)
    assert report["heldout"]["n"] == 18
    assert report["heldout"]["high"] - report["heldout"]["low"] > 0.15
    assert report["heldout"]["low"] <= report["heldout"]["accuracy"] <= report["heldout"]["high"]
    assert np.shape(report["confusion"]) == (30, 30)


@pytest.mark.parametrize(("each", "share"), [(1, 0.2), (5, 0.2), (8, 0.0)])
def test_a_round_that_holds_nothing_out_says_that_it_is_unmeasured(project, each, share):
    bench = project(pictures(2, each, 6, (8, 8)))
    number = bench.queue("supervised", **FAST, heldout_fraction=share)
    status, _ = in_this_process(bench, number)
    report = read_json(bench.folder(number) / files.REPORT)
    assert (status, report["heldout"]["n"]) == (0, 0)
    assert (report["heldout"]["low"], report["heldout"]["high"]) == (0.0, 1.0)
    assert "unmeasured" in report["verdict"]["reason"]
